"""Who may do what: every route with every role, against a table written here by hand, not derived from the pack."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar, WebSocket, asgi, get, route, websocket
from litestar.types import Receive, Scope, Send
from web_lab import CASES, ROLES, TMF, House, fiber, refused

from unstuck.kernel.refusal import Invalid
from unstuck.service.access.accounts import add_token
from unstuck.web import server
from unstuck.web.api.not_built import waiting
from unstuck.web.auth import undeclared

EVERYBODY = frozenset(ROLES)
DESKS = EVERYBODY - {"integration"}
REPAIR = frozenset({"repair-agent", "fallout-manager", "engineer"})
SUBMIT = frozenset({"engineer", "integration", "admin"})
MANAGE = frozenset({"fallout-manager", "operations-manager", "engineer"})
WATCH = EVERYBODY - {"support", "approver", "finance"}
RECEIVERS = frozenset({"integration", "admin"})
SOURCES = "/api/v1/sources"
BASE = TMF.removesuffix("/serviceOrder")
CANCEL = BASE + "/cancelServiceOrder"
HOOKS = "/api/v1/subscriptions"
COMMANDS = ("assign", "release", "start", "wait", "continue", "escalate", "notes", "reopen", "close")
ORDER_COMMANDS = ("suspend", "resume", "fail", "resolve-failure", "cancel", "abort")
ID = "018f0000-0000-7000-8000-000000000000"

MATRIX = {
    ("GET", "/api/v1/orders"): EVERYBODY,
    ("GET", "/api/v1/orders/{name}"): EVERYBODY,
    ("GET", TMF + "/{order_id}"): EVERYBODY,
    ("POST", TMF): SUBMIT,
    ("GET", CASES): DESKS,
    ("GET", CASES + "/{name}"): DESKS,
    ("GET", CASES + "/{name}/evidence/{eid}"): DESKS,
    **{("POST", f"{CASES}/{{name}}/{command}"): REPAIR for command in COMMANDS},
    ("POST", CASES + "/{name}/verify"): REPAIR,
    ("POST", CASES + "/{name}/resolve"): REPAIR,
    ("POST", CASES + "/{name}/corrections"): REPAIR,
    ("POST", CASES + "/{name}/corrections/preview"): REPAIR,
    ("POST", CASES + "/{name}/corrections/{cid}/apply"): REPAIR,
    ("POST", CASES + "/{name}/corrections/{cid}/reject"): REPAIR,
    ("POST", CASES + "/{name}/corrections/{cid}/preview"): REPAIR,
    ("POST", CASES + "/{name}/evidence"): REPAIR,
    ("POST", CASES + "/{name}/reveal"): REPAIR,
    ("GET", CASES + "/{name}/evidence"): DESKS,
    **{(method, "/api/v1" + path): EVERYBODY for methods, path, _, _ in waiting() for method in methods},
    ("GET", HOOKS): RECEIVERS,
    ("POST", HOOKS): RECEIVERS,
    ("GET", HOOKS + "/{id}"): RECEIVERS,
    ("DELETE", HOOKS + "/{id}"): RECEIVERS,
    ("GET", HOOKS + "/{id}/dead"): RECEIVERS,
    ("POST", HOOKS + "/{id}/pause"): RECEIVERS,
    ("POST", HOOKS + "/{id}/resume"): RECEIVERS,
    ("POST", HOOKS + "/{id}/rotate-secret"): RECEIVERS,
    ("POST", HOOKS + "/{id}/replay"): RECEIVERS,
    ("POST", HOOKS + "/{id}/drop"): RECEIVERS,
    ("POST", "/api/v1/resume-tokens/{id}/redeem"): SUBMIT,
    ("POST", "/api/v1/fallout-events"): SUBMIT,
    ("POST", CASES): REPAIR | {"support"},
    ("GET", SOURCES): WATCH,
    ("GET", SOURCES + "/{name}"): WATCH,
    ("PUT", SOURCES + "/{name}"): {"admin"},
    ("POST", SOURCES + "/{name}/heartbeat"): SUBMIT,
    ("POST", SOURCES + "/{name}/keys"): {"admin"},
    ("DELETE", SOURCES + "/{name}/keys/{key}"): {"admin"},
    **{("POST", f"/api/v1/orders/{{name}}/{command}"): MANAGE for command in ORDER_COMMANDS},
    **{("GET", f"/api/v1/audit/{what}"): {"auditor", "admin"} for what in ("checkpoints", "consistency", "proof")},
    ("GET", TMF): EVERYBODY,
    ("PATCH", TMF + "/{order_id}"): SUBMIT,
    ("GET", CANCEL): EVERYBODY,
    ("GET", CANCEL + "/{id}"): EVERYBODY,
    ("POST", CANCEL): SUBMIT,
    ("POST", BASE + "/hub"): RECEIVERS,
    ("GET", BASE + "/hub/{id}"): RECEIVERS,
    ("DELETE", BASE + "/hub/{id}"): RECEIVERS,
    ("POST", BASE + "/listener/{event}"): SUBMIT,
}
OWN = {
    ("GET", "/api/v1/sources/{name}/decisions")
}  # no role is enough: test_web_foreign asks with and without its token
LIVE = {("GET", "/api/v1/stream")}  # never ends by itself: test_web_stream asks every role
PUBLIC = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("POST", "/api/v1/callbacks/{system}"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/api/v1/audit/keys"),
}
ACTIONS = {
    "query_by_key": REPAIR, "read_back": REPAIR, "retry": REPAIR, "resend_same_key": REPAIR, "correct_data": REPAIR,
    "mark_done_outside": REPAIR, "cancel_item": {"fallout-manager", "engineer"}, "force_complete": {"fallout-manager", "engineer"},
}  # fmt: skip
LIFE = ("assign", "release", "start", "wait", "continue", "verify", "resolve", "reopen", "close", "escalate")


def filled(path: str) -> str:
    known = {
        "{name}": ID,
        "{order_id}": ID,
        "{eid}": ID,
        "{cid}": ID,
        "{id}": ID,
        "{rest}": "x",
        "{key}": ID,
        "{event}": "x",
    }
    for name, value in known.items():
        path = path.replace(name, value)
    return path


def routes(app: Litestar, *, pages: bool = False) -> Iterator[tuple[str, str]]:
    """What programs use, or the pages for people (their table: test_web_page_roles)."""
    for one in app.routes:
        path = one.path_format if one.path_format == "/" else one.path_format.rstrip("/")
        for handler in getattr(one, "route_handlers", ()):
            if bool(handler.opt.get("page")) is pages:
                yield from ((method, path) for method in handler.http_methods if method != "OPTIONS")


def test_the_table_has_every_route(house: House) -> None:
    assert set(routes(house.app._app)) == set(MATRIX) | PUBLIC | LIVE | OWN


@pytest.mark.parametrize(("method", "path"), MATRIX, ids=" ".join)
async def test_only_the_roles_of_the_table_get_in(house: House, method: str, path: str) -> None:
    let_in = set()
    for role in ROLES:
        answer = await house.call(method, filled(path), who=role, data=b"{}" if method == "POST" else None)
        assert answer.status in (200, 201, 400, 403, 404, 412, 422, 428, 501), (role, answer.status, answer.raw)
        if answer.status != 403:
            let_in.add(role)
        else:
            assert answer.json.get("rule", "role") == "role"
    assert let_in == MATRIX[method, path]


@pytest.mark.parametrize(("method", "path"), MATRIX, ids=" ".join)
@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong-token-of-nobody-at-all", "Basic YTpi", "Bearer \xff\xfe", "Bearer " + "x" * 9000]
)  # fmt: skip
async def test_nobody_gets_in(house: House, method: str, path: str, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = await house.call(method, filled(path), who=None, headers=headers, data=b"{}" if method == "POST" else None)
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_revoked_token_opens_nothing_from_then_on(house: House) -> None:
    token = {"Authorization": "Bearer a-token-that-will-be-revoked"}
    await add_token(house.ports, "leaver", ("engineer",), "a-token-that-will-be-revoked")
    assert (await house.call("GET", CASES, who=None, headers=token)).status == 200
    await house.owner.execute("UPDATE api_token SET revoked_at = now() WHERE name = 'leaver'")
    assert (await house.call("GET", CASES, who=None, headers=token)).status == 401


async def test_two_roles_may_what_either_may(house: House) -> None:
    token = {"Authorization": "Bearer a-token-with-two-roles-on-it"}
    await add_token(house.ports, "both", ("support", "integration"), "a-token-with-two-roles-on-it")
    assert (await house.call("GET", CASES, who=None, headers=token)).status == 200
    assert (await house.call("POST", TMF, who=None, headers=token, data=b"{}")).status == 400
    assert (await house.call("POST", f"{CASES}/{ID}/start", who=None, headers=token)).status == 403


async def test_a_role_the_pack_forgot_may_nothing(house: House) -> None:
    await house.owner.execute(
        "INSERT INTO api_token VALUES ($1, 'ghost', encode(sha256('a-token-of-a-forgotten-role'), 'hex'), '{gone}', now())",
        house.ports.new_id(),
    )
    token = {"Authorization": "Bearer a-token-of-a-forgotten-role"}
    assert (await house.call("GET", CASES, who=None, headers=token)).status == 403


async def test_of_a_name_only_its_token_counts(house: House) -> None:
    """Our own loops need no role, so nobody may come by their name."""
    secret = "a-token-that-plays-the-engine"
    for name in ("unstuck:engine", "unstuck:", "", " ", "a\x00b"):
        with pytest.raises(Invalid):
            await add_token(house.ports, name, ("support",), secret)
    await add_token(house.ports, "the pretender", ("support",), secret)
    await house.owner.execute("UPDATE api_token SET name = 'unstuck:engine' WHERE name = 'the pretender'")
    answer = await house.call("GET", CASES, who=None, headers={"Authorization": f"Bearer {secret}"})
    assert answer.status == 401


async def test_each_role_is_shown_and_refused_its_own_actions(house: House) -> None:
    placed = await house.place(fiber(), customer="C-roles")
    house.targets.will("C-roles", "activateFiber", refused("TERMINAL"))
    await house.work()
    case = await house.case_of(placed["id"])
    for role in DESKS:
        view = await house.get(f"{CASES}/{case['id']}", role)
        forbidden = {r["action"] for r in view["refused_actions"] if r["rule"] == "role"}
        assert forbidden == {a for a, who in ACTIONS.items() if role not in who} | (
            set() if role in REPAIR else set(LIFE)
        )
        assert len(view["allowed_actions"]) + len(view["refused_actions"]) == len(ACTIONS) + len(LIFE)


async def test_a_role_that_may_repair_may_not_every_repair(house: House) -> None:
    case = (await house.get(CASES))["cases"][0]
    for role, action in itertools.product(REPAIR, ("cancel_item", "force_complete")):
        reason = {"cancel_item": "customer_withdrew", "force_complete": "management_decision"}[action]
        body = {"action": action, "reason_code": reason, "reason": "because", "input": {}}
        answer = await house.call("POST", f"{CASES}/{case['id']}/corrections", body, who=role, version=case["version"])
        assert (answer.status == 403 and answer.rule == "role") is (role not in ACTIONS[action]), (role, answer.raw)


@get("/bare")
async def bare() -> None: ...


@get("/declared", opt={"permission": "case.read"})
async def declared() -> None: ...


@route("/options", http_method=["GET", "OPTIONS"])
async def with_options() -> None: ...


@asgi("/mounted", copy_scope=True)
async def mounted(scope: Scope, receive: Receive, send: Send) -> None: ...


@websocket("/socket")
async def socket(socket: WebSocket[Any, Any, Any]) -> None: ...


@pytest.mark.parametrize("handler", [bare, with_options, mounted, socket], ids=lambda h: next(iter(h.paths)))
def test_a_route_that_declares_no_permission_is_found(handler: Any) -> None:
    app = Litestar(route_handlers=[handler, declared], openapi_config=None)
    assert list(undeclared(app)) == list(handler.paths)


def test_the_application_does_not_start_with_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    real = server.cases.router

    def with_a_hole() -> Any:
        router = real()
        router.register(bare)
        return router

    monkeypatch.setattr(server.cases, "router", with_a_hole)
    with pytest.raises(RuntimeError, match=r"routes without a permission: /api/v1/fallout-cases/bare"):
        server.build(house.ports, callback_secret="", body_limit=1)


async def test_a_route_that_declares_none_denies_even_if_it_did_start(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = await house.call("OPTIONS", CASES, who="admin")  # the one handler Litestar makes by itself
    assert (answer.status, answer.rule) == (403, "declared-permission")
