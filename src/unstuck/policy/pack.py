"""The policy pack: all sections of all rooms, read from YAML texts, typed, and named by their hash. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec
import yaml

from unstuck.fallout.policy import Dedup, FalloutPolicy, Queue
from unstuck.fallout.policy import Mapping as FailureMapping
from unstuck.kernel.canonical import digest, encode
from unstuck.order.dialect import Dialect
from unstuck.order.template import Offer, TaskType, Templates
from unstuck.policy.masking import Sensitive
from unstuck.repair.judge import Rules
from unstuck.repair.policy import FieldRule, OnUnknown, RepairAction, RepairPolicy, ResumeTokens, Retry, Target

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # six times as fast where libyaml is


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
    resume_tokens: ResumeTokens = ResumeTokens()
    dialects: dict[str, Dialect] = {}
    sensitive: Sensitive = Sensitive()


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
            sections = yaml.load(text, LOADER) or {}
            if node := yaml.compose(text, LOADER):  # none in an empty file
                lines.index(file, node)
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none, a list in itself
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            findings.append(Finding(file, line, "yaml", getattr(error, "problem", None) or f"not YAML: {error}"))
            continue
        if not isinstance(sections, dict):
            findings.append(Finding(file, 1, "sections", "a pack file is a table of sections"))
            continue
        findings.extend(Finding(file, line, "once", f"{name} is given twice") for name, line in lines.twice)
        lines.twice.clear()
        merged |= sections
    if findings:
        raise BadPack(tuple(findings))
    return _typed(merged, lines), lines


class Lines:
    """Where each path of the merged document stands: (file, line)."""

    def __init__(self) -> None:
        self._at: dict[tuple[str, ...], tuple[str, int]] = {}
        self.twice: list[tuple[str, int]] = []  # YAML itself would let the last one win in silence

    def index(self, file: str, node: Any, path: tuple[str, ...] = ()) -> None:
        self._at.setdefault(path, (file, node.start_mark.line + 1))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = (*path, str(key.value))
                if inner in self._at:
                    self.twice.append((".".join(inner), key.start_mark.line + 1))
                    continue
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
    findings = [
        Finding(*lines.of((n,)), "known-section", f"there is no section {n!r}") for n in sorted(unknown, key=str)
    ]
    if not findings:
        try:
            return msgspec.convert(merged, Document)
        except msgspec.ValidationError as error:
            findings = [_place(str(error), merged, lines)]
    raise BadPack(tuple(findings))


def _place(message: str, merged: dict[str, Any], lines: Lines) -> Finding:
    because, _, at = message.partition(" - at `")
    path: list[str] = []
    for part in (
        at.partition("$")[2].rstrip("`").replace("[...]", ".*").replace("[", ".").replace("]", "").split(".")[1:]
    ):
        # msgspec does not name the key of a table: take the entry that fails by itself in the same way
        path.append(_culprit(merged, path, message) if part == "*" else part)
    wrong = because.split("`")[1] if because.startswith("Object contains unknown field") else ""
    return Finding(*lines.of((*path, wrong) if wrong else tuple(path)), "type", because)


def _culprit(merged: dict[str, Any], path: list[str], message: str) -> str:
    for key, entry in _at(merged, path).items():
        try:
            msgspec.convert(_with(merged, path, {key: entry}), Document)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return str(key)
    return ""


def _at(tree: Any, path: list[str]) -> Any:
    for part in path:
        tree = tree[int(part)] if isinstance(tree, list) else tree[part]
    return tree


def _with(tree: Any, path: list[str], table: dict[str, Any]) -> Any:
    if not path:
        return table
    if isinstance(tree, list):
        return [_with(value, path[1:], table) if n == int(path[0]) else value for n, value in enumerate(tree)]
    return tree | {path[0]: _with(tree[path[0]], path[1:], table)}
