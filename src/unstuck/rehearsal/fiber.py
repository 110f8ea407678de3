"""The fiber scenario (seed 001 §26): activation times out although it worked. Nothing is sent twice, nobody guesses."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from unstuck.rehearsal.cast import Wanted, calls
from unstuck.rehearsal.fiber_cast import KINDS, Cast
from unstuck.rehearsal.sheet import Sheet
from unstuck.rehearsal.stage import Desk, Stage, View, label, task

ALLOWED = {"query_by_key", "read_back", "escalate"}
NOT_FAILED = {"PENDING", "READY", "COMPLETED"}
SKIP = {"decision": "resume", "mode": "SKIP_STEP_ALREADY_DONE"}
AGAIN = {"decision": "resume", "mode": "RETRY_FAILED_STEP"}
UNTOUCHED = {
    "fiber-05": ("reserve_router",),
    "fiber-06": ("schedule_installation",),
    "fiber-07": ("create_billing_account", "create_subscription"),
}


class Fiber:
    """One run of the story."""

    def __init__(self, stage: Stage, sheet: Sheet, cast: Cast, say: Callable[[str], None]) -> None:
        self.stage, self.sheet, self.cast, self.say = stage, sheet, cast, say
        self.worker = stage.door("fallout-manager")
        self.ids: dict[str, str] = {}

    def play(self) -> None:
        """The whole story; each part is judged even when another breaks off."""
        self.sheet.part(self._open, "fiber-01", "fiber-42")
        self.sheet.part(self._found, "fiber-01", "fiber-29")
        self.sheet.part(self._absent, "fiber-36", "fiber-39")
        self.say("fiber: what the ledgers say of the whole run")
        self.sheet.part(self._beside, "fiber-35", "fiber-35")
        self.sheet.part(self._ledgers, "fiber-30", "fiber-40")
        self.sheet.part(self._never, "fiber-32", "fiber-34")

    def _open(self) -> None:
        self._submit(self.cast.opening)

    def _submit(self, orders: Iterable[Wanted]) -> None:
        for wanted in orders:
            if wanted.customer not in self.ids:
                self.ids[wanted.customer] = self.stage.submit(wanted)

    def _found(self) -> None:
        """The activation is there: look, prove, skip."""
        order_id = self.ids[self.cast.stuck.customer]
        self.say("fiber: waiting for the activation to get lost")
        case = self.stage.queued_case(order_id)
        self._one_case(case, self.stage.cases(order_id))
        order = self._untouched(order_id)
        self._blocked(order)
        self._in_progress(order)
        self._submit(self.cast.later)
        self.say("fiber: at the desk")
        desk = Desk(self.worker, case["id"])
        desk.take()
        self._offered(desk)
        self._refused(desk)
        self._preview(desk, order_id)
        self._versions(desk)
        correction = desk.repair("read_back", "outcome_unknown")
        self.sheet.saw("fiber-21", correction["result"] == "found", correction["result"])
        evidence = self._evidence(desk)
        self._needs_evidence(desk, order_id)
        token = self._token(desk, order_id, correction["id"], evidence)
        self._redeemed_once(desk, order_id, token)
        self._completes(desk, order_id, token)

    def _one_case(self, case: View, cases: list[View]) -> None:
        self.sheet.saw("fiber-01", len(cases) == 1, f"{len(cases)} case(s): {', '.join(c['number'] for c in cases)}")
        what = tuple(str(case[name]) for name in ("code", "domain", "recoverability"))
        self.sheet.saw("fiber-02", what == ("UNKNOWN_OUTCOME", "provisioning", "unknown_outcome"), ", ".join(what))
        self.sheet.note("fiber-04", f"this pack's mapping put it in {case['queue'] or 'no queue'}")

    def _untouched(self, order_id: str) -> View:
        """Wait until nothing else runs; what stands beside the stuck step must be done, once."""
        kinds = [kind for group in UNTOUCHED.values() for kind in group]
        order = self.stage.until_done(order_id, kinds)
        for line, group in UNTOUCHED.items():
            seen = [(t["state"], t["attempts"]) for t in (task(order, kind) for kind in group)]
            self.sheet.saw(line, all(s == ("COMPLETED", 1) for s in seen), ", ".join(f"{s} {n}x" for s, n in seen))
        mine = self.cast.stuck.effect("createSubscription").group
        starts = [e["payload"].get("billing_start") for e in self.stage.world.of_group("billing", mine)]
        self.sheet.saw("fiber-08", starts == ["held_until_activation"], starts)
        return order

    def _blocked(self, order: View) -> None:
        static = task(order, "activate_static_ip")
        there = self.stage.world.of_group("provisioning", self.cast.stuck.effect("activateStaticIp").group)
        quiet = (static["state"], static["attempts"], len(there)) == ("PENDING", 0, 0)
        self.sheet.saw(
            "fiber-09", quiet, f"{static['state']}, {static['attempts']} attempts, {len(there)} effects there"
        )
        item = self.cast.stuck.item("static-ip").id
        own = [c["number"] for c in self.stage.cases(order["id"]) if c["item"] == item]
        self.sheet.saw("fiber-10", not own, ", ".join(own) or "none")

    def _in_progress(self, order: View) -> None:
        self.sheet.saw("fiber-11", order["state"] == "IN_PROGRESS", order["state"])
        seen = self.stage.service_order(order["id"])
        alerts = [(a["jeopardyType"], a["exception"]) for a in seen.get("jeopardyAlert", [])]
        errors = seen.get("errorMessage", []) + [e for i in seen["serviceOrderItem"] for e in i.get("errorMessage", [])]
        ok = (seen["state"], alerts, errors) == ("inProgress", [("Critical", "UNKNOWN_OUTCOME")], [])
        said = ", ".join(f"{kind} {what}" for kind, what in alerts) or "no jeopardy"
        self.sheet.saw("fiber-12", ok, f"{seen['state']}, {said}, {len(errors)} error messages")

    def _offered(self, desk: Desk) -> None:
        view = desk.view()
        # `escalate` belongs to the life cycle; all that may be done is one list.
        allowed = {a["action"] for a in view["allowed_actions"]}
        self.sheet.saw("fiber-15", allowed >= ALLOWED, ", ".join(sorted(allowed)))
        because = {a["action"]: (a["rule"], a["because"]) for a in view["refused_actions"]}
        for line, action in (("fiber-16", "retry"), ("fiber-17", "force_complete")):
            rule, why = because.get(action, ("", ""))
            refused = bool(why.strip()) and "unknown" in rule and action not in allowed
            self.sheet.saw(line, refused, f"[{rule}] {why}" if why else "not refused")

    def _refused(self, desk: Desk) -> None:
        before = desk.view()
        answers = [desk.propose("retry", "cause_fixed"), desk.propose("force_complete", "management_decision")]
        same = _unchanged(before, desk.view())
        ok = all(a.status == 403 and "unknown" in a.body.get("rule", "") and a.body.get("detail") for a in answers)
        said = "; ".join(f"{a.status} {a.why()}" for a in answers)
        self.sheet.saw("fiber-18", ok and same, f"{said}; case {'unchanged' if same else 'changed'}")

    def _preview(self, desk: Desk, order_id: str) -> None:
        case, order, world = desk.view(), self.stage.order(order_id), self._mine_in_the_world()
        answer = desk.preview("read_back", "outcome_unknown")
        after = self.stage.order(order_id)
        same = _unchanged(case, desk.view()) and order["version"] == after["version"]
        same = same and order["attempts"] == after["attempts"] and world == self._mine_in_the_world()
        shown = answer.body.get("sends") or answer.why()
        self.sheet.saw(
            "fiber-19", answer.status == 200 and same, f"would send {shown}; {'unchanged' if same else 'changed'}"
        )

    def _versions(self, desk: Desk) -> None:
        before = desk.view()
        note = {"note": "decided on what is no longer so"}
        older, without = desk.send("notes", note, before["version"] - 1), desk.send("notes", note, None)
        same = _unchanged(before, desk.view())
        ok = (older.status, without.status) == (412, 428) and same
        self.sheet.saw("fiber-20", ok, f"{older.status}, {without.status}, case {'unchanged' if same else 'changed'}")

    def _evidence(self, desk: Desk) -> View:
        kept = [e for e in desk.view()["evidence"] if e["type"] == "read_back"]
        told = desk.evidence(kept[0]["id"]).body if kept else {}
        there = self.stage.world.of_group("provisioning", self.cast.stuck.effect("activateFiber").group)
        same = [e["reference"] for e in told.get("effects", [])] == [e["reference"] for e in there]
        proves = [(e["proves_resolution"], e["says"]) for e in kept] == [(True, "found")]
        self.sheet.saw("fiber-22", proves and same, f"{len(kept)} read_back, it holds {told.get('effects')}")
        return dict(kept[0])

    def _needs_evidence(self, desk: Desk, order_id: str) -> None:
        before = desk.view()
        answer = desk.send("resolve", {**SKIP, "evidence": []}, before["version"])
        static = task(self.stage.order(order_id), "activate_static_ip")
        refused = answer.status == 403 and bool(answer.body.get("rule"))
        ok = refused and _unchanged(before, desk.view()) and static["state"] == "PENDING"
        self.sheet.saw("fiber-23", ok, f"{answer.status} {answer.why()}; static IP {static['state']}")

    def _token(self, desk: Desk, order_id: str, correction: str, evidence: View) -> View:
        resolved = desk.do("resolve", {**SKIP, "evidence": [evidence["id"]]})
        token: View = resolved["resume_token"] or {}
        item = self.cast.stuck.item("fiber-internet").id
        wanted = {
            "case_id": desk.view()["id"], "order_id": order_id, "item": item, "failed_step": f"{item}.activate",
            "mode": "SKIP_STEP_ALREADY_DONE", "correction": correction, "evidence": [evidence["id"]],
            "plan_revision": 0, "attempt": 1,
        }  # fmt: skip
        wrong = [name for name, value in wanted.items() if token.get(name) != value]
        whole = bool(token.get("id")) and bool(token.get("audience")) and isinstance(token.get("task"), int)
        alive = whole and datetime.fromisoformat(token["expires_at"]) > datetime.now(UTC)
        self.sheet.saw("fiber-24", alive and not wrong, f"wrong: {', '.join(wrong)}" if wrong else _shown(token))
        return token

    def _redeemed_once(self, desk: Desk, order_id: str, token: View) -> None:
        view = desk.view()
        again = desk.send("resolve", {**SKIP, "evidence": token["evidence"]}, view["version"])
        tokens = [(t["id"], bool(t["redeemed_at"])) for t in desk.view()["resume_tokens"]]
        moved = [e for e in self.stage.order(order_id)["timeline"] if e["data"].get("token") == token["id"]]
        ok = tokens == [(token["id"], True)] and len(moved) == 1 and again.status == 409
        self.sheet.saw("fiber-25", ok, f"{len(tokens)} token, moved the order {len(moved)}x, again: {again.status}")

    def _completes(self, desk: Desk, order_id: str, token: View) -> None:
        order = self.stage.completed(order_id)
        static = task(order, "activate_static_ip")
        there = self.stage.world.of_group("provisioning", self.cast.stuck.effect("activateStaticIp").group)
        after = [datetime.fromisoformat(e["at"]) >= datetime.fromisoformat(token["issued_at"]) for e in there]
        ok = static["state"] == "COMPLETED" and after == [True]
        seen = f"{static['state']}, {len(there)} there, {'after' if all(after) else 'before'} the token"
        self.sheet.saw("fiber-26", ok, seen)
        self.sheet.saw("fiber-27", order["state"] == "COMPLETED", order["state"])
        tmf = self.stage.service_order(order_id)
        self.sheet.saw("fiber-28", tmf["state"] == "completed" and "jeopardyAlert" not in tmf, tmf["state"])
        desk.do("close", {})
        state = desk.view()["state"]
        self.sheet.saw("fiber-29", state == "CLOSED", state)

    def _absent(self) -> None:
        """The activation is not there: look, prove, send the same again."""
        self.say("fiber: the variant in which nothing was activated")
        wanted = self.cast.absent
        order_id = self.ids[wanted.customer]
        effect = wanted.effect("activateFiber")
        case = self.stage.queued_case(order_id)
        there = self.stage.world.of_group("provisioning", effect.group)
        self.sheet.saw(
            "fiber-36", case["code"] == "UNKNOWN_OUTCOME" and not there, f"{case['code']}, {len(there)} there"
        )
        desk = Desk(self.worker, case["id"])
        desk.take()
        correction = desk.repair("read_back", "outcome_unknown")
        kept = [e for e in desk.view()["evidence"] if e["type"] == "read_back"]
        proves = [(e["proves_resolution"], e["says"]) for e in kept] == [(True, "absent")]
        self.sheet.saw("fiber-37", correction["result"] == "absent" and proves, correction["result"])
        desk.do("resolve", {**AGAIN, "evidence": [e["id"] for e in kept]})
        order = self.stage.completed(order_id)
        self._same_key(order)
        desk.do("close", {})
        counts = self.stage.world.ledger()["provisioning"].get(effect.group, 0)
        states = [c["state"] for c in self.stage.cases(order_id)]
        ok = (counts, order["state"], states) == (1, "COMPLETED", ["CLOSED"])
        self.sheet.saw("fiber-39", ok, f"{counts} activation(s), order {order['state']}, case(s) {', '.join(states)}")

    def _same_key(self, order: View) -> None:
        """Both books must say it: the world's own lines of each arrival, and our attempts."""
        arrived = [line["key"] for line in self.stage.world.struck(order["customer"])]
        no = task(order, "activate_fiber")["no"]
        sent = [a["key"] for a in order["attempts"] if a["task"] == no and a["kind"] == "send"]
        ok = len(arrived) == 2 and len(set(arrived)) == 1 and bool(arrived[0]) and sent == arrived
        self.sheet.saw("fiber-38", ok, f"arrived: {', '.join(arrived)}")

    def _beside(self) -> None:
        self._submit(self.cast.later)
        orders = [self.stage.completed(self.ids[wanted.customer]) for wanted in self.cast.beside]
        ok = all(order["state"] == "COMPLETED" for order in orders)
        self.sheet.saw("fiber-35", ok, ", ".join(f"{o['number']} {o['state']}" for o in orders))

    def _ledgers(self) -> None:
        ledger = self.stage.world.ledger()
        mine = {(e.system, e.group): ledger[e.system].get(e.group, 0) for e in self.cast.stuck.effects()}
        fiber = self.cast.stuck.effect("activateFiber")
        activations = mine.pop((fiber.system, fiber.group))
        self.sheet.saw("fiber-30", activations == 1, activations)
        own = {(s, g): n for s, groups in ledger.items() for g, n in groups.items() if self._is_mine(g)}
        extra = own.keys() - mine.keys() - {(fiber.system, fiber.group)}
        counts = ", ".join(f"{system} {n}" for (system, _), n in mine.items())
        ok = all(n == 1 for n in mine.values()) and not extra
        self.sheet.saw("fiber-31", ok, f"{counts}, {len(extra)} that nobody ordered")
        needed = calls(self.cast.all)
        needed["provisioning", "activateFiber"] += 1
        arrived = self.stage.world.calls()
        off = [f"{'.'.join(k)} {arrived.get(k, 0)}, not {needed[k]}" for k in sorted(needed.keys() | arrived.keys())
               if arrived.get(k, 0) != needed[k]]  # fmt: skip
        self.sheet.saw("fiber-40", not off, "; ".join(off) or f"{sum(arrived.values())} calls, as needed")

    def _mine_in_the_world(self) -> list[View]:
        """The arrivals and effects of the stuck customer; other orders run on beside it."""
        mine = {effect.group for effect in self.cast.stuck.effects()}
        effects = [e for system in KINDS for e in self.stage.world.effects(system)]
        return self.stage.world.struck(self.cast.stuck.customer) + [e for e in effects if label(e["group"]) in mine]

    def _is_mine(self, group: str) -> bool:
        return f"customer={self.cast.stuck.customer}|" in group

    def _never(self) -> None:
        order_id = self.ids[self.cast.stuck.customer]
        lines = self.stage.world.struck(self.cast.stuck.customer)
        arrived = [(line["fault"], line["call"]) for line in lines]
        self.sheet.saw("fiber-32", arrived == [("F2", 1)], f"{len(arrived)} call(s) arrived")
        order = self.stage.order(order_id)
        static = task(order, "activate_static_ip")["no"]
        became = [f["to"] for e in order["timeline"] for f in e["data"].get("tasks", []) if f["no"] == static]
        looks = self.stage.looks[order_id]
        looked = {look["graph"]["tasks"][static]["state"] for look in looks}
        ok = {*became, *looked} <= NOT_FAILED and became[-1:] == ["COMPLETED"]
        self.sheet.saw("fiber-33", ok, f"it became {', '.join(became) or 'nothing'}; {len(looks)} looks")
        most = max(len(look["cases"]) for look in looks)
        owners = sorted(case["order_id"] for case in self.stage.all_cases())
        expected = sorted(self.ids[wanted.customer] for wanted in (self.cast.stuck, self.cast.absent))
        ok = most == 1 and owners == expected
        self.sheet.saw("fiber-34", ok, f"at most {most} on the order, {len(owners)} in the whole run")


def _unchanged(before: View, after: View) -> bool:
    """Whether a case is what it was: version, history, corrections, evidence."""
    names = ("version", "state", "timeline", "corrections", "evidence", "resume_tokens")
    return all(before[name] == after[name] for name in names)


def _shown(token: dict[str, Any]) -> str:
    return ", ".join(f"{name} {token[name]}" for name in ("audience", "failed_step", "mode", "expires_at"))
