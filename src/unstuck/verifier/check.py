"""The check of an export: each event hashes to its leaf, each proof leads to a checkpoint, each signature is a key's."""

import json
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from unstuck.verifier.archive import AFTER, BEFORE, PAYLOAD, Broken, Json, Member, members, parsed
from unstuck.verifier.note import BadNote, Checkpoint, Key, Keys, unbase64
from unstuck.verifier.tree import Tree, is_consistent, leaf_hash, root_by_inclusion

FORMAT = "unstuck-audit-export/1"
DIGEST = re.compile(r'"([0-9a-f]{64})"')
SEQ_LIMIT, FINDINGS_KEPT = 1 << 20, 1000
# What reading does on a value that nobody of ours wrote.
ODD = (ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError)


class Check:
    """One export being checked, member by member, in the one order they may have."""

    def __init__(self, given: Sequence[str] | None, held: Sequence[str]) -> None:
        self._given, self._held = given, held
        self.events = self.sealed = self.unsealed = self.held_elsewhere = self.payloads = self.absent = self.found = 0
        self.findings: list[Json] = []
        self.about: Json = {}
        self.keys: Keys | None = None
        self.anchor: Checkpoint | None = None
        self.signed = False
        self._known: dict[int, bytes] = {}
        self._claims: dict[int, bytes] = {}
        self._tree, self._last = Tree(), -1
        self._streams: dict[str, int] = {}
        self._named: set[bytes] = set()
        self._excused: set[bytes] = set()
        self._members: dict[str, list[Any]] = {}
        self._names = sha256()
        self._manifest = b""

    def add(self, what: str, where: str, because: str) -> None:
        """One more finding; all are counted, the first ones are kept."""
        self.found += 1
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append({"what": what, "where": where, "because": because})

    def run(self, file: IO[bytes]) -> None:
        """Read the whole export; Broken when it cannot be read to its end."""
        readers = {
            "about.json": self._read_about, "verify.py": Member.rest, "keys.jsonl": self._read_keys,
            "checkpoints.jsonl": self._read_checkpoints, "events.jsonl": self._read_events,
            "absent.jsonl": self._read_absent, "manifest.json": self._read_manifest,
            "manifest.note": self._read_signature,
        }  # fmt: skip
        due, before = [*BEFORE, *AFTER], ""
        for member in members(file):
            payload = PAYLOAD.fullmatch(member.name)
            if payload and due == list(AFTER) and before < member.name:
                before = member.name
                self._read_payload(member, payload[1])
            elif due and due[0] == member.name:
                readers[due.pop(0)](member)
                self._members[member.name] = [member.size, member.close()]
            else:
                raise Broken("archive", member.name, "it does not belong there, or is there twice")
        if due:
            raise Broken("archive", due[0], "it is missing")
        self._conclude()

    def _read_about(self, member: Member) -> None:
        fields = "format origin scope made_at size complete whole_streams payloads"
        self.about = parsed(member.rest(), member.name, fields)
        if self.about["format"] != FORMAT or type(self.about["size"]) is not int:
            raise Broken("format", member.name, f"it is not of the format {FORMAT}: take the verifier that fits")

    def _read_keys(self, member: Member) -> None:
        first, *later = list(member.lines()) or [b""]
        try:
            verifier = parsed(first, "first key", "verifier")["verifier"]
            notes = [parsed(line, "replaced key", "note")["note"] for line in later]
            self.keys = Keys(verifier, notes, self._given)
        except ODD as error:
            raise Broken("keys", member.name, str(error)) from error
        if self.keys.current.name != self.about["origin"]:
            raise Broken("keys", member.name, "they are the keys of another origin")

    def _read_checkpoints(self, member: Member) -> None:
        said = []
        for line in member.lines():
            fields = parsed(line, member.name, "note consistency")
            try:
                assert self.keys is not None
                checkpoint, vouched = self.keys.read(fields["note"])
                said.append((checkpoint, vouched, [unbase64(node) for node in fields["consistency"]]))
            except ODD as error:
                self.add("signature", f"checkpoint {str(fields['note'])[:60]!r}", str(error))
        sizes = [checkpoint.size for checkpoint, _, _ in said]
        if sizes != sorted(set(sizes)) or (sizes[-1] if sizes else 0) != self.about["size"]:
            return self.add("checkpoint", member.name, "they are not those of an export up to the size it tells")
        if said:
            self._join(said)
        for note in self._held:
            self._hold_against(note)
        return None

    def _join(self, said: Sequence[tuple[Checkpoint, bool, list[bytes]]]) -> None:
        newest, vouched, _ = said[-1]
        if not vouched:
            return self.add(
                "signature", f"checkpoint {newest.size}", "its key was replaced by the one you hold: give the older key"
            )
        self.anchor = newest
        for checkpoint, _, proof in said:
            if is_consistent(checkpoint.size, newest.size, checkpoint.root, newest.root, proof):
                self._known[checkpoint.size] = checkpoint.root
            else:
                self.add("consistency", f"checkpoint {checkpoint.size}", f"{newest.size} does not prove to continue it")
        return None

    def _hold_against(self, note: str) -> None:
        who = "checkpoint held elsewhere"
        try:
            assert self.keys is not None
            held, _ = self.keys.read(note)
        except BadNote as error:
            return self.add("signature", who, str(error))
        if held.size in self._known and self._known[held.size] == held.root:
            self.held_elsewhere = max(self.held_elsewhere, held.size)
        elif held.size in self._known:
            self.add("checkpoint", f"{who} {held.size}", "the export shows another root for that size")
        elif self.about["complete"] and held.size < self.about["size"]:
            self._claims[held.size] = held.root
        else:
            because = (
                "the export is older: make a new one"
                if held.size > self.about["size"]
                else "the export does not show how it grew from there: make one with this checkpoint"
            )
            self.add("not-joined", f"{who} {held.size}", because)
        return None

    def _read_events(self, member: Member) -> None:
        for number, line in enumerate(member.lines(), 1):
            try:
                self._read_event(line, f"events.jsonl line {number}")
            except Broken as broken:
                self.add(*broken.args)
            except ODD as error:
                self.add("event-unreadable", f"events.jsonl line {number}", f"{error!s:.80}")
        if self.about["complete"] and self.anchor and self._tree.root() != self.anchor.root:
            self.sealed = 0
            self.add("checkpoint", f"checkpoint {self.anchor.size}", "the tree of these events has another root")
        for stream, seen in self._streams.items():
            first = 1 if self.about["whole_streams"] else (seen & -seen).bit_length() - 1
            if seen != (1 << seen.bit_length()) - (1 << first):
                self.add("seq", f"stream {stream}", f"its events are not numbered from {first} without a gap")

    def _read_event(self, line: bytes, where: str) -> None:
        fields = parsed(line, where, "n envelope data proof")
        envelope, data = (fields[name].encode("utf-8", "surrogateescape") for name in ("envelope", "data"))
        stream, seq, *_rest = json.loads(envelope)
        where = f"event {stream} {seq}"
        if type(stream) is not str or type(seq) is not int or not 0 < seq < SEQ_LIMIT or len(_rest) != 5:
            raise Broken("event-unreadable", where, "its envelope is none")
        self.events += 1
        if self._streams.get(stream, 0) >> seq & 1:
            self.add("seq", where, "it is there twice")
        self._streams[stream] = self._streams.get(stream, 0) | 1 << seq
        if self.about["payloads"]:
            self._named.update(map(bytes.fromhex, DIGEST.findall(fields["data"])))
        self._seal(fields["n"], fields["proof"], leaf_hash(envelope, data), where)

    def _seal(self, n: int | None, proof: list[str] | None, leaf: bytes, where: str) -> None:
        size = self.about["size"]
        if n is None or n >= size:
            self.unsealed += 1
            self._last = size
            return None if proof is None else self.add("proof", where, "it is not sealed, so nothing can prove it")
        if type(n) is not int or n <= self._last:
            return self.add("leaf-number", where, "the events are not in the order of the tree")
        self._last = n
        if self.anchor is None:
            return self.add("proof", where, "there is no checkpoint that it could lead to")
        if self.about["complete"]:
            return self._grow(n, leaf, where)
        if root_by_inclusion(n, size, leaf, map(unbase64, proof or ())) != self.anchor.root:
            return self.add("event-changed", where, f"its proof does not lead to checkpoint {size}")
        self.sealed += 1
        return None

    def _grow(self, n: int, leaf: bytes, where: str) -> None:
        if n != self._tree.size:
            self.add("event-missing", where, f"it is leaf {n}, and leaf {self._tree.size} is not there")
        self._tree.append(leaf)
        self.sealed += 1
        claimed = self._claims.pop(self._tree.size, None)
        if claimed == self._tree.root():
            self.held_elsewhere = max(self.held_elsewhere, self._tree.size)
        elif claimed is not None:
            self.add(
                "checkpoint",
                f"checkpoint held elsewhere {self._tree.size}",
                "the tree of these events has another root",
            )

    def _read_absent(self, member: Member) -> None:
        for line in member.lines():
            self._excused.add(bytes.fromhex(parsed(line, member.name, "sha256 because")["sha256"]))
        self.absent = len(self._excused)

    def _read_payload(self, member: Member, name: str) -> None:
        self.payloads += 1
        self._names.update(name.encode())
        if member.close() != name:
            self.add("payload", member.name, "its bytes are not those of its digest")
        if bytes.fromhex(name) not in self._named:
            self.add("payload", member.name, "no event names it")
        self._named.discard(bytes.fromhex(name))

    def _read_manifest(self, member: Member) -> None:
        self._manifest = member.rest()
        said = parsed(self._manifest, member.name, "members events sealed payloads payload_names")
        shown = {
            "members": self._members, "events": self.events, "sealed": self.sealed, "payloads": self.payloads,
            "payload_names": self._names.hexdigest(),
        }  # fmt: skip
        for name in shown:
            if said[name] != shown[name]:
                self.add("manifest", name, "it is not what the export was made with")

    def _read_signature(self, member: Member) -> None:
        note = member.rest().decode(errors="replace")
        text = f"{self.about['origin']} audit export\nsha256 {sha256(self._manifest).hexdigest()}\n"
        try:
            good = self.keys is not None and note.startswith(f"{text}\n—") and self.keys.current.has_signed(note)
        except BadNote:
            good = False
        if not good:
            self.add(
                "signature",
                member.name,
                "the manifest is not signed by the newest key: what was left out cannot be told",
            )

    def _conclude(self) -> None:
        for digest in sorted(self._named ^ self._excused):
            self.add(
                "payload",
                f"payloads/{digest.hex()}",
                "an event names it and it is missing, or it is excused and was not named",
            )
        for size in self._claims:
            self.add("checkpoint", f"checkpoint held elsewhere {size}", "the events do not reach it")

    def report(self) -> Json:
        """The answer: counts, findings, and in whose name it is given."""
        holds = self.anchor is not None
        return {
            "ok": not self.found, "origin": self.about.get("origin", ""), "scope": self.about.get("scope", ""),
            "made_at": self.about.get("made_at", ""), "events": self.events, "sealed": self.sealed if holds else 0,
            "unsealed": self.unsealed, "checkpoint": self.anchor.size if self.anchor else 0,
            "held_elsewhere": self.held_elsewhere, "streams": len(self._streams), "payloads": self.payloads,
            "absent": self.absent, "trusted": holds and self._given is not None,
            "key": self.keys.current.line if self.keys else "", "found": self.found, "findings": self.findings,
        }  # fmt: skip


def verify(path: Path, given: Sequence[str] | None = None, held: Sequence[str] = ()) -> Json:
    """Check the export at `path` with the keys `given` and the checkpoints `held`, both from elsewhere.

    BadNote when a given key cannot be read, OSError when the file cannot.
    """
    for line in given or ():
        Key(line)
    check = Check(given, held)
    with path.open("rb") as file:
        try:
            check.run(file)
        except Broken as broken:
            check.add(*broken.args)
        except ODD as error:
            check.add("unreadable", "export", f"it cannot be read to its end: {error!s:.120}")
    return check.report()


def held_in(path: Path) -> str:
    """The checkpoint that a file holds: its whole text, or the newest one when it is an export. BadNote for neither."""
    with path.open("rb") as file:
        try:
            if file.read(len(BEFORE[0])) != BEFORE[0].encode():
                return path.read_text()
            file.seek(0)
            return _newest(file)
        except (Broken, *ODD) as error:
            raise BadNote("it holds no checkpoint") from error


def _newest(file: IO[bytes]) -> str:
    note = ""
    for member in members(file):
        if member.name == "checkpoints.jsonl":
            for line in member.lines():
                note = str(parsed(line, member.name, "note consistency")["note"])
            break
        member.close()
    return note
