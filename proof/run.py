"""`python -m proof.run --scale smoke|gate|release --seed N [--only P1,P2,P3,…]`: the promises, a line for each."""

import argparse
import asyncio
import importlib.util
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from proof import f9, negatives, p1p2, p3, p4, p5, p11, redeploy, report
from proof.stack import HOME, database, place

OUT = HOME / "proof" / "out"
F9_ABOVE = {"smoke": 4, "gate": 20, "release": 20}
Result = tuple[bool, dict[str, Any]]


def main() -> int:
    """1 when a promise is broken or a seeded bug was not caught."""
    wanted = _arguments()
    names = _chosen(wanted.only)
    print(f"proof: scale {wanted.scale}, seed {wanted.seed}, commit {report.commit()[:13] or 'unknown'}", flush=True)
    ok = True
    for group, run in GROUPS.items():
        if not set(group) & set(names):
            continue
        began = time.monotonic()
        for promise, (holds, counts) in asyncio.run(run(wanted)).items():
            seconds = {"seconds": round(time.monotonic() - began, 1)}
            kept = {"ok": holds, "seed": wanted.seed, "scale": wanted.scale}
            report.keep(wanted.out, promise, **kept, counts={**counts, **seconds})
            print(report.line(promise, holds, {**counts, **seconds}), flush=True)
            ok &= holds
    return 0 if ok else 1


async def _p1_p2(wanted: argparse.Namespace) -> dict[str, Result]:
    with place() as folder:
        storm = await p1p2.run(wanted.scale, wanted.seed, folder if wanted.keep is None else _kept(wanted))
    with database() as server:
        above = await f9.run(server, wanted.seed, F9_ABOVE[wanted.scale])
    for name, found in storm.offenders().items():
        print(f"  {name}: {json.dumps(found)}", file=sys.stderr)
    counts = storm.counts()
    shared = ("kills", "database_kills", "zombies", "faults", "orders")
    of_p2 = {name: counts[name] for name in (*shared, "doubled", "done_without_effect")}
    of_p2 |= {f"f9_above_{name}": value for name, value in above.items() if name != "ok"}
    of_p1 = {name: value for name, value in counts.items() if name not in ("doubled", "done_without_effect")}
    named = {"offenders": storm.offenders()}
    return {
        "P1": (storm.verdict.p1_ok(), of_p1 | named),
        "P2": (storm.verdict.p2_ok() and above["ok"], of_p2 | named),
    }


async def _p3(wanted: argparse.Namespace) -> dict[str, Result]:
    return {"P3": _told(await p3.run(wanted.scale, wanted.seed))}


async def _p5(wanted: argparse.Namespace) -> dict[str, Result]:
    with database() as server:
        return {"P5": _told(await p5.run(server, wanted.scale, wanted.seed))}


async def _p11(wanted: argparse.Namespace) -> dict[str, Result]:
    return {"P11": _told(await p11.run(wanted.scale, wanted.seed))}


async def _redeploy(wanted: argparse.Namespace) -> dict[str, Result]:
    return {"REDEPLOY": _told(await redeploy.run(wanted.scale, wanted.seed))}


def _told(found: dict[str, Any]) -> Result:
    """Its verdict and its figures; what does not add up is named at once."""
    for name, offenders in found.get("offenders", {}).items():
        print(f"  {name}: {json.dumps(offenders, default=str)}", file=sys.stderr)
    return bool(found.pop("ok")), found


async def _p4(wanted: argparse.Namespace) -> dict[str, Result]:
    with database() as server:
        found = await p4.run(server, wanted.scale, wanted.seed)
    return {"P4": (found.pop("ok"), found)}


async def _p7(wanted: argparse.Namespace) -> dict[str, Result]:
    if importlib.util.find_spec("proof.p7") is None:
        return {}
    from proof import p7

    found = await p7.run(wanted.scale, wanted.seed)
    return {"P7": (bool(found["ok"]), {name: value for name, value in found.items() if name not in KNOWN})}


async def _negatives(wanted: argparse.Namespace) -> dict[str, Result]:
    with database() as server:
        found = await negatives.run(server, wanted.seed, wanted.bug)
    for name, one in found.items():
        how = f"by {one['by']} ({one['count']})" if one["caught"] else f"NOT, expected {one['by']}"
        print(f"  seeded bug {name:<26} caught {how}", flush=True)
    caught = sum(one["caught"] for one in found.values())
    return {"NEG": (caught == len(found), {"bugs": len(found), "caught": caught, "by_bug": found})}


KNOWN = ("promise", "ok", "seed", "commit", "scale", "runs")
GROUPS: dict[tuple[str, ...], Callable[[argparse.Namespace], Awaitable[dict[str, Result]]]] = {
    ("P1", "P2"): _p1_p2,
    ("P3",): _p3,
    ("P4",): _p4,
    ("P5",): _p5,
    ("P7",): _p7,
    ("P11",): _p11,
    ("REDEPLOY",): _redeploy,
    ("NEG",): _negatives,
}


def _kept(wanted: argparse.Namespace) -> Path:
    """A folder of this run alone: a ledger of another run would be judged with it."""
    kept: Path = wanted.keep / f"{wanted.scale}-{wanted.seed}-{int(time.time())}"
    kept.mkdir(parents=True)
    return kept.resolve()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proof.run", description=__doc__)
    parser.add_argument("--scale", choices=("smoke", "gate", "release"), default="smoke")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only", default="", help=f"{','.join(names for group in GROUPS for names in group)}; P1 and P2 are one run"
    )
    parser.add_argument("--bug", choices=negatives.NAMES, default="", help="with --only NEG: this one alone")
    parser.add_argument("--out", type=Path, default=OUT, help="where <P>.json is kept")
    parser.add_argument("--keep", type=Path, help="keep logs, ledgers and the journal of P1+P2 here")
    return parser.parse_args()


def _chosen(only: str) -> Sequence[str]:
    known = [name for group in GROUPS for name in group]
    chosen = [name.strip().upper() for name in only.split(",") if name.strip()] or known
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        print(f"there is no promise {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        sys.exit(2)
    return chosen


if __name__ == "__main__":
    sys.exit(main())
