"""Signing in and out, the first administrator, and what everybody may do about their own account."""

from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler

from unstuck.kernel.refusal import Invalid, Refused
from unstuck.service.access import people, sessions
from unstuck.service.access.sessions import Wanted
from unstuck.service.ports import Ports
from unstuck.web import problem
from unstuck.web.auth import NOBODY, PUBLIC, SIGNED_IN
from unstuck.web.pages import forms, render, texts
from unstuck.web.pages.forms import SMALL
from unstuck.web.pages.going import go, local
from unstuck.web.protocol import actor
from unstuck.web.site import Site

Asked = Request[Any, Any, Any]
OPEN = {"permission": PUBLIC, "page": True}
OWN = {"permission": SIGNED_IN, "page": True}


class Held(msgspec.Struct, frozen=True):
    """A role as its holder reads it."""

    title: str
    may: str


class Account(msgspec.Struct, frozen=True):
    """One account that a demo offers."""

    name: str
    roles: list[Held]


@get("/sign-in", opt=OPEN)
async def ask_who(request: Asked, ports: NamedDependency[Ports], site: NamedDependency[Site]) -> Response[Any]:
    """The form to sign in with; who is signed in goes on."""
    wanted = local(request.query_params.get("next", ""))
    if actor(request) is not NOBODY:
        return go(request, wanted)
    return await _door(request, ports, site, next=wanted)


@post("/sign-in", status_code=303, opt=OPEN, request_max_body_size=SMALL)
async def sign_in(request: Asked, ports: NamedDependency[Ports], site: NamedDependency[Site]) -> Response[Any]:
    """Sign in, and go where one wanted to go."""
    form = await forms.read(request, ("name", "password", "next"))
    name, wanted = form.text("name"), local(form.text("next"))
    try:
        new = await sessions.sign_in(ports, _wanted(request, site, name, form.text("password")))
    except Refused as refusal:
        return await _door(request, ports, site, next=wanted, name=name, refusal=refusal)
    await _end_former(request, ports)
    return go(request, wanted, _cookie(site, new.token))


@post("/sign-in/demo", status_code=303, opt=OPEN, request_max_body_size=SMALL)
async def enter_demo(request: Asked, ports: NamedDependency[Ports], site: NamedDependency[Site]) -> Response[Any]:
    """Come in as one of the people of a demo, where one runs and only this machine reaches it."""
    form = await forms.read(request, ("demo", "next"))
    if not site.lets_demo_in(request):
        raise Refused("demo-account", "demo accounts count only where a demo runs, called by the name of this machine")
    new = await sessions.enter_demo(ports, form.text("demo"))
    await _end_former(request, ports)
    return go(request, local(form.text("next")), _cookie(site, new.token))


@post("/sign-out", status_code=303, opt=OPEN, request_max_body_size=SMALL)
async def sign_out(request: Asked, ports: NamedDependency[Ports], site: NamedDependency[Site]) -> Response[Any]:
    """End this session."""
    await _end_former(request, ports)
    return go(request, "/sign-in?done=signed-out", _cookie(site, ""))


@get("/first-start", opt=OPEN)
async def ask_first(request: Asked, ports: NamedDependency[Ports]) -> Response[str]:
    """The form that makes the first administrator, for who has the link."""
    link = request.query_params.get("link", "")
    await people.require_link(ports, link)
    return _first(request, link)


@post("/first-start", status_code=303, opt=OPEN, request_max_body_size=SMALL)
async def make_first(request: Asked, ports: NamedDependency[Ports], site: NamedDependency[Site]) -> Response[Any]:
    """Make the first administrator, who is signed in at once."""
    form = await forms.read(request, ("link", "name", "password", "again"))
    link, name, password = form.text("link"), form.text("name"), form.text("password")
    try:
        _require_same(password, form.text("again"))
        await people.make_first(ports, link, name, password)
        new = await sessions.sign_in(ports, _wanted(request, site, name, password))
    except Invalid as refusal:
        return _first(request, link, name=name, refusal=refusal)
    return go(request, "/queue", _cookie(site, new.token))


@get("/account", opt=OWN)
async def show_account(request: Asked, ports: NamedDependency[Ports]) -> Response[str]:
    """Who one is here, and what one may do."""
    return await _account(request, ports)


@post("/account/password", status_code=303, opt=OWN, request_max_body_size=SMALL)
async def change_password(request: Asked, ports: NamedDependency[Ports], site: NamedDependency[Site]) -> Response[Any]:
    """Take another password; every other session of this person ends."""
    form = await forms.read(request, ("old", "password", "again"))
    try:
        _require_same(form.text("password"), form.text("again"))
        wanted = _wanted(request, site, actor(request).id, form.text("old"))
        new = await sessions.change_password(ports, wanted, form.text("password"))
    except Refused as refusal:
        return await _account(request, ports, refusal=refusal)
    return go(request, "/account?done=password-changed", _cookie(site, new.token))


@post("/account/sign-out-everywhere", status_code=303, opt=OWN, request_max_body_size=SMALL)
async def sign_out_everywhere(
    request: Asked, ports: NamedDependency[Ports], site: NamedDependency[Site]
) -> Response[Any]:
    """End every session of this person, this one too."""
    await sessions.sign_out_everywhere(ports, actor(request).id)
    return go(request, "/sign-in?done=signed-out-everywhere", _cookie(site, ""))


def handlers() -> list[HTTPRouteHandler]:
    """The routes of signing in and of one's account."""
    return [
        ask_who,
        sign_in,
        enter_demo,
        sign_out,
        ask_first,
        make_first,
        show_account,
        change_password,
        sign_out_everywhere,
    ]


async def _door(
    request: Asked, ports: Ports, site: Site, *, next: str, name: str = "", refusal: Refused | None = None
) -> Response[str]:
    accounts = await sessions.demo_people(ports) if site.lets_demo_in(request) else []
    accounts.sort(
        key=lambda one: (people.ADMIN in one.roles, one.name)
    )  # who repairs comes first, who administers last
    demo = [Account(one.name, _held(ports, one.roles)) for one in accounts]
    given = {"demo": demo, "next": next, "name": name, "anybody": bool(demo) or await people.anybody(ports)}
    return _plain(request, "sign_in.html", refusal, done=request.query_params.get("done", ""), **given)


def _first(request: Asked, link: str, *, name: str = "", refusal: Refused | None = None) -> Response[str]:
    return _plain(request, "first_start.html", refusal, link=link, name=name)


async def _account(request: Asked, ports: Ports, refusal: Refused | None = None) -> Response[str]:
    who, kind = actor(request), request.scope["auth"].kind
    status, headers = problem.status_of(refusal)
    shown = await render.page(
        request, ports, "account.html", status=status, roles=_held(ports, sorted(who.roles)), kind=kind,
        refusal=refusal, errors=forms.errors(refusal) if refusal else {},
    )  # fmt: skip
    shown.headers.update(headers)
    return shown


def _plain(request: Asked, template: str, refusal: Refused | None, /, **given: Any) -> Response[str]:
    status, headers = problem.status_of(refusal)
    errors = forms.errors(refusal) if refusal else {}
    body = render.part(template, theme=render.theme(request), refusal=refusal, errors=errors, **given)
    return render.html(body, status=status, headers=headers)


def _held(ports: Ports, roles: Sequence[str]) -> list[Held]:
    known = ports.book.current.document.roles
    return [Held(known[role].title if role in known else role, _may(role)) for role in roles]


def _may(role: str) -> str:
    return texts.text(f"may.{role}") if texts.has(f"may.{role}") else ""


def _wanted(request: Asked, site: Site, name: str, password: str) -> Wanted:
    address = request.client.host if request.client else ""
    return Wanted(name, password, address, site.lets_demo_in(request))


def _require_same(password: str, again: str) -> None:
    if password != again:
        raise Invalid("the two passwords differ", (("/again", "is not what you typed above"),))


async def _end_former(request: Asked, ports: Ports) -> None:
    """The session this browser had, if any: nobody goes on in one that somebody else could have put there."""
    proof = request.scope["auth"]
    if proof.kind == "session":
        await sessions.sign_out(ports, proof.secret)


def _cookie(site: Site, token: str) -> Cookie:
    """The session as the browser keeps it until it is closed, out of reach of scripts; without a token it is forgotten."""
    return Cookie(
        site.cookie, value=token, path="/", httponly=True, samesite="lax", secure=site.is_secure,
        max_age=None if token else 0,
    )  # fmt: skip
