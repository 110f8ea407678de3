"""A new signing key takes over by the old one's word; the old one, even stolen, signs nothing afterwards."""

import json
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from export_lab import Archive, command, exported
from proof.p7 import Lab, tamper_lab
from proof.small_world import Target, run, submit

from unstuck.kernel.refusal import Refused
from unstuck.service.history.audit import keys, rotate_key
from unstuck.store.checking.audit import Report, verify
from unstuck.store.checking.export import Scope
from unstuck.store.keys import STREAM, KeyFiles
from unstuck.store.seal import Signer, seal
from unstuck.verifier import check
from unstuck.verifier.note import BadNote, Keys

ROTATED = "signing-key.rotated"


@pytest.fixture(scope="module")
async def twice() -> AsyncIterator[Lab]:
    """A world whose key was replaced two times, with orders before, between and after."""
    async with tamper_lab(seed=7, orders=4) as lab:
        for turn in (1, 2):
            await rotate_key(lab.world.ports, lab.world.keys, "person:ana")
            await happen(lab, turn)
        yield lab


async def happen(lab: Lab, turn: int) -> None:
    """More orders, sealed by whoever's turn it is to sign."""
    ports, target = lab.world.ports, Target(turn)
    names = ports.book.current.document.targets
    moving = msgspec.structs.replace(ports, connectors=dict.fromkeys(names, target))
    await submit(moving, 4, random.Random(turn), f"TURN{turn}")
    await run(moving, target, names)
    await signed(lab, turn)


async def signed(lab: Lab, turn: int, keyring: Any = None) -> None:
    for n in range(2):
        at = lab.world.ports.now() + timedelta(hours=turn, minutes=2 * n)
        await seal(lab.world.ports.store.pool, keyring or lab.world.keys, at, None)


async def audited(lab: Lab, given: list[str], elsewhere: list[str] | None = None) -> Report:
    held = lab.world.elsewhere if elsewhere is None else elsewhere
    return await verify(lab.world.ports.store.pool, lab.blobs, verifier_keys=given, checkpoints_elsewhere=held)


async def on_record(lab: Lab) -> list[Any]:
    return list(await lab.superuser.fetch("SELECT * FROM signing_key ORDER BY no"))


async def test_the_history_of_keys_is_an_event_and_a_row_each(twice: Lab) -> None:
    rows = await on_record(twice)
    events = await twice.superuser.fetch("SELECT * FROM event WHERE stream = $1 ORDER BY seq", STREAM)
    assert [row["no"] for row in rows] == [1, 2, 3]
    assert [(e["seq"], e["type"], e["by"]) for e in events] == [(1, ROTATED, "person:ana"), (2, ROTATED, "person:ana")]
    assert [json.loads(e["data"])["new"] for e in events] == [row["verifier"] for row in rows[1:]]
    chain = Keys(rows[0]["verifier"], [row["note"] for row in rows[1:]])
    assert [key.line for key in chain.keys] == [row["verifier"] for row in rows]
    assert 0 == chain.after[0] < chain.after[1] < chain.after[2]


async def test_each_checkpoint_is_signed_by_the_key_in_force(twice: Lab) -> None:
    rows = await on_record(twice)
    chain = Keys(rows[0]["verifier"], [row["note"] for row in rows[1:]])
    signers = set()
    for row in await twice.superuser.fetch("SELECT size, note FROM checkpoint"):
        chain.read(row["note"])
        signers.add(next(n for n, key in enumerate(chain.keys) if key.has_signed(row["note"])))
    assert signers == {0, 1, 2}


async def test_who_trusts_the_first_key_trusts_all_and_who_trusts_the_last_only_what_it_signed(twice: Lab) -> None:
    first, second, last = [row["verifier"] for row in await on_record(twice)]
    for given in ([first], [second], [first, last], [last]):
        report = await audited(twice, given, twice.world.elsewhere if first in given else [])
        assert (report.findings, report.unsealed) == ([], 0)
    old = await audited(twice, [last])
    assert (old.ok, old.held_elsewhere) == (True, 0), (
        "an old checkpoint fits, but vouches only for those who trust its key"
    )


async def test_a_stranger_is_trusted_by_nobody(twice: Lab) -> None:
    report = await audited(twice, [Signer("unstuck.local", b"x" * 32).verifier()])
    assert {finding.what for finding in report.findings} == {"signature"}
    assert report.sealed == 0


async def test_a_stolen_old_key_signs_no_checkpoint_after_the_change(twice: Lab) -> None:
    rows = await on_record(twice)
    stolen = twice.world.keys.signer(rows[0]["verifier"])
    assert stolen is not None
    size = await twice.superuser.fetchval("SELECT max(size) FROM checkpoint")
    root = await twice.superuser.fetchval("SELECT root FROM checkpoint WHERE size = $1", size)
    for note in (stolen.note(size, root), stolen.note(size + 5, b"r" * 32)):
        (finding, *_) = (await audited(twice, [rows[0]["verifier"]], [note])).findings
        assert (finding.what, finding.where) == ("signature", "checkpoint held elsewhere")
        assert "not in force" in finding.because
    with pytest.raises(BadNote, match="without the signature"):
        Keys(rows[0]["verifier"], [stolen.statement("key rotation", rows[1]["verifier"], stolen.verifier(), size)])


async def test_a_process_that_has_only_the_old_key_seals_and_does_not_sign(twice: Lab) -> None:
    rows = await on_record(twice)
    old = twice.world.keys.signer(rows[0]["verifier"])
    before = await twice.superuser.fetchval("SELECT count(*) FROM checkpoint")
    await submit(twice.world.ports, 1, random.Random(9), "LATE")
    await signed(twice, 3, old)
    assert await twice.superuser.fetchval("SELECT count(*) FROM checkpoint") == before
    assert (await audited(twice, [rows[0]["verifier"]])).unsealed > 0
    await signed(twice, 4)
    assert (await audited(twice, [rows[0]["verifier"]])).unsealed == 0


async def test_a_running_process_finds_the_new_key(twice: Lab, tmp_path: Path) -> None:
    files = KeyFiles("here", tmp_path / "signing.key")
    running, first = KeyFiles("here", tmp_path / "signing.key"), files.signer(None)
    assert first is not None
    assert running.signer(first.verifier()) is not None
    second = files.add()
    assert running.signer(second.verifier()) is not None, "before it is settled"
    files.settle(second.verifier())
    files.settle(second.verifier())
    assert {running.signer(line).verifier() for line in files.verifiers()} == {first.verifier(), second.verifier()}  # type: ignore[union-attr]
    assert files.signer(None).verifier() == second.verifier()  # type: ignore[union-attr]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "signing.key",
        f"signing.key.{first.verifier().split('+')[1]}",
    ]


async def test_a_crash_between_the_change_and_its_file_leaves_the_key_at_hand(twice: Lab) -> None:
    class Crashing(KeyFiles):
        def settle(self, verifier: str) -> None:
            raise OSError("power is gone")

    files = twice.world.keys
    with pytest.raises(OSError, match="power"):
        await rotate_key(twice.world.ports, Crashing("unstuck.local", files._path), "person:ana")
    newest = (await on_record(twice))[-1]["verifier"]
    assert files.signer(newest) is not None
    await submit(twice.world.ports, 1, random.Random(10), "CRASHED")
    await signed(twice, 5)
    assert (await audited(twice, files.verifiers()[:1])).sealed > 0
    files.settle(newest)


async def test_without_the_key_in_force_no_key_is_replaced(twice: Lab, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="bring its file"):
        await rotate_key(twice.world.ports, KeyFiles("unstuck.local", tmp_path / "signing.key"), "person:eve")


async def test_an_export_shows_how_its_keys_replaced_each_other(twice: Lab, tmp_path: Path) -> None:
    lines = [row["verifier"] for row in await on_record(twice)]
    made = await exported(twice, tmp_path / "all.tar", Scope("all"))
    assert made["key"] == lines[-1]
    for line in lines:
        report = check.verify(tmp_path / "all.tar", [line])
        assert (report["findings"], report["trusted"]) == ([], True)
    assert check.verify(tmp_path / "all.tar", [lines[0]], twice.world.elsewhere)["held_elsewhere"] > 0
    deeds: dict[str, Any] = {
        "a change left out": lambda kept: [kept[0], *kept[2:]],
        "the last change left out": lambda kept: kept[:-1],
        "changes turned around": lambda kept: [kept[0], *kept[:0:-1]],
        "a change twice": lambda kept: [*kept, kept[-1]],
        "the first key gone": lambda kept: [{"verifier": lines[1]}, *kept[2:]],
    }
    for name, deed in deeds.items():
        archive = Archive.of(tmp_path / "all.tar")
        archive.set_lines("keys.jsonl", deed(archive.lines("keys.jsonl")))
        archive.sign(twice.world.keys.signer(lines[-1]))  # type: ignore[arg-type]
        archive.write(tmp_path / "forged.tar")
        report = check.verify(tmp_path / "forged.tar", [lines[0]])
        assert not report["ok"], name


async def test_an_old_key_signs_no_export_either(twice: Lab, tmp_path: Path) -> None:
    lines = [row["verifier"] for row in await on_record(twice)]
    await exported(twice, tmp_path / "all.tar", Scope("all"))
    archive = Archive.of(tmp_path / "all.tar")
    archive.sign(twice.world.keys.signer(lines[0]))  # type: ignore[arg-type]
    archive.write(tmp_path / "stolen.tar")
    assert [f["what"] for f in check.verify(tmp_path / "stolen.tar", [lines[0]])["findings"]] == ["signature"]


async def test_the_keys_are_shown_with_the_sizes_they_sign(twice: Lab) -> None:
    shown = await keys(twice.world.ports)
    assert [one.until for one in shown.history] == [*(one.after for one in shown.history[1:]), None]
    assert len({jwk.kid for jwk in shown.keys}) == len(shown.history)


async def test_the_command_line_replaces_the_key_and_verifies_by_all_it_has(twice: Lab) -> None:
    before = await on_record(twice)
    code, said = await command(twice, "audit", "rotate-key", "--json")
    rows = await on_record(twice)
    assert (code, said["old"], said["new"]) == (0, before[-1]["verifier"], rows[-1]["verifier"])
    assert len(rows) == len(before) + 1
    assert twice.world.keys.signer(None).verifier() == said["new"]  # type: ignore[union-attr]
    code, report = await command(twice, "audit", "verify", "--json")
    assert (code, report["findings"]) == (0, [])
    assert report["sealed"] > 0
