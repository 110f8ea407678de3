"""Who may see which page and send which form, against a table written by hand; and that a page is where pages are."""

from typing import Any

import pytest
from litestar import Litestar, get
from pages_lab import signed_in
from test_web_roles import DESKS, EVERYBODY, ID, MANAGE, REPAIR, routes
from web_lab import ROLES, TOKENS, House

from unstuck.web import server
from unstuck.web.auth import PUBLIC as ANYBODY
from unstuck.web.auth import misplaced
from unstuck.web.pages import session

MATRIX = {
    ("GET", "/queue"): DESKS,
    ("POST", "/queue/do/{action}"): REPAIR,
    ("GET", "/live/queue"): DESKS,
    ("GET", "/cases/{name}"): DESKS,
    ("GET", "/cases/{name}/evidence/{eid}"): DESKS,
    ("GET", "/live/cases/{name}"): DESKS,
    # Of a case everybody who reads it may ask for every form: what they may not do is refused with the rule there.
    ("GET", "/cases/{name}/do/{action}"): DESKS,
    ("POST", "/cases/{name}/do/{action}"): DESKS,
    ("POST", "/cases/{name}/preview/{action}"): DESKS,
    ("GET", "/orders"): EVERYBODY,
    ("GET", "/orders/{name}"): EVERYBODY,
    ("GET", "/live/orders/{name}"): EVERYBODY,
    ("GET", "/orders/{name}/do/{command}"): MANAGE,
    ("POST", "/orders/{name}/do/{command}"): MANAGE,
    ("GET", "/search"): EVERYBODY,
    ("GET", "/search.json"): EVERYBODY,
    ("GET", "/account"): EVERYBODY,
    ("POST", "/account/password"): EVERYBODY,
    ("POST", "/account/sign-out-everywhere"): EVERYBODY,
    ("GET", "/parts"): EVERYBODY,
    ("POST", "/try/fold"): EVERYBODY,
}
PUBLIC = {
    ("GET", "/"),
    ("GET", "/static/{digest}/{name}"),
    ("POST", "/theme"),
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("POST", "/sign-in/demo"),
    ("POST", "/sign-out"),
    ("GET", "/first-start"),
    ("POST", "/first-start"),
}
FILLED = {"{name}": ID, "{eid}": ID, "{action}": "assign", "{command}": "suspend"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def filled(path: str) -> str:
    for name, value in FILLED.items():
        path = path.replace(name, value)
    return path


async def status_of(house: House, method: str, path: str, **headers: str) -> tuple[int, str]:
    """What a page answers, and where it leads; a stream is not read to its end."""
    sent = {**FORM, **headers} if method == "POST" else headers
    data = b"" if method == "POST" else None
    async with house.client.request(
        method, house.url + filled(path), data=data, headers=sent, allow_redirects=False
    ) as answer:
        return answer.status, answer.headers.get("Location", "")


def test_the_table_has_every_page(house: House) -> None:
    assert set(routes(house.app._app, pages=True)) == set(MATRIX) | PUBLIC


@pytest.mark.parametrize(("method", "path"), MATRIX, ids=" ".join)
async def test_only_the_roles_of_the_table_see_it(house: House, method: str, path: str) -> None:
    seen = set()
    for role in ROLES:
        status, _ = await status_of(house, method, path, Authorization=f"Bearer {TOKENS[role]}")
        assert status in (200, 303, 400, 401, 403, 404, 409, 412, 415, 422, 428), (role, status)
        seen |= {role} if status != 403 else set()
    assert seen == MATRIX[method, path]


@pytest.mark.parametrize(("method", "path"), MATRIX, ids=" ".join)
@pytest.mark.parametrize("headers", [{}, {"Cookie": "unstuck_session=nobodys"}, {"Authorization": "Bearer x"}], ids=str)
async def test_who_is_nobody_is_asked_who_they_are(
    house: House, method: str, path: str, headers: dict[str, str]
) -> None:
    status, place = await status_of(house, method, path, **{"Sec-Fetch-Site": "same-origin"}, **headers)
    if method == "GET" and not path.startswith("/live/"):
        assert (status, place.partition("?")[0]) == (303, "/sign-in")
    else:
        assert status == 401


UNSAFE = [(method, path) for method, path in [*MATRIX, *sorted(PUBLIC)] if method != "GET"]


@pytest.mark.parametrize(("method", "path"), UNSAFE, ids=" ".join)
async def test_no_form_of_another_site_gets_in(house: House, method: str, path: str) -> None:
    async with await signed_in(house, "fallout-manager", "Visits another site") as who:
        (cookie,) = [f"{c.key}={c.value}" for c in who.cookie_jar]
    for foreign in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {}):
        async with house.client.request(
            method, house.url + filled(path), data=b"", headers={**FORM, **foreign, "Cookie": cookie}
        ) as answer:
            assert answer.status == 403
            assert "same-origin" in await answer.text()


@get("/elsewhere", opt={"permission": ANYBODY})
async def no_page() -> None: ...


@get("/api/v1/page", opt={"permission": ANYBODY, "page": True})
async def page_of_programs() -> None: ...


@get("/page", opt={"permission": ANYBODY, "page": True})
async def page() -> None: ...


@get("/api/v1/thing", opt={"permission": ANYBODY})
async def thing() -> None: ...


@pytest.mark.parametrize("handler", [no_page, page_of_programs], ids=lambda h: next(iter(h.paths)))
def test_a_page_among_the_addresses_of_programs_is_found_and_the_other_way_round(handler: Any) -> None:
    app = Litestar(route_handlers=[handler, page, thing], openapi_config=None)
    assert list(misplaced(app)) == list(handler.paths)


def test_the_application_does_not_start_with_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    real = session.handlers()
    monkeypatch.setattr(session, "handlers", lambda: [*real, page_of_programs])
    with pytest.raises(RuntimeError, match="pages among the addresses of programs"):
        server.build(house.ports, callback_secret="", body_limit=1)
