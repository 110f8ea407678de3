"""The foreign-oms scenario (seed 003 §8, §13): an order manager that is not ours reports, is decided for, and goes on."""

from collections.abc import Callable

from unstuck.rehearsal.foreign_oms_cast import Cast
from unstuck.rehearsal.foreign_oms_stage import Backstage
from unstuck.rehearsal.sheet import Sheet
from unstuck.rehearsal.stage import CASES, Desk, Stage, View

RACERS = 16
ACTS = {
    "twice": ("09", "09"), "raced": ("10", "11"), "late": ("12", "13"), "stolen": ("14", "15"), "moved": ("16", "16"),
    "cancelled": ("25", "25"), "fetched": ("23", "24"), "ignored": ("18", "19"), "honoured": ("20", "20"),
    "lost": ("21", "21"), "gone": ("22", "22"),
}  # fmt: skip


class ForeignOms:
    """One run of the story."""

    def __init__(self, stage: Stage, sheet: Sheet, cast: Cast, say: Callable[[str], None]) -> None:
        self.stage, self.sheet, self.cast, self.say = stage, sheet, cast, say
        self.back = Backstage(stage, cast)
        self.manager = self.back.manager

    def play(self) -> None:
        """The whole story; each part is judged even when another breaks off."""
        self.sheet.part(self.back.open, "foreign-oms-01", "foreign-oms-27")
        self.sheet.part(self._first, "foreign-oms-01", "foreign-oms-08")
        for act in self.cast.acts:
            self.say(f"foreign-oms: {act}")
            first, last = ACTS[act]
            self.sheet.part(getattr(self, f"_{act}"), f"foreign-oms-{first}", f"foreign-oms-{last}")
        self.say("foreign-oms: what the books say of the whole run")
        self.sheet.part(self._refusals, "foreign-oms-17", "foreign-oms-17")
        self.sheet.part(self._unseen, "foreign-oms-26", "foreign-oms-26")
        self.sheet.part(self._never, "foreign-oms-27", "foreign-oms-27")

    def _saw(self, number: int, ok: bool, seen: object) -> None:
        self.sheet.saw(f"foreign-oms-{number:02}", ok, seen)

    def _first(self) -> None:
        """Reported, repaired, decided, redeemed."""
        self.say("foreign-oms: a failure from elsewhere")
        order = self.cast.orders["first"]
        self.manager.falls_out(order)
        status, told = self.manager.reports(order, f"{order.ref}-1")
        (case, *more) = self.back.cases_of(order)
        words = (case["source"], case["order_ref"], case["item"], case["step"])
        ok = status == 201 and not more and words == (order.account, order.ref, order.line, order.step)
        self._saw(1, ok, f"{status}, {1 + len(more)} case(s), {', '.join(words)}")
        again, said = self.manager.reports(order, f"{order.ref}-1")
        same = (again, said.get("was"), said.get("case")) == (200, "known", case["id"])
        self._saw(2, same and len(self.back.cases_of(order)) == 1, f"{again} {said.get('was')}")
        desk = self.back.take("first", case["id"])
        self._queued(desk)
        self._refused(desk)
        self._waits(desk, self.back.resolved(desk, mode=self.cast.mode))
        self._goes_on(desk, told)

    def _queued(self, desk: Desk) -> None:
        view, calls = desk.view(), sum(self.stage.world.calls().values())
        orders = self.stage.door("auditor").get("/api/v1/orders", limit=10).must(200, "the orders")["orders"]
        ok = bool(view["code"] and view["queue"]) and not orders and calls == 0 and view["order_id"] is None
        self._saw(3, ok, f"{view['code']} in {view['queue']}, {len(orders)} orders, {calls} calls")

    def _refused(self, desk: Desk) -> None:
        version = desk.view()["version"]
        body: View = {"decision": "resume", "mode": "RETRY_FAILED_STEP", "evidence": []}
        without = desk.send("resolve", body, version)
        proof = self.back.proven(desk)
        early = desk.send("resolve", {**body, "evidence": [proof]}, desk.view()["version"])
        ok = (without.body.get("rule"), early.body.get("rule")) == (
            "proof-before-resolution",
            "verify-before-resolution",
        )
        self._saw(4, ok, f"{without.status} {without.why()}; {early.status} {early.why()}")

    def _waits(self, desk: Desk, done: View) -> None:
        order, token = self.cast.orders["first"], done["resume_token"] or {}
        ok = (token.get("audience"), token.get("order_ref"), done["state"]) == (
            order.account,
            order.ref,
            "RESOLVED_RESUME",
        )
        self._saw(5, ok and "." not in str(token.get("id")), f"{done['state']}, token for {token.get('audience')}")

    def _goes_on(self, desk: Desk, _told: View) -> None:
        order = self.cast.orders["first"]
        came = self.manager.wrote(order, "leave came")
        doubts = [line["because"] for line in self.manager.book() if line["what"] == "disbelieved"]
        ok = [line["how"] for line in came] == ["webhook"] and came[0]["mode"] == self.cast.mode and not doubts
        self._saw(6, ok, f"{len(came)} came, {'; '.join(doubts) or 'none disbelieved'}")
        done, redeemed = self.manager.wrote(order, "done"), self.manager.times(order, "redeemed")
        ok = len(done) == 1 and [line["status"] for line in redeemed] == [200]
        self._saw(7, ok, f"{self.manager.shows(order)['phase']}, redeemed: {[line['status'] for line in redeemed]}")
        told = self.back.told(desk, "resume-redeemed")
        closed = desk.send("close", {}, desk.view()["version"])
        held = self.back.falls_out("raced")[1]
        self.back.resolved(held)
        early = held.send("close", {}, held.view()["version"])
        ok = len(told) == 1 and closed.status == 200 and early.body.get("rule") == "not-redeemed"
        self._saw(8, ok, f"{len(told)} redeemed, close: {closed.status}; before it is: {early.status} {early.why()}")

    def _twice(self) -> None:
        order, desk = self.back.falls_out("twice")
        self.back.resolved(desk)
        tries = self.manager.wrote(order, "redeemed", 2)
        rules = sorted((line["status"], line["rule"]) for line in tries)
        went = self.manager.wrote(order, "went on")
        self._saw(9, rules == [(200, ""), (409, "token-used")] and len(went) == 1, f"{rules}, went on {len(went)}x")

    def _raced(self) -> None:
        order, desk = self.cast.orders["raced"], self.back.cases["raced"]
        self.manager.leave(order)
        statuses = sorted(self.manager.redeems(order, times=RACERS))
        went, told = self.manager.times(order, "went on"), self.back.told(desk, "resume-redeemed")
        ok = statuses == [200] + [409] * (RACERS - 1) and (len(went), len(told)) == (1, 1)
        self._saw(10, ok, f"{statuses.count(200)} of {len(statuses)} won, went on {len(went)}x")
        desk.do("close", {})
        late = self.manager.redeems(order)
        rule = self.manager.times(order, "redeemed")[-1]["rule"]
        ok = late == [409] and rule == "token-used" and desk.view()["state"] == "CLOSED"
        self._saw(11, ok, f"{late[0]} [{rule}], case {desk.view()['state']}")

    def _late(self) -> None:
        order, desk = self.back.falls_out("late")
        self.back.resolved(desk)
        self.manager.leave(order)
        expired = self.back.once_told(desk, "resume-expired")
        statuses = self.manager.redeems(order)
        rule = self.manager.times(order, "redeemed")[-1]["rule"]
        self._saw(12, statuses == [409] and rule == "token-expired", f"{statuses[0]} [{rule}]")
        state, phase = desk.view()["state"], self.manager.shows(order)["phase"]
        ok = len(expired) == 1 and (state, phase) == ("IN_PROGRESS", "FALLOUT")
        self._saw(13, ok, f"{len(expired)} expired, case {state}, order {phase}")

    def _stolen(self) -> None:
        order, desk = self.back.falls_out("stolen")
        self.back.resolved(desk)
        leave = self.manager.leave(order)
        answer = self.back.redeem_as(self.cast.fetching, leave, leave["order_version"])
        ok = (answer.status, answer.body.get("rule")) == (403, "token-audience")
        self._saw(14, ok, f"{answer.status} {answer.why()}")
        statuses = self.manager.redeems(order, spoiled=True)
        rule = self.manager.times(order, "redeemed")[-1]["rule"]
        ok = statuses == [403] and rule == "token-forged" and self.manager.shows(order)["phase"] == "FALLOUT"
        self._saw(15, ok, f"{statuses[0]} [{rule}], order {self.manager.shows(order)['phase']}")

    def _moved(self) -> None:
        order, desk = self.back.falls_out("moved")
        self.back.resolved(desk)
        self.manager.leave(order)
        self.manager.touches(order)
        statuses = self.manager.redeems(order)
        rule, phase = self.manager.times(order, "redeemed")[-1]["rule"], self.manager.shows(order)["phase"]
        ok = (statuses, rule, phase) == ([409], "token-version", "FALLOUT")
        self._saw(16, ok, f"{statuses[0]} [{rule}], order {phase}")

    def _cancelled(self) -> None:
        order, desk = self.back.falls_out("cancelled")
        done = self.back.resolved(desk, "cancel", None)
        went = self.manager.wrote(order, "went on")
        modes = [line["mode"] for line in went]
        ok = done["state"] == "RESOLVED_CANCEL" and modes == ["CANCEL_ITEM"]
        phase = self.manager.shows(order)["phase"]
        self._saw(25, ok and phase == "CANCELLED", f"{done['state']}, order {phase}")

    def _fetched(self) -> None:
        order, desk = self.back.falls_out("fetched")
        self.back.resolved(desk)
        path = f"/api/v1/sources/{order.account}/decisions"
        own = self.back.door_of(order.account)
        self.back.once_listed(order.account)
        others = [self.back.door_of(self.cast.heard).get(path), self.stage.door("admin").get(path)]
        ok = all(answer.status == 403 and not answer.body.get("decisions") for answer in others)
        self._saw(24, ok, ", ".join(f"{answer.status} {answer.why()}" for answer in others))
        came = self.manager.fetches(order.account)
        done = self.manager.wrote(order, "done")
        left = own.get(path).must(200, "the decisions")["decisions"]
        self._saw(23, came == 1 and len(done) == 1 and not left, f"{came} fetched, done {len(done)}x, {len(left)} left")

    def _ignored(self) -> None:
        order, desk = self.back.falls_out("ignored")
        self.back.resolved(desk)
        told = self.back.once_told(desk, "resume-ignored")
        view, asked = desk.view(), self.manager.times(order, "asked to go on")
        redeemed = self.back.told(desk, "resume-redeemed")
        ok = (len(told), len(redeemed), view["state"], len(asked)) == (1, 0, "IN_PROGRESS", 1)
        self._saw(18, ok, f"case {view['state']}, asked {len(asked)}x: {told[0]['because'] if told else 'not told'}")
        named = told[0]["evidence"] if told else []
        kept = [desk.evidence(e["id"]).body for e in view["evidence"] if e["id"] in named]
        phases = [piece.get("order", {}).get("phase") for piece in kept]
        self._saw(19, phases == ["FALLOUT", "FALLOUT"], f"{len(kept)} kept: {phases}")

    def _honoured(self) -> None:
        order, desk = self.back.falls_out("honoured")
        self.back.resolved(desk)
        told = self.back.once_told(desk, "resume-redeemed")
        named = told[0]["evidence"] if told else []
        pieces = [e for e in desk.view()["evidence"] if e["id"] in named]
        phases = [desk.evidence(e["id"]).body.get("order", {}).get("phase") for e in pieces]
        proven = [(e["type"], e["proves_resolution"]) for e in pieces] == [("read_back", True)]
        went = self.manager.times(order, "went on")
        ok = proven and phases[0] in ("RUNNING", "DONE") and len(went) == 1
        self._saw(20, ok, f"{len(told)} redeemed, seen {phases}, went on {len(went)}x")

    def _lost(self) -> None:
        order, desk = self.back.falls_out("lost")
        self.back.resolved(desk)
        told, asked = self.back.once_told(desk, "resume-redeemed"), self.manager.times(order, "asked to go on")
        self._saw(21, (len(told), len(asked)) == (1, 1), f"{len(told)} redeemed, asked {len(asked)}x")

    def _gone(self) -> None:
        order, desk = self.back.falls_out("gone")
        self.manager.touches(order)
        self.back.resolved(desk)
        told, asked = self.back.once_told(desk, "resume-stale"), self.manager.times(order, "asked to go on")
        state = desk.view()["state"]
        ok = (len(told), len(asked), state) == (1, 0, "IN_PROGRESS")
        self._saw(22, ok, f"case {state}, asked {len(asked)}x: {told[0]['because'] if told else 'not told'}")

    def _refusals(self) -> None:
        """The order manager's own book against the histories of the cases."""
        wrong, count = [], 0
        for name, desk in self.back.cases.items():
            theirs = sorted(
                line["rule"] for line in self.manager.times(self.cast.orders[name], "redeemed") if line["rule"]
            )
            theirs += ["token-audience"] * (name == "stolen")
            ours = sorted(event["rule"] for event in self.back.told(desk, "resume-refused"))
            count += len(ours)
            if sorted(theirs) != ours:
                wrong.append(f"{name}: {ours} for {theirs}")
        self._saw(17, count > 0 and not wrong, "; ".join(wrong) or f"{count} refusals, each with its rule")

    def _unseen(self) -> None:
        """Every text that any role can read, against every token that went out."""
        texts = [
            self.manager.leave(order)["token"] for order in self.cast.orders.values() if self._had_leave(order.ref)
        ]
        secrets = [text.rpartition(".")[2] for text in texts]
        seen = [
            self.stage.door("engineer").get(f"{CASES}/{desk.view()['id']}").raw for desk in self.back.cases.values()
        ]
        for role, paths in {
            "admin": ("/api/v1/sources", "/api/v1/subscriptions", f"{CASES}?limit=500"),
            "auditor": (f"{CASES}?limit=500", "/api/v1/orders?limit=500", "/api/v1/audit/checkpoints"),
        }.items():
            seen += [self.stage.door(role).get(path).raw for path in paths]
        seen.append(self.stage.door("auditor").listen("/api/v1/stream", last=0))
        found = sum(secret.encode() in text for secret in secrets for text in seen)
        told = len(seen[-1])
        ok = found == 0 and len(secrets) > 5 and told > 1000
        self._saw(26, ok, f"{len(secrets)} tokens, {len(seen)} texts, {told} bytes of stream, found {found}x")

    def _had_leave(self, ref: str) -> bool:
        return any(line["what"] == "leave came" and line["order"] == ref for line in self.manager.book())

    def _never(self) -> None:
        wrong = []
        for order in self.cast.orders.values():
            lines = [
                line for line in self.manager.book(order) if line["what"] in ("redeemed", "asked to go on", "went on")
            ]
            went = [n for n, line in enumerate(lines) if line["what"] == "went on"]
            allowed = [
                n for n, line in enumerate(lines) if line["what"] == "asked to go on" or line.get("status") == 200
            ]
            if len(went) > 1 or (went and not (allowed and allowed[0] < went[0])):
                wrong.append(f"{order.ref} went on {len(went)}x")
        total = len([line for line in self.manager.book() if line["what"] == "went on"])
        self._saw(27, total >= 6 and not wrong, "; ".join(wrong) or f"{total} orders went on, each once and with leave")
