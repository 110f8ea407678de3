"""What somebody may do to an export: every kind by name. `PLAIN` deeds leave the manifest as it was; `INSIDE` deeds are
followed by a manifest signed with the true key, so that only what is proven about each event can find them."""

import json
import random
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from export_lab import Archive, Deed

from unstuck.store.seal import Signer
from unstuck.verifier.archive import header

STRANGER = Signer("unstuck.local", b"x" * 32)
INSIDE: dict[str, Deed] = {}
PLAIN: dict[str, Deed] = {}
Change = Callable[[dict[str, Any], random.Random], None]


def inside(deed: Deed) -> Deed:
    INSIDE[deed.__name__.replace("_", " ")] = deed
    return deed


def plain(deed: Deed) -> Deed:
    PLAIN[deed.__name__.replace("_", " ")] = deed
    return deed


def sealed(a: Archive) -> list[dict[str, Any]]:
    return [line for line in a.lines("events.jsonl") if line["proof"] is not None]


def in_event(name: str, change: Change) -> None:
    """One sealed event with something about it changed."""

    def deed(a: Archive, dice: random.Random) -> None:
        lines = a.lines("events.jsonl")
        change(dice.choice([line for line in lines if line["proof"]]), dice)
        a.set_lines("events.jsonl", lines)

    INSIDE[name] = deed


def envelope(at: int, new: Callable[[Any], Any]) -> Change:
    def change(line: dict[str, Any], _dice: random.Random) -> None:
        fields = json.loads(line["envelope"])
        fields[at] = new(fields[at])
        line["envelope"] = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)

    return change


def put(name: str, value: Any) -> Change:
    return lambda line, _dice: line.update({name: value(line) if callable(value) else value})


def flip(encoded: str) -> str:
    return ("B" if encoded[0] == "A" else "A") + encoded[1:]


for at, called, new in (
    (0, "stream", lambda v: v[:-1] + ("0" if v[-1] != "0" else "1")),
    (1, "seq", lambda v: v + 1),
    (2, "time", lambda v: "2020" + v[4:]),
    (3, "recorded time", lambda v: "2020" + v[4:]),
    (4, "type", lambda v: v + "x"),
    (5, "version", lambda v: v + 1),
    (6, "actor", lambda v: "person:eve"),
):
    in_event(f"event {called} edited", envelope(at, new))
in_event("event data edited", put("data", lambda line: line["data"] + " "))
in_event("event envelope spaced", put("envelope", lambda line: line["envelope"].replace(",", ", ")))
in_event("event envelope is no list", put("envelope", "{}"))
in_event("event envelope is no text", put("envelope", 5))
in_event("event data is null", put("data", None))
in_event("event seq out of reach", envelope(1, lambda v: 10**12))
in_event("leaf number raised", put("n", lambda line: line["n"] + 1))
in_event("leaf number negative", put("n", -1))
in_event("leaf number a truth value", put("n", True))
in_event("leaf number a fraction", put("n", 0.5))
in_event("proof with a hash changed", put("proof", lambda line: [flip(line["proof"][0]), *line["proof"][1:]]))
in_event("proof too short", put("proof", lambda line: line["proof"][:-1]))
in_event("proof too long", put("proof", lambda line: [*line["proof"], line["proof"][0]]))
in_event("proof turned around", put("proof", lambda line: line["proof"][::-1]))
in_event("proof missing", put("proof", None))
in_event("proof no base64", put("proof", lambda line: ["?" * 44, *line["proof"][1:]]))
in_event("proof no list", put("proof", 7))
in_event("event with one more field", put("comment", "trust me"))
in_event("event without data", lambda line, _dice: line.pop("data"))


@inside
def events_swapped(a: Archive, dice: random.Random) -> None:
    lines = a.lines("events.jsonl")
    i = dice.randrange(len(lines) - 1)
    lines[i], lines[i + 1] = lines[i + 1], lines[i]
    a.set_lines("events.jsonl", lines)


@inside
def events_exchanged_under_their_proofs(a: Archive, dice: random.Random) -> None:
    lines = a.lines("events.jsonl")
    one, other = dice.sample(lines, 2)
    one["data"], other["data"] = other["data"], one["data"]
    a.set_lines("events.jsonl", lines)


@inside
def event_removed_from_the_middle(a: Archive, _dice: random.Random) -> None:
    a.set_lines("events.jsonl", [line for line in a.lines("events.jsonl") if json.loads(line["envelope"])[1] != 2])


@inside
def event_there_twice(a: Archive, dice: random.Random) -> None:
    lines = a.lines("events.jsonl")
    a.set_lines("events.jsonl", [lines[0], *lines])


@inside
def event_forged_under_another_ones_proof(a: Archive, _dice: random.Random) -> None:
    lines = a.lines("events.jsonl")
    fields = json.loads(lines[-1]["envelope"])
    forged = {**lines[-1], "n": lines[-1]["n"] + 1, "envelope": json.dumps([fields[0], fields[1] + 1, *fields[2:]])}
    a.set_lines("events.jsonl", [*lines, forged])


@inside
def a_line_that_is_no_json(a: Archive, _dice: random.Random) -> None:
    a.set("events.jsonl", a.get("events.jsonl") + b"no\n")


@inside
def a_field_there_twice(a: Archive, _dice: random.Random) -> None:
    a.set("events.jsonl", a.get("events.jsonl").replace(b'"data":', b'"data":"[]","data":', 1))


@inside
def a_line_nested_too_deeply(a: Archive, _dice: random.Random) -> None:
    a.set("events.jsonl", a.get("events.jsonl") + b"[" * 100_000 + b"\n")


@inside
def a_last_line_without_its_end(a: Archive, _dice: random.Random) -> None:
    a.set("events.jsonl", a.get("events.jsonl")[:-1])


def in_checkpoint(name: str, change: Change, which: int = -1) -> None:
    def deed(a: Archive, dice: random.Random) -> None:
        lines = a.lines("checkpoints.jsonl")
        change(lines[which], dice)
        a.set_lines("checkpoints.jsonl", lines)

    INSIDE[name] = deed


def renoted(part: int, new: Callable[[str], str]) -> Change:
    def change(line: dict[str, Any], _dice: random.Random) -> None:
        parts = line["note"].split("\n")
        parts[part] = new(parts[part])
        line["note"] = "\n".join(parts)

    return change


def forged_note(line: dict[str, Any], _dice: random.Random) -> None:
    size = int(line["note"].split("\n")[1])
    line["note"] = STRANGER.note(size, b"r" * 32)


in_checkpoint("checkpoint of another origin", renoted(0, lambda v: v + "x"))
in_checkpoint("checkpoint of another size", renoted(1, lambda v: str(int(v) + 1)))
in_checkpoint("checkpoint with another root", renoted(2, flip))
in_checkpoint("checkpoint signature changed", renoted(4, lambda v: v[:-9] + flip(v[-9:-8]) + v[-8:]))
in_checkpoint("checkpoint without signature", renoted(4, lambda v: ""))
in_checkpoint("checkpoint signed by a stranger", forged_note)
in_checkpoint("checkpoint note no text", put("note", 1))
in_checkpoint("checkpoint with one more line", renoted(2, lambda v: v + "\nextra"))
in_checkpoint("older checkpoint signed by a stranger", forged_note, 0)
in_checkpoint(
    "consistency with a hash changed",
    put("consistency", lambda v: [flip(v["consistency"][0]), *v["consistency"][1:]]),
    0,
)
in_checkpoint("consistency cut", put("consistency", lambda v: v["consistency"][:-1]), 0)
in_checkpoint("consistency gone", put("consistency", []), 0)
in_checkpoint("consistency where none is due", put("consistency", lambda v: ["A" * 43 + "="]))


@inside
def newest_checkpoint_dropped(a: Archive, _dice: random.Random) -> None:
    a.set_lines("checkpoints.jsonl", a.lines("checkpoints.jsonl")[:-1])


@inside
def all_checkpoints_dropped(a: Archive, _dice: random.Random) -> None:
    a.set("checkpoints.jsonl", b"")


@inside
def checkpoints_turned_around(a: Archive, _dice: random.Random) -> None:
    a.set_lines("checkpoints.jsonl", a.lines("checkpoints.jsonl")[::-1])


@inside
def a_checkpoint_there_twice(a: Archive, _dice: random.Random) -> None:
    lines = a.lines("checkpoints.jsonl")
    a.set_lines("checkpoints.jsonl", [lines[0], *lines])


@inside
def key_of_a_stranger(a: Archive, _dice: random.Random) -> None:
    a.set_lines("keys.jsonl", [{"verifier": STRANGER.verifier()}])


@inside
def key_gone(a: Archive, _dice: random.Random) -> None:
    a.set("keys.jsonl", b"")


@inside
def key_unreadable(a: Archive, _dice: random.Random) -> None:
    a.set_lines("keys.jsonl", [{"verifier": "unstuck.local+00000000+AQID"}])


@inside
def a_rotation_that_nobody_signed(a: Archive, _dice: random.Random) -> None:
    first = a.lines("keys.jsonl")[0]
    note = STRANGER.statement("key rotation", first["verifier"], STRANGER.verifier(), 10**6)
    a.set_lines("keys.jsonl", [first, {"note": note}])


def in_about(name: str, **fields: Any) -> None:
    def deed(a: Archive, _dice: random.Random) -> None:
        a.set("about.json", json.dumps(json.loads(a.get("about.json")) | fields).encode())

    INSIDE[name] = deed


in_about("size lowered", size=5)
in_about("size no number", size="5")
in_about("said to be complete", complete=True)
in_about("of another format", format="unstuck-audit-export/0")
in_about("of another origin", origin="elsewhere")
in_about("said to have no payloads", payloads=False)


def payload(a: Archive) -> str:
    return next(name for name in a.names() if name.startswith("payloads/"))


@inside
def payload_edited(a: Archive, _dice: random.Random) -> None:
    a.set(payload(a), a.get(payload(a)) + b" ")


@inside
def payload_exchanged_under_its_true_name(a: Archive, _dice: random.Random) -> None:
    name = payload(a)
    parts = [(f"payloads/{sha256(b'forged').hexdigest()}", b"forged") if n == name else (n, d) for n, d in a.parts]
    a.parts = sorted(parts, key=lambda p: (order(p[0]), p[0] if p[0].startswith("payloads/") else ""))


def order(name: str) -> int:
    before = ("about.json", "verify.py", "keys.jsonl", "checkpoints.jsonl", "events.jsonl", "payloads/")
    return next((i for i, known in enumerate(before) if name.startswith(known)), 9)


@inside
def payload_removed(a: Archive, _dice: random.Random) -> None:
    name = payload(a)
    a.parts = [part for part in a.parts if part[0] != name]


@inside
def payload_excused_though_it_is_there(a: Archive, _dice: random.Random) -> None:
    a.set_lines("absent.jsonl", [*a.lines("absent.jsonl"), {"sha256": payload(a)[9:], "because": "lost"}])


@inside
def payload_excused_that_nobody_named(a: Archive, _dice: random.Random) -> None:
    a.set_lines("absent.jsonl", [*a.lines("absent.jsonl"), {"sha256": "00" * 32, "because": "lost"}])


# What only the signed manifest can tell


@plain
def the_last_event_of_a_stream_removed(a: Archive, _dice: random.Random) -> None:
    a.set_lines("events.jsonl", a.lines("events.jsonl")[:-1])


@plain
def an_unsealed_event_added(a: Archive, _dice: random.Random) -> None:
    lines = a.lines("events.jsonl")
    fields = json.loads(lines[-1]["envelope"])
    added = {"n": None, "envelope": json.dumps([fields[0], fields[1] + 1, *fields[2:]]), "data": "{}", "proof": None}
    a.set_lines("events.jsonl", [*lines, added])


@plain
def a_sealed_event_said_to_be_unsealed(a: Archive, _dice: random.Random) -> None:
    lines = a.lines("events.jsonl")
    a.set_lines("events.jsonl", [*lines[:-1], {**lines[-1], "n": None, "proof": None}])


@plain
def an_old_checkpoint_removed(a: Archive, _dice: random.Random) -> None:
    a.set_lines("checkpoints.jsonl", a.lines("checkpoints.jsonl")[1:])


@plain
def a_payload_removed_and_excused(a: Archive, dice: random.Random) -> None:
    name = payload(a)
    payload_removed(a, dice)
    lines = [*a.lines("absent.jsonl"), {"sha256": name[9:], "because": "lost"}]
    a.set_lines("absent.jsonl", sorted(lines, key=lambda line: str(line["sha256"])))


@plain
def another_scope(a: Archive, _dice: random.Random) -> None:
    a.set("about.json", a.get("about.json").replace(b'"scope":"', b'"scope":"all '))


@plain
def another_verifier(a: Archive, _dice: random.Random) -> None:
    a.set("verify.py", b"print('verified')\n")


@plain
def manifest_edited(a: Archive, _dice: random.Random) -> None:
    a.set("manifest.json", a.get("manifest.json") + b" ")


@plain
def manifest_not_signed(a: Archive, _dice: random.Random) -> None:
    a.set("manifest.note", b"")


@plain
def manifest_signed_by_a_stranger(a: Archive, dice: random.Random) -> None:
    manifest_edited(a, dice)
    a.note(STRANGER)


@plain
def manifest_under_a_checkpoints_signature(a: Archive, _dice: random.Random) -> None:
    a.set("manifest.note", a.lines("checkpoints.jsonl")[0]["note"].encode())


# The archive itself


@plain
def cut_short(a: Archive, dice: random.Random) -> None:
    a.parts, a.end = a.parts[: dice.randrange(1, len(a.parts))], b""


@plain
def end_missing(a: Archive, _dice: random.Random) -> None:
    a.end = b""


@plain
def end_half(a: Archive, _dice: random.Random) -> None:
    a.end = bytes(512)


@plain
def something_appended(a: Archive, _dice: random.Random) -> None:
    a.end += b"x"


@plain
def a_second_archive_appended(a: Archive, _dice: random.Random) -> None:
    a.end += header("events.jsonl", 0) + bytes(1024)


@plain
def a_member_there_twice(a: Archive, _dice: random.Random) -> None:
    a.parts.insert(5, ("events.jsonl", a.get("events.jsonl")))


@plain
def a_payload_there_twice(a: Archive, _dice: random.Random) -> None:
    name = payload(a)
    a.parts.insert(a.names().index(name), (name, a.get(name)))


@plain
def members_in_another_order(a: Archive, _dice: random.Random) -> None:
    a.parts[2], a.parts[3] = a.parts[3], a.parts[2]


@plain
def a_member_missing(a: Archive, dice: random.Random) -> None:
    a.parts.pop(dice.choice([a.names().index(name) for name in ("about.json", "verify.py", "absent.jsonl")]))


@plain
def manifest_and_note_missing(a: Archive, _dice: random.Random) -> None:
    a.parts = a.parts[:-2]


def with_member(name: str, member: str) -> None:
    PLAIN[name] = lambda a, _dice: a.parts.insert(6, (member, b"boo"))


with_member("a path that leads up", "payloads/../../verify.py")
with_member("a path from the root", "/etc/passwd")
with_member("a path with a dot", "./events.jsonl")
with_member("a member nobody knows", "README")


def with_header(name: str, at: int, new: bytes) -> None:
    def deed(a: Archive, _dice: random.Random) -> None:
        block = bytearray(header("events.jsonl", len(a.get("events.jsonl"))))
        block[at : at + len(new)] = new
        block[148:156] = b" " * 8
        block[148:156] = f"{sum(block):06o}\0 ".encode()
        a.headers["events.jsonl"] = bytes(block)

    PLAIN[name] = deed


with_header("a link instead of a file", 156, b"2")
with_header("a pax header instead of a file", 156, b"x")
with_header("a link target", 157, b"/etc/passwd")
with_header("a name prefix", 345, b"../..")
with_header("a time", 136, b"00000000001\0")
with_header("something behind the header", 505, b"hidden")
with_header("a negative size", 124, b"-0000000001\0")
with_header("a size with blanks", 124, b"         12\0")
