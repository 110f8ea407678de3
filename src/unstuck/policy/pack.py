"""The policy pack: all sections of all rooms, read from YAML texts, typed, and named by their hash. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from unstuck.fallout.policy import Dedup, FalloutPolicy, Queue
from unstuck.fallout.policy import Mapping as FailureMapping
from unstuck.kernel.canonical import digest, encode
from unstuck.order.template import Offer, TaskType, Templates
from unstuck.repair.judge import Rules
from unstuck.repair.policy import FieldRule, OnUnknown, RepairAction, RepairPolicy, Retry, Target


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a role may do: permissions of the API, by name."""

    title: str
    may: tuple[str, ...]


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every section a pack may have; an unknown one is an error."""

    name: str
    version: str
    offers: dict[str, Offer]
    task_types: dict[str, TaskType]
    targets: dict[str, Target]
    retry: dict[str, Retry]
    on_unknown: dict[str, OnUnknown]
    actions: dict[str, RepairAction]
    mappings: tuple[FailureMapping, ...]
    dedup: dict[str, Dedup]
    queues: dict[str, Queue]
    roles: dict[str, Role]
    correctable: dict[str, dict[str, FieldRule]] = {}


class Finding(msgspec.Struct, frozen=True):
    """One thing wrong with a pack: where, by which rule, in a sentence."""

    file: str
    line: int
    rule: str
    because: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.because}"


class BadPack(Exception):
    """The pack cannot be used; every finding names its file and line."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__("; ".join(map(str, findings)))
        self.findings = findings


class Pack:
    """A checked pack, with what the rooms need of it prepared once."""

    def __init__(self, document: Document, hash: str) -> None:
        self.document, self.hash = document, hash
        self.templates = Templates(document.offers, document.task_types)
        self.repair = RepairPolicy(
            document.targets, document.retry, document.on_unknown, document.correctable, document.actions
        )
        self.fallout = FalloutPolicy(document.mappings, document.dedup, document.queues)
        self.rules = {name: self._rules(name) for name in document.task_types}

    def _rules(self, name: str) -> Rules:
        kind, doc = self.document.task_types[name], self.document
        return Rules(
            target=doc.targets[kind.target],
            retry=doc.retry.get(name, doc.retry["default"]),
            on_unknown=doc.on_unknown.get(name, doc.on_unknown["default"]),
            breach_s=kind.timeouts.breach,
            warning_s=kind.timeouts.warning,
        )


def hash_of(files: Mapping[str, str]) -> str:
    """The name of a pack: the digest of its files."""
    return digest(encode(dict(files)))


def decode(files: Mapping[str, str]) -> tuple[Document, "Lines"]:
    """Read and type the sections; raises BadPack with every finding that typing can make."""
    merged: dict[str, Any] = {}
    lines = Lines()
    findings: list[Finding] = []
    for file, text in sorted(files.items()):
        try:
            sections = yaml.safe_load(text) or {}
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            findings.append(Finding(file, line, "yaml", getattr(error, "problem", None) or "not YAML"))
            continue
        if not isinstance(sections, dict):
            findings.append(Finding(file, 1, "sections", "a pack file is a table of sections"))
            continue
        lines.index(file, node)
        twice = merged.keys() & sections.keys()
        findings.extend(Finding(file, lines.of((name,))[1], "once", f"section {name} is given twice") for name in twice)
        merged |= sections
    if findings:
        raise BadPack(tuple(findings))
    return _typed(merged, lines), lines


class Lines:
    """Where each path of the merged document stands: (file, line)."""

    def __init__(self) -> None:
        self._at: dict[tuple[str, ...], tuple[str, int]] = {}

    def index(self, file: str, node: Any, path: tuple[str, ...] = ()) -> None:
        self._at.setdefault(path, (file, node.start_mark.line + 1))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = (*path, str(key.value))
                self._at[inner] = (file, key.start_mark.line + 1)
                self.index(file, value, inner)
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                self.index(file, value, (*path, str(number)))

    def of(self, path: tuple[str, ...]) -> tuple[str, int]:
        """The nearest known place at or above `path`."""
        while path and path not in self._at:
            path = path[:-1]
        return self._at.get(path, ("pack", 1))


def _typed(merged: dict[str, Any], lines: Lines) -> Document:
    unknown = merged.keys() - set(Document.__struct_fields__)
    findings = [Finding(*lines.of((n,)), "known-section", f"there is no section {n!r}") for n in sorted(unknown)]
    if not findings:
        try:
            return msgspec.convert(merged, Document)
        except msgspec.ValidationError as error:
            findings = [_place(str(error), merged, lines)]
    raise BadPack(tuple(findings))


def _place(message: str, merged: dict[str, Any], lines: Lines) -> Finding:
    because, _, at = message.partition(" - at `$")
    path: list[str] = []
    value: Any = merged
    for part in at.rstrip("`").replace("]", "").replace("[", ".").strip(".").split("."):
        if part == "...":  # msgspec does not name the key of a table: take the entry the same type fails on
            part = _culprit(value, because)
        if not part:
            break
        path.append(part)
        value = value[int(part)] if isinstance(value, list) else value.get(part) if isinstance(value, dict) else None
    wrong = because.split("`")[1] if because.startswith("Object contains unknown field") else ""
    return Finding(*lines.of((*path, wrong) if wrong else tuple(path)), "type", because)


def _culprit(table: Any, because: str) -> str:
    name = because.split("`")[1] if "`" in because else ""
    if not isinstance(table, dict):
        return ""
    unknown = because.startswith("Object contains unknown field")
    having = [key for key, value in table.items() if isinstance(value, dict) and (name in value) is unknown]
    return str(having[0]) if name and having else next(iter(map(str, table)), "")
