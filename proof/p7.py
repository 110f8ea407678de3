"""P7, evidence and audit hold: whatever a superuser changes of the sealed past is found offline; nothing else is."""

import argparse
import asyncio
import json
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from proof.small_world import World, small_world
from proof.tampering import Act, Hand, kinds, lawless
from unstuck.store.blobs import FileBlobs
from unstuck.store.checking.audit import Report, verify_view
from unstuck.store.migrate import migrate
from unstuck.store.server import DATABASE, EmbeddedServer

TAMPERINGS = {"smoke": 50, "gate": 500, "release": 10_000}
HARMLESS_RUNS = 20
# What may change at any time without a word in the history; an audit must not mind.
HARMLESS = (
    "UPDATE task SET tries = tries + 1, due = now(), lease = now(), owner = 'somebody'",
    "UPDATE orders SET prio = 1",
    "UPDATE outcome SET at = at + interval '1 second'",
    "DELETE FROM timer",
    "UPDATE policy_pack SET stored_at = now()",
    "SELECT 1",
)


class Lab:
    """A finished small world and a superuser in it. Whatever is done to it is undone."""

    def __init__(self, world: World, superuser: asyncpg.Connection, blobs: FileBlobs) -> None:
        self.world, self.superuser, self.blobs = world, superuser, blobs

    async def after(self, act: Act, dice: random.Random, elsewhere: Sequence[str] | None = None) -> Report:
        """What an audit says when `act` was done behind our back; with fewer checkpoints than were kept, if given."""
        hand = Hand(self.superuser, self.blobs, dice)
        undo = self.superuser.transaction()
        await undo.start()
        try:
            await lawless(self.superuser)
            await act(hand)
            held = self.world.elsewhere if elsewhere is None else elsewhere
            keys = [self.world.verifier]
            return await verify_view(self.superuser, self.blobs, verifier_keys=keys, checkpoints_elsewhere=held)
        finally:
            await undo.rollback()
            await hand.put_back()


@asynccontextmanager
async def tamper_lab(seed: int, orders: int = 30) -> AsyncIterator[Lab]:
    """A server of its own with a small world in it."""
    folder = Path(tempfile.mkdtemp(prefix="unstuck-p7-"))
    folder.chmod(0o755)
    try:
        with EmbeddedServer.start(folder / "data", settings={"shared_buffers": "64MB"}) as server:
            await migrate(server.urls.owner)
            async with small_world(server.urls, folder / "files", seed, orders) as world:
                superuser = await asyncpg.connect(server.superuser_url, database=DATABASE)
                try:
                    yield Lab(world, superuser, FileBlobs(folder / "files" / "evidence"))
                finally:
                    await superuser.close()
    finally:
        shutil.rmtree(folder)


async def run(scale: str, seed: int, out: Path | None = None) -> dict[str, Any]:
    """Tamper at random, one deed at a time, and count what the audit misses; then look for false alarms."""
    dice = random.Random(seed)
    known = kinds()
    missed, false_alarms, done = [], [], set()
    async with tamper_lab(seed) as lab:
        names = _drawn(list(known), TAMPERINGS[scale], dice)
        for turn, name in enumerate(names):
            done.add(name)
            if (await lab.after(known[name], random.Random(f"{seed} {turn}"))).ok:
                missed.append({"turn": turn, "kind": name})
        for turn in range(HARMLESS_RUNS):
            report = await lab.after(_harmless(HARMLESS[turn % len(HARMLESS)]), dice)
            false_alarms += [f"{finding.where}: {finding.because}" for finding in report.findings]
        sealed = (await lab.after(_harmless("SELECT 1"), dice)).held_elsewhere
    result = {
        "promise": "P7",
        "ok": not missed and not false_alarms,
        "seed": seed,
        "tamperings": len(names),
        "kinds": len(done),
        "found": len(names) - len(missed),
        "missed": missed,
        "false_alarms": false_alarms,
        "events": sealed,
    }
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "p7.json").write_text(json.dumps(result, indent=2))
    return result


def _drawn(names: list[str], count: int, dice: random.Random) -> list[str]:
    """Every kind as often as another, in random order."""
    drawn: list[str] = []
    while len(drawn) < count:
        drawn += dice.sample(names, min(len(names), count - len(drawn)))
    return drawn


def _harmless(statement: str) -> Act:
    async def act(hand: Hand) -> None:
        await hand.conn.execute(statement)

    return act


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", choices=TAMPERINGS, default="smoke")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    result = asyncio.run(run(given.scale, given.seed))
    print(json.dumps(result, indent=2))
    raise SystemExit(not result["ok"])


if __name__ == "__main__":
    main()
