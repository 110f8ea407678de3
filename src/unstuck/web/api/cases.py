"""`/api/v1/fallout-cases`: the case view and its commands. Parses, calls one use case, shows the result."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from unstuck.fallout import case as commands
from unstuck.fallout.case import Command
from unstuck.kernel.actor import Actor
from unstuck.service.case_work import cases
from unstuck.service.case_work.done import CaseDone
from unstuck.service.looks import lists, views
from unstuck.service.looks.shown import CasePage, CaseView
from unstuck.service.ports import Ports
from unstuck.web.api.bodies import Assignment, Escalation, Nothing, Reason, Remark, Verification, Waiting
from unstuck.web.api.listing import LIST, CaseQuery, asked, case_filters, shape
from unstuck.web.openapi import COMMAND
from unstuck.web.protocol import actor, as_json, expected_version, parsed

READ, WORK = "case.read", "case.work"
Body = TypeVar("Body")


@get(
    "/api/v1/fallout-cases",
    opt={"permission": READ, "query": CaseQuery, "answer": CasePage, "also": LIST | {404: "there is no such order"}},
)
async def list_cases(request: Request[Any, Any, Any], ports: NamedDependency[Ports]) -> Response[bytes]:
    """Cases, a page at a time.

    `open` stands for every state that is not resolved; `q` is a name (of a case, an order, a customer) or a text to
    look for in codes, theirs and ours, and in raw messages.
    """
    query = asked(request, CaseQuery)
    orders = [await views.find_order(ports, name) for name in query.order_id.split(",")] if query.order_id else None
    return as_json(await lists.cases(ports, case_filters(query, tuple(orders) if orders else None), shape(query)))


@get("/{name:str}", opt={"permission": READ, "answer": CaseView})
async def show_case(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """One case, whole: allowed and refused actions, graph, attempts, evidence, timeline."""
    view = await views.case_view(ports, await views.find_case(ports, name), actor(request))
    return as_json(view, version=view.version)


@post(
    "/{name:str}/verify",
    opt={"permission": WORK, "body": Verification, "answer": CaseDone} | COMMAND,
    status_code=200,
)
async def verify_case(
    request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
) -> Response[bytes]:
    """Say that the repair is being proven."""
    version, body = expected_version(request), parsed(await request.body(), Verification)
    case_id = await views.find_case(ports, name)
    done = await cases.verify(ports, case_id, version, actor(request), body.evidence, body.note)
    return as_json(done, version=done.version)


class LifeCommand(msgspec.Struct, frozen=True):
    """One life-cycle command: what it takes, what it says, the command it makes; `allowed_as` is its name in a grant."""

    kind: Any
    says: str
    make: Callable[[Any, Actor], Command]
    allowed_as: str


def _on(name: str, kind: type[Body], says: str, make: Callable[[Body, Actor], Command]) -> tuple[str, LifeCommand]:
    return name, LifeCommand(kind, says, make, "escalate" if name == "notes" else name)


LIFE_CYCLE = dict((
    _on(
        "assign", Assignment, "Take a case, or give it to somebody.",
        lambda body, who: commands.Assign(who.id if body.to == "me" else body.to),
    ),
    _on("release", Remark, "Put a case back into its queue.", lambda body, _: commands.Release(body.note)),
    _on("start", Nothing, "Begin to work on a case.", lambda _, __: commands.Start()),
    _on("wait", Waiting, "Wait for somebody.", lambda body, _: commands.Wait(body.on.upper(), body.note)),
    _on("continue", Remark, "The wait is over.", lambda body, _: commands.Continue(body.note)),
    _on(
        "escalate", Escalation, "Make a case more visible; its state stays.",
        lambda body, _: commands.Escalate(body.to, body.reason),
    ),
    _on("notes", Remark, "Write a note.", lambda body, _: commands.Note(body.note)),
    _on("reopen", Reason, "The resolution did not last.", lambda body, _: commands.Reopen(body.reason)),
    _on("close", Nothing, "Close a resolved case.", lambda _, __: commands.Close()),
))  # fmt: skip


def life_cycle(name: str, command: LifeCommand) -> HTTPRouteHandler:
    """The route of one life-cycle command."""
    declared = {"permission": WORK, "body": command.kind, "answer": CaseDone} | COMMAND

    async def work_on_case(
        request: Request[Any, Any, Any], ports: NamedDependency[Ports], name: FromPath[str]
    ) -> Response[bytes]:
        version, who = expected_version(request), actor(request)
        made = command.make(parsed(await request.body(), command.kind), who)
        case_id = await views.find_case(ports, name)
        done = await cases.command(ports, case_id, version, who, command.allowed_as, lambda _case: made)
        return as_json(done, version=done.version)

    work_on_case.__doc__, work_on_case.__name__ = command.says, f"{name}_case"
    return post(f"/{{name:str}}/{name}", opt=declared, status_code=200)(work_on_case)


def router() -> Router:
    """The routes of one case; the list has its path together with others and stands by itself."""
    handlers = [life_cycle(name, command) for name, command in LIFE_CYCLE.items()]
    return Router("/api/v1/fallout-cases", route_handlers=[show_case, verify_case, *handlers])
