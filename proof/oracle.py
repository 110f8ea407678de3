"""The judge of P1 and P2. It reads the simulator's files, the client's journal and the public API; never our tables."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from proof.chaos import DATABASE, SERVE, WORKER, ZOMBIE, Harm
from proof.client import Ack, View
from proof.stack import LEASE_S
from proof.world import CALLS_BACK, EFFECTS, KIND

FINAL = ("COMPLETED", "CANCELLED", "ABORTED")
MOVES_WITHIN_S = 30.0
CALLBACK_S = 16.0  # from the call to the overdue callback, with the reaper's patience
LATE_S = 9.0  # a callback heard later than this may have met the pack's ten seconds of patience
BEFORE_KNOWN = frozenset({"F3"})  # the only fault after which a machine may call a C again
UNKNOWN_AT_C = frozenset({"F1", "F2", "F4", "F9"})
Group = tuple[str, str, str]  # system, operation, customer


@dataclass
class Evidence:
    """Everything the oracle may look at."""

    acks: Sequence[Ack]
    views: Mapping[str, View | None]
    effects: Sequence[View]
    faults: Sequence[View]
    callbacks: Sequence[View]
    harms: Sequence[Harm]
    stuck_seen: Sequence[str] = ()  # orders a sample found without anything that moves them
    never_moved: Sequence[str] = ()  # orders neither final nor with a case a minute after quiet


@dataclass
class Verdict:
    """What was found; lists name the first offenders."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    invisible: list[str] = field(default_factory=list)
    done_without_effect: list[str] = field(default_factory=list)
    regressed: list[str] = field(default_factory=list)
    cases_without_fault: list[str] = field(default_factory=list)
    cases: int = 0
    transient_orders: int = 0
    transient_with_case: list[str] = field(default_factory=list)

    @property
    def settled_share(self) -> float:
        """Of the orders a machine should settle, those it did."""
        return 1.0 - len(self.transient_with_case) / self.transient_orders if self.transient_orders else 1.0

    def p1_ok(self) -> bool:
        """No order invisible, none lost, none set back; cases only where something happened."""
        clean = not (self.lost or self.invisible or self.regressed or self.cases_without_fault)
        return clean and self.settled_share >= 0.99

    def p2_ok(self) -> bool:
        """No duplicate side effect, and no claim of an effect that is not there."""
        return not (self.doubled or self.done_without_effect)


def read_lines(folder: Path, pattern: str) -> list[View]:
    """All lines of the simulator's files of that name; a torn last line is left out."""
    lines = [line for file in sorted(folder.glob(pattern)) for line in file.read_bytes().split(b"\n")[:-1]]
    return [msgspec.json.decode(line) for line in lines]


def judge(seen: Evidence) -> Verdict:
    """Hold what happened outside against what we were told."""
    verdict = Verdict()
    by_group = _by_group(seen)
    verdict.doubled = list(_doubled(seen, by_group))
    verdict.lost = [ack.external_id for ack in seen.acks if seen.views.get(ack.order_id) is None] + _twice(seen.acks)
    verdict.invisible = sorted({*seen.stuck_seen, *seen.never_moved, *_left_behind(seen)})
    for ack in seen.acks:
        view = seen.views.get(ack.order_id)
        if view is not None:
            _judge_order(verdict, seen, by_group, ack, view)
    return verdict


def is_visible(view: View, now: float) -> bool:
    """Whether an order is final, has an open case, or has something that moves it (P1 while running)."""
    if view["state"] in FINAL or has_open_case(view):
        return True
    moved = [event["at"] for event in view["timeline"]] + [attempt["at"] for attempt in view["attempts"]]
    if moved and now - max(map(_time, moved)) <= MOVES_WITHIN_S:
        return True
    dues = [task["due"] for task in view["graph"]["tasks"] if task["state"] in ("READY", "UNKNOWN", "WAITING_CALLBACK")]
    return any(due is not None and _time(due) >= now - MOVES_WITHIN_S for due in dues)


def has_open_case(view: View) -> bool:
    """Whether somebody owns what stands still."""
    return any(case["resolved_at"] is None for case in view["cases"])


def _left_behind(seen: Evidence) -> Iterable[str]:
    """Orders that are, in the last look at every one of them, neither final nor owned by a case."""
    for ack in seen.acks:
        view = seen.views.get(ack.order_id)
        if view is not None and view["state"] not in FINAL and not has_open_case(view):
            yield ack.external_id


def _by_group(seen: Evidence) -> dict[Group, list[View]]:
    """Every call that a system saw, by what it was for: faults without effect, and effects."""
    calls: dict[Group, list[View]] = defaultdict(list)
    for line in seen.faults:
        calls[line["system"], line["operation"], str(line["group"].get("customer"))].append({**line, "is": "fault"})
    heard = _heard(seen.callbacks)
    for line in seen.effects:
        late = line["mode"] == "callback" and not heard.get(line["reference"], 1e12) - _time(line["at"]) < LATE_S
        effect = {**line, "is": "effect", "late": late}
        calls[line["system"], line["operation"], str(line["group"].get("customer"))].append(effect)
    for lines in calls.values():
        lines.sort(key=lambda line: line["at"])
    return calls


def _heard(callbacks: Sequence[View]) -> dict[str, float]:
    """When we first took the news of each effect."""
    heard: dict[str, float] = {}
    for line in callbacks:
        if line["status"] == "done" and line["outcome"] == "delivered":
            heard.setdefault(line["reference"], _time(line["at"]))
    return heard


def _doubled(seen: Evidence, by_group: Mapping[Group, Sequence[View]]) -> Iterable[str]:
    for group, lines in by_group.items():
        effects = sum(line["is"] == "effect" for line in lines)
        if effects > 1:
            yield f"{'/'.join(group)}: {effects} effects"
        elif KIND[group[0]] == "C" and (n := _calls_after_unknown(lines)):
            yield f"{'/'.join(group)}: {n} calls after an unknown outcome"
    for ack in seen.acks:
        yield from _blind_sends(ack, seen.views.get(ack.order_id))


def _calls_after_unknown(lines: Sequence[View]) -> int:
    """Calls a C saw after one that was anything but a clear refusal: F1 leaves a fault, F2 a fault and its effect."""
    calls = [line for line in lines if not (line["is"] == "effect" and line["fault"] is not None)]
    first = next((n for n, line in enumerate(calls) if line.get("fault") not in BEFORE_KNOWN), len(calls))
    return max(len(calls) - first - 1, 0)


def _blind_sends(ack: Ack, view: View | None) -> Iterable[str]:
    """Sends to a C after a send that was not proven without effect, as the API tells it: nobody repaired here."""
    sent: Counter[int] = Counter()
    for attempt in view["attempts"] if view else ():
        target = view["graph"]["tasks"][attempt["task"]]["target"] if view else ""
        if KIND[target] != "C" or attempt["kind"] != "send":
            continue
        if sent[attempt["task"]]:
            yield f"{target}/{ack.customer}: sent again after an unknown outcome"
        sent[attempt["task"]] += attempt["result"] not in ("busy", "unsent")


def _twice(acks: Sequence[Ack]) -> list[str]:
    ids: dict[str, set[str]] = defaultdict(set)
    for ack in acks:
        ids[ack.external_id].add(ack.order_id)
    return [f"{external_id} became {len(found)} orders" for external_id, found in ids.items() if len(found) > 1]


def _judge_order(
    verdict: Verdict, seen: Evidence, by_group: Mapping[Group, Sequence[View]], ack: Ack, view: View
) -> None:
    if view["state"] == "COMPLETED":
        for system, operation in EFFECTS[ack.offer]:
            if not any(line["is"] == "effect" for line in by_group.get((system, operation, ack.customer), ())):
                verdict.done_without_effect.append(f"{ack.external_id}: {system}/{operation}")
    verdict.regressed += [f"{ack.external_id}: task {no} left COMPLETED" for no in _left_completed(view)]
    verdict.cases += len(view["cases"])
    for case in view["cases"]:
        if not _founded(case, view, by_group.get((case["system"], case["operation"], ack.customer), ()), seen.harms):
            verdict.cases_without_fault.append(f"{ack.external_id}: {case['number']} {case['reason']} {case['step']}")
    if _machine_settles(ack, view, by_group, seen.harms):
        verdict.transient_orders += 1
        if view["cases"] or view["state"] != "COMPLETED":
            verdict.transient_with_case.append(ack.external_id)


def _left_completed(view: View) -> Iterable[int]:
    done: set[int] = set()
    for event in view["timeline"]:
        tasks = event["data"].get("tasks", ())
        for fact in tasks if isinstance(tasks, list) else ():
            if fact["to"] == "COMPLETED":
                done.add(fact["no"])
            elif fact["no"] in done:
                yield fact["no"]


def _founded(case: View, view: View, lines: Sequence[View], harms: Sequence[Harm]) -> bool:
    """Whether a fault of the plan or something the harness did explains this case."""
    return any(line.get("fault") for line in lines) or _harmed(view, case["step"], harms)


def _harmed(view: View, step: str, harms: Sequence[Harm]) -> bool:
    """Whether a kill or stop overlapped a call of this step, or the wait for its callback."""
    no = next(task["no"] for task in view["graph"]["tasks"] if task["key"] == step)
    waits = CALLBACK_S if view["graph"]["tasks"][no]["target"] in CALLS_BACK else 0.0
    for attempt in view["attempts"]:
        if attempt["task"] != no:
            continue
        began = _time(attempt["at"])
        ended = _time(attempt["answered_at"]) if attempt["answered_at"] else began + LEASE_S
        pid = int(attempt["worker"].rpartition(":")[2])
        if any(_touches(harm, pid, began - 0.5, ended + 0.5, waits) for harm in harms):
            return True
    return False


def _touches(harm: Harm, pid: int, began: float, ended: float, waits: float) -> bool:
    if harm.what in (WORKER, ZOMBIE):
        return harm.pid == pid and harm.at <= ended and harm.until >= began
    if harm.what == DATABASE or (harm.what == SERVE and waits):
        return harm.at <= ended + waits and harm.until >= began - 1.0
    return False


def _machine_settles(ack: Ack, view: View, by_group: Mapping[Group, Sequence[View]], harms: Sequence[Harm]) -> bool:
    """Whether all that befell it is what a machine settles: no contradiction, no overdue callback, no unknown at a C."""
    steps = {task["target"]: task["key"] for task in view["graph"]["tasks"]}
    for system, operation in EFFECTS[ack.offer]:
        lines = by_group.get((system, operation, ack.customer), ())
        befell = {line.get("fault") for line in lines}
        if "F8" in befell or any(line.get("late") for line in lines):
            return False
        if KIND[system] == "C" and (befell & UNKNOWN_AT_C or _harmed(view, steps[system], harms)):
            return False
    return True


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
