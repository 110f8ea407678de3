"""An export proves itself to somebody who has nothing of ours: found is whatever was done to it, and nothing else."""

import json
import random
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from export_deeds import INSIDE, PLAIN, STRANGER
from export_lab import Archive, command, exported
from proof.p7 import Lab
from typer.testing import CliRunner

from unstuck.cli.main import app
from unstuck.kernel.refusal import Missing
from unstuck.store.checking.export import Scope, export
from unstuck.store.seal import Signer
from unstuck.verifier.alone import text as verifier_text
from unstuck.verifier.check import verify
from unstuck.verifier.command import told
from unstuck.verifier.tree import leaf_hash

CLEAN = ("case", "order", "time", "all", "all with payloads")
DEEDS = {**INSIDE, **PLAIN}
# Loads verify.py where neither the site's packages nor ours can be found: only what it needs is linked into a folder.
ALONE = """
import importlib.util, json, sys
sys.path.append(sys.argv[1])
spec = importlib.util.spec_from_file_location("verify", sys.argv[2])
verify = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verify)
key = sys.argv[3]
print(json.dumps({path: verify.verify(verify.Path(path), [key]) for path in sys.argv[4:]}))
assert not [name for name in sys.modules if name.split(".")[0] in ("unstuck", "msgspec", "asyncpg")]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="module")
async def clean(lab: Lab, folder: Path) -> dict[str, Path]:
    """Exports of every scope, as they are made."""
    about = await lab.superuser.fetchrow(
        "SELECT c.id, order_id, c.number FROM fallout_case c JOIN evidence e ON e.case_id = c.id WHERE order_id IS NOT NULL"
        " GROUP BY c.id ORDER BY count(*) DESC, c.id LIMIT 1"
    )
    middle = await lab.superuser.fetchval("SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY recorded_at) FROM event")
    scopes = (
        Scope("case", f"FC-{about['number']}", payloads=True),
        Scope("order", str(about["order_id"])),
        Scope("time", since=middle - timedelta(minutes=1), until=middle),
        Scope("all"),
        Scope("all", payloads=True),
    )
    paths = {}
    for name, scope in zip(CLEAN, scopes, strict=True):
        paths[name] = folder / f"{name.replace(' ', '-')}.tar"
        await exported(lab, paths[name], scope)
    return paths


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the verifier and `cryptography`, and nothing else."""
    folder = tmp_path_factory.mktemp("alone")
    site = Path(sysconfig.get_paths()["platlib"])
    for package in ("cryptography", "cffi", "_cffi_backend*", "pycparser"):
        for path in site.glob(package):
            (folder / path.name).symlink_to(path)
    (folder / "verify.py").write_text(verifier_text())
    (folder / "driver.py").write_text(ALONE)
    return folder


@pytest.fixture(scope="module")
def forged(lab: Lab, clean: dict[str, Path], folder: Path) -> dict[str, Path]:
    """One file for each deed."""
    return {name: _do(lab, name, clean["case"], folder / f"forged-{n}.tar") for n, name in enumerate(DEEDS)}


@pytest.fixture(scope="module")
def said_alone(lab: Lab, clean: dict[str, Path], forged: dict[str, Path], alone: Path) -> dict[str, Any]:
    """What the verifier file says of every export, clean or not, run by itself."""
    return _alone(alone, lab.world.verifier, [*clean.values(), *forged.values()])


def _do(lab: Lab, name: str, source: Path, to: Path) -> Path:
    archive = Archive.of(source)
    before = [*archive.parts]
    DEEDS[name](archive, random.Random(name))
    assert archive.parts != before or archive.end != bytes(1024) or archive.headers
    if name in INSIDE:
        signer = lab.world.keys.signer(None)
        assert signer is not None
        archive.sign(signer)
    archive.write(to)
    return to


def _alone(folder: Path, key: str, paths: list[Path]) -> dict[str, Any]:
    command = [sys.executable, "-I", "-S", str(folder / "driver.py"), str(folder), str(folder / "verify.py"), key]
    run = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, check=False, cwd=folder)
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout))


def on_the_command_line(*arguments: str) -> tuple[int, Any]:
    result = CliRunner().invoke(app, ["audit", "verify", *arguments, "--json"])
    return result.exit_code, json.loads(result.stdout) if result.stdout else None


@pytest.mark.parametrize("name", CLEAN)
async def test_what_nobody_touched_is_clean(
    lab: Lab, clean: dict[str, Path], said_alone: dict[str, Any], name: str
) -> None:
    report = verify(clean[name], [lab.world.verifier], lab.world.elsewhere)
    assert (report["ok"], report["findings"], report["trusted"]) == (True, [], True)
    assert report["sealed"] == report["events"] > 0
    assert report["held_elsewhere"] == report["checkpoint"] > 500
    assert said_alone[str(clean[name])] == {**report, "held_elsewhere": 0}
    assert ("payloads" in name or name == "case") == bool(report["payloads"])


def test_there_are_many_kinds_of_deeds() -> None:
    assert len(DEEDS) >= 90


@pytest.mark.parametrize("name", DEEDS)
def test_whatever_is_done_to_an_export_is_found_by_both(
    lab: Lab, forged: dict[str, Path], said_alone: dict[str, Any], name: str
) -> None:
    code, report = on_the_command_line("--export", str(forged[name]), "--key", lab.world.verifier)
    assert (code, report["ok"]) == (1, False)
    assert report["found"] == len(report["findings"]) > 0
    assert said_alone[str(forged[name])] == report
    assert name not in INSIDE or {f["where"] for f in report["findings"]} != {"manifest.note"}


async def test_an_export_cut_at_any_block_is_found(lab: Lab, clean: dict[str, Path], folder: Path) -> None:
    whole, cut = clean["case"].read_bytes(), folder / "cut.tar"
    for at in range(0, len(whole), 512):
        cut.write_bytes(whole[: at + (at // 512) % 2])
        assert not verify(cut, [lab.world.verifier])["ok"], at


async def test_a_bit_changed_anywhere_is_found(lab: Lab, clean: dict[str, Path], folder: Path) -> None:
    whole, changed = clean["case"].read_bytes(), folder / "bit.tar"
    for seed in range(300):
        at = random.Random(seed).randrange(len(whole))
        changed.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << seed % 8]) + whole[at + 1 :])
        assert not verify(changed, [lab.world.verifier])["ok"], at


async def test_a_history_made_up_whole_convinces_nobody_who_holds_a_key(
    lab: Lab, clean: dict[str, Path], folder: Path
) -> None:
    made_up = Archive.of(clean["case"])
    line = made_up.lines("events.jsonl")[0]
    fields = json.loads(line["envelope"])
    line |= {"n": 0, "proof": [], "envelope": json.dumps([fields[0], 1, *fields[2:]])}
    root = leaf_hash(line["envelope"].encode(), line["data"].encode())
    about = json.loads(made_up.get("about.json")) | {"size": 1, "payloads": False}
    made_up.parts = [part for part in made_up.parts if not part[0].startswith("payloads/")]
    made_up.set("about.json", json.dumps(about).encode())
    made_up.set("absent.jsonl", b"")
    made_up.set_lines("keys.jsonl", [{"verifier": STRANGER.verifier()}])
    made_up.set_lines("checkpoints.jsonl", [{"note": STRANGER.note(1, root), "consistency": []}])
    made_up.set_lines("events.jsonl", [line])
    manifest = {"events": 1, "sealed": 1, "payloads": 0, "payload_names": sha256().hexdigest()}
    made_up.set("manifest.json", json.dumps({"members": {}, **manifest}).encode())
    made_up.sign(STRANGER)
    made_up.write(folder / "made-up.tar")
    alone = verify(folder / "made-up.tar")
    assert (alone["ok"], alone["trusted"]) == (True, False)
    assert "proves nothing about who made it" in told(alone)
    assert "signature" in {f["what"] for f in verify(folder / "made-up.tar", [lab.world.verifier])["findings"]}
    assert not verify(folder / "made-up.tar", None, lab.world.elsewhere[:1])["ok"]


async def test_a_checkpoint_held_elsewhere_joins(lab: Lab, clean: dict[str, Path]) -> None:
    old, new = lab.world.elsewhere[0], lab.world.elsewhere[-1]
    size = int(old.split("\n")[1])
    for name in ("case", "all"):
        assert verify(clean[name], None, [old])["held_elsewhere"] == size
        assert verify(clean[name], None, [old, new])["held_elsewhere"] > size
    forked = _signer(lab).note(size, b"r" * 32)
    assert [f["what"] for f in verify(clean["case"], None, [forked])["findings"]] == ["checkpoint"]
    assert [f["what"] for f in verify(clean["case"], None, [STRANGER.note(size, b"r" * 32)])["findings"]] == [
        "signature"
    ]


async def test_what_cannot_be_joined_is_said_and_not_passed_over(lab: Lab, clean: dict[str, Path]) -> None:
    newer = _signer(lab).note(10**6, b"r" * 32)
    between = _signer(lab).note(17, b"r" * 32)
    for note, because in ((newer, "the export is older"), (between, "does not show how it grew")):
        (finding,) = verify(clean["case"], None, [note])["findings"]
        assert finding["what"] == "not-joined"
        assert because in finding["because"]
    (finding,) = verify(clean["all"], None, [between])["findings"]
    assert finding["what"] == "checkpoint", "a whole history shows its root at every size"


def _signer(lab: Lab) -> Signer:
    signer = lab.world.keys.signer(None)
    assert signer is not None
    return signer


async def test_two_exports_join_by_their_checkpoints(lab: Lab, clean: dict[str, Path]) -> None:
    code, report = on_the_command_line("--export", str(clean["case"]), "--checkpoint", str(clean["order"]))
    assert (code, report["held_elsewhere"]) == (0, report["checkpoint"])


async def test_what_is_not_sealed_is_called_so(lab: Lab, folder: Path) -> None:
    undo = lab.superuser.transaction()
    await undo.start()
    try:
        await lab.superuser.execute("SET LOCAL session_replication_role = replica")
        await lab.superuser.execute("DELETE FROM checkpoint WHERE size = (SELECT max(size) FROM checkpoint)")
        for kind in ("all", "time"):
            path = folder / f"unsealed-{kind}.tar"
            made = await export(
                lab.superuser, lab.world.keys, lab.blobs, Scope(kind), path, lab.world.ports.now(), print
            )
            report = verify(path, [lab.world.verifier])
            assert report["ok"]
            assert report["sealed"] == made["sealed"] == int(lab.world.elsewhere[0].split("\n")[1])
            assert report["unsealed"] == made["unsealed"] > 100
        await lab.superuser.execute("DELETE FROM checkpoint")
        await export(lab.superuser, lab.world.keys, lab.blobs, Scope("all"), path, lab.world.ports.now(), print)
        report = verify(path, [lab.world.verifier])
        assert (report["ok"], report["sealed"], report["trusted"]) == (True, 0, False)
    finally:
        await undo.rollback()


async def test_the_export_of_a_changed_database_does_not_verify(lab: Lab, folder: Path) -> None:
    deeds = {
        "UPDATE event SET by = 'x' WHERE seq = 2": ("all", "time"),
        "DELETE FROM event WHERE seq = 2": ("all", "time"),
        "UPDATE leaf SET hash = sha256('x') WHERE n = 3": ("time",),  # all events prove themselves without it
        "UPDATE tile SET hash = sha256('x') WHERE n = 1": ("time",),
        "UPDATE checkpoint SET note = replace(note, 'a', 'b')": ("all", "time"),
    }
    for n, (deed, kinds) in enumerate(deeds.items()):
        undo = lab.superuser.transaction()
        await undo.start()
        try:
            await lab.superuser.execute("SET LOCAL session_replication_role = replica")
            await lab.superuser.execute(deed)
            for kind in kinds:
                path = folder / f"changed-{n}-{kind}.tar"
                await export(lab.superuser, lab.world.keys, lab.blobs, Scope(kind), path, lab.world.ports.now(), print)
                assert not verify(path, [lab.world.verifier])["ok"]
        finally:
            await undo.rollback()


@pytest.mark.parametrize("name", ["FC-999999", "nonsense", "0191a3a0-0000-7000-8000-000000000000"])
async def test_nothing_is_left_of_an_export_that_could_not_be_made(lab: Lab, folder: Path, name: str) -> None:
    with pytest.raises(Missing):
        await exported(lab, folder / "none.tar", Scope("case", name))
    assert not list(folder.glob("none.tar*"))


def test_wrong_use_and_unreadable_files_have_their_exit_codes(
    lab: Lab, clean: dict[str, Path], folder: Path, alone: Path
) -> None:
    export = str(clean["case"])
    (folder / "no-note.txt").write_text("hello")
    assert on_the_command_line("--export", str(folder / "nowhere.tar"))[0] == 2
    assert on_the_command_line("--export", export, "--key", "n+1+!")[0] == 2
    assert on_the_command_line("--export", export, "--checkpoint", str(folder / "no-note.txt"))[0] == 1
    run = [sys.executable, str(alone / "verify.py")]
    codes = {
        (export,): 0,
        (export, "--key", lab.world.verifier): 0,
        (export, "--key", STRANGER.verifier()): 1,
        (export, "--key", "n+1+!"): 2,
        (str(folder / "nowhere.tar"),): 3,
    }
    for arguments, code in codes.items():
        assert subprocess.run([*run, *arguments], capture_output=True, check=False).returncode == code, arguments
    assert CliRunner().invoke(app, ["audit", "verifier"]).stdout == (alone / "verify.py").read_text()


def test_the_enclosed_verifier_is_the_one_we_print(clean: dict[str, Path]) -> None:
    assert Archive.of(clean["case"]).get("verify.py").decode() == verifier_text()


def test_any_tar_can_be_opened_by_anybody(clean: dict[str, Path]) -> None:
    with tarfile.open(clean["case"]) as tar:
        assert tar.getnames() == Archive.of(clean["case"]).names()


async def test_an_export_of_the_same_moment_is_the_same_file(lab: Lab, clean: dict[str, Path], folder: Path) -> None:
    await exported(lab, folder / "again.tar", Scope("all", payloads=True))
    assert (folder / "again.tar").read_bytes() == clean["all with payloads"].read_bytes()
    assert (folder / "again.tar").stat().st_mode & 0o777 == 0o600


@pytest.fixture(scope="module", autouse=True)
def tidy(folder: Path) -> Iterator[None]:
    yield
    for path in folder.glob("*.tar"):
        path.unlink()


async def test_the_command_line_makes_an_export_that_it_verifies(lab: Lab, folder: Path) -> None:
    path = str(folder / "made.tar")
    code, made = await command(lab, "audit", "export", "--all", "--payloads", "--out", path, "--json")
    assert (code, made["unsealed"], made["key"]) == (0, 0, lab.world.verifier)
    code, report = await command(lab, "audit", "verify", "--export", path, "--key", made["key"], "--json")
    assert (code, report["sealed"], report["payloads"], report["trusted"]) == (
        0,
        made["events"],
        made["payloads"],
        True,
    )
    held = folder / "held.txt"
    held.write_text(lab.world.elsewhere[0])
    code, report = await command(lab, "audit", "verify", "--export", path, "--checkpoint", str(held), "--json")
    assert (code, report["held_elsewhere"]) == (0, int(lab.world.elsewhere[0].split("\n")[1]))


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--all", "--case", "FC-1001"), 2, "give one of"),
        ((), 2, "give one of"),
        (("--case", "FC-999999"), 2, "is not known here"),
        (("--order", "nonsense"), 2, "give an id"),
        (("--all", "--out", "/nowhere/x.tar"), 2, "is no folder"),
        (("--all", "--checkpoint", "/nowhere/c.txt"), 2, "is no file"),
    ],
)
async def test_an_export_that_cannot_be_made_says_why(
    lab: Lab, folder: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    said = await command(lab, "audit", "export", "--out", str(folder / "never.tar"), *arguments)
    assert (said[0], says in said[1]) == (code, True), said
    assert not list(folder.glob("never*"))


async def test_without_the_signing_key_or_the_database_there_is_no_export(
    lab: Lab, folder: Path, tmp_path: Path
) -> None:
    away = {"UNSTUCK_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    for environment, says in (({"UNSTUCK_DATA": str(tmp_path)}, "signing key in force"), (away, "cannot be reached")):
        code, said = await command(lab, "audit", "export", "--all", "--out", str(folder / "never.tar"), **environment)
        assert (code, says in said) == (3, True), said
