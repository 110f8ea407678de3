"""Commands on a whole order as forms: opened on its page, carried out once, refused in place with what was typed."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect

from unstuck.kernel.refusal import Missing, Refused, Stale
from unstuck.policy.order_grant import PERMISSION
from unstuck.service.looks import order_page, views
from unstuck.service.order_work import orders
from unstuck.service.ports import Ports
from unstuck.web import problem
from unstuck.web.api.bodies import Reason
from unstuck.web.pages import forms
from unstuck.web.pages.order_file.order_parts import since
from unstuck.web.pages.order_file.orders import page
from unstuck.web.protocol import actor

Asked = Request[Any, Any, Any]
MANAGES = {"permission": PERMISSION, "page": True}
FORM = ("version", "key", "seen", "reason")
COMMANDS = {
    "suspend": orders.suspend,
    "resume": orders.resume,
    "fail": orders.fail,
    "resolve-failure": orders.resolve_failure,
    "cancel": orders.cancel,
    "abort": orders.abort,
}


@get("/orders/{name:str}/do/{command:str}", opt=MANAGES)
async def open_form(
    request: Asked, ports: NamedDependency[Ports], name: FromPath[str], command: FromPath[str]
) -> Response[str]:
    """The order with the form of one command open."""
    desk = await order_page.order_desk(ports, await _found(ports, name, command), actor(request))
    return await page(request, ports, desk, command=command, key=str(ports.new_id()))


@post("/orders/{name:str}/do/{command:str}", opt=MANAGES, status_code=303)
async def carry_out(
    request: Asked, ports: NamedDependency[Ports], name: FromPath[str], command: FromPath[str]
) -> Response[Any]:
    """Carry one command out; a form that is sent again is answered again and does nothing twice."""
    order_id = await _found(ports, name, command)
    form = await forms.read(request, FORM)
    try:
        once = forms.once(request, form)
        if await forms.again(ports, once) is None:
            reason = forms.into({"reason": form.text("reason")}, Reason).reason
            await COMMANDS[command](forms.under(ports, once), order_id, form.version, actor(request), reason)
    except Refused as refusal:
        return await _refused(request, ports, order_id, command, form, refusal)
    return Redirect(f"/orders/{name}?done=order.{command}", status_code=303)


async def _refused(
    request: Asked, ports: Ports, order_id: UUID, command: str, form: forms.Form, refusal: Refused
) -> Response[str]:
    """The page as it is now, with the refusal on top and the form as it was typed, ready for the new version."""
    desk = await order_page.order_desk(ports, order_id, actor(request))
    said = problem.described(request, refusal)
    seen = form.text("seen")
    moved = isinstance(refusal, Stale) and seen.isascii() and seen.isdecimal()
    return await page(
        request, ports, desk, status=said.status, command=command, key=str(ports.new_id()), refusal=said.body,
        reason=form.text("reason"), errors=forms.errors(refusal),
        changed=since(desk, int(seen)) if moved else (),
    )  # fmt: skip


async def _found(ports: Ports, name: str, command: str) -> UUID:
    if command not in COMMANDS:
        raise Missing(f"the command {command[:60]!r}")
    return await views.find_order(ports, name)


def handlers() -> list[HTTPRouteHandler]:
    """The routes of this module."""
    return [open_form, carry_out]
