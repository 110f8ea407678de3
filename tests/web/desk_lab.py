"""One engineer at work on one stopped order: what the stories of repairs are told with."""

from typing import Any

from web_lab import CASES, TMF, Answer, House, fiber, refused

from unstuck.repair.outcome import Outcome

REASON = {
    "retry": "cause_fixed", "resend_same_key": "target_honours_key", "query_by_key": "outcome_unknown", "read_back": "outcome_unknown",
    "correct_data": "customer_corrected", "mark_done_outside": "done_by_vendor", "cancel_item": "customer_withdrew",
    "force_complete": "management_decision",
}  # fmt: skip
BAD_ADDRESS = refused("ADDRESS_NOT_SERVICEABLE", "no fiber there")


class Desk:
    """One engineer and one case of one order."""

    def __init__(self, house: House, order: Any, customer: str) -> None:
        self.house, self.order, self.customer = house, order, customer
        self.at = ""

    @classmethod
    async def stopped(cls, house: House, operation: str, *replies: Outcome, items: Any = None) -> "Desk":
        """A desk whose order stopped at `operation`; the case is in progress."""
        order = await house.place(*(items or [fiber()]))
        desk = cls(house, order, order["relatedParty"][0]["id"])
        house.targets.will(desk.customer, operation, *replies)
        await house.work()
        return await desk.take()

    async def take(self) -> "Desk":
        case = await self.house.case_of(self.order["id"])
        self.at = f"{CASES}/{case['id']}"
        await self.done("assign", {"to": "me"})
        await self.done("start")
        return self

    async def view(self) -> Any:
        return await self.house.get(self.at, "engineer")

    async def do(self, command: str, body: Any = None, **more: Any) -> Answer:
        version = (await self.view())["version"]
        return await self.house.call(
            "POST", f"{self.at}/{command}", body or {}, **{"who": "engineer", "version": version, **more}
        )

    async def done(self, command: str, body: Any = None) -> Any:
        answer = await self.do(command, body)
        assert answer.status in (200, 201), answer.raw
        return answer.json

    async def propose(self, action: str, **given: Any) -> Answer:
        body = {"action": action, "reason_code": REASON[action], "reason": "as agreed", "input": given}
        return await self.do("corrections", body)

    async def repair(self, action: str, **given: Any) -> Any:
        proposed = await self.propose(action, **given)
        assert proposed.status == 201, proposed.raw
        return await self.done(f"corrections/{proposed.json['correction']['id']}/apply")

    async def proof(self, type: str = "vendor_request") -> str:
        body = {"type": type, "source": "portal", "content": "proof", "proves_resolution": True}
        return str((await self.done("evidence", body))["evidence"]["id"])

    async def file(self, evidence: str, who: str = "engineer") -> Answer:
        return await self.house.call("GET", f"{self.at}/evidence/{evidence}", who=who)

    async def resolve(self, decision: str, mode: str | None = None, evidence: list[str] | None = None) -> Answer:
        if evidence is None:
            evidence = [e["id"] for e in (await self.view())["evidence"] if e["proves_resolution"]]
        return await self.do("resolve", {"decision": decision, "mode": mode, "evidence": evidence, "note": "n"})

    async def tmf(self) -> Any:
        await self.house.work()
        return await self.house.get(f"{TMF}/{self.order['id']}")

    def sent(self, operation: str) -> list[Any]:
        return self.house.targets.of(self.customer, operation)
