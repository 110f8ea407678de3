"""What every answer has, whoever made it: safe headers, a trace id, and problems that say nothing of the inside."""

import asyncio
import json
import logging
from typing import Any

import pytest
from structlog.testing import capture_logs
from web_lab import CASES, TMF, TOKENS, House, fiber, order, served

from unstuck.web.server import build

SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
EVERY_KIND = [
    ("GET", "/", None, 303), ("GET", "/healthz", None, 200), ("GET", "/readyz", None, 200),
    ("GET", CASES, None, 200), ("GET", "/api/v1/orders", None, 200),
    ("GET", "/api/v1/nowhere", None, 404), ("GET", CASES + "/FC-1", None, 404), ("GET", TMF + "/ORD-1", None, 404),
    ("DELETE", CASES, None, 405), ("PATCH", TMF, b"{}", 405), ("POST", TMF, b"{}", 403),
    ("POST", CASES + "/FC-1/start", b"{}", 428), ("GET", CASES + "?limit=0", None, 422), ("GET", CASES + "?limit=x", None, 422),
    ("POST", CASES + "/FC-1/corrections/preview", b"{", 400), ("POST", CASES + "/FC-1/corrections/preview", b"x" * 10_000_001, 413),
    ("GET", "/api/v1/openapi.json", None, 200), ("GET", "/api/v1/incidents", None, 501), ("POST", "/api/v1/tasks/1/start", None, 501),
    ("POST", "/api/v1/callbacks/billing", b"{}", 401),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "data", "status"), EVERY_KIND)
async def test_every_answer_is_safe_and_traced(
    house: House, method: str, path: str, data: bytes | None, status: int
) -> None:
    answer = await house.call(method, path, data=data, headers={"X-Trace-Id": "the-trace.1_A"})
    assert answer.status == status, answer.raw
    assert {name: answer.headers.getall(name) for name in SAFE} == {name: [value] for name, value in SAFE.items()}
    assert answer.headers.getall("X-Trace-Id") == ["the-trace.1_A"]
    assert "Server" not in answer.headers
    if status >= 400 and not path.startswith(TMF):
        assert answer.headers["Content-Type"] == "application/problem+json"
        told = answer.json
        assert (told["status"], told["trace_id"], told["type"]) == (status, "the-trace.1_A", "about:blank")
        assert told["title"] and told["detail"]
    if status >= 400 and path.startswith(TMF):
        assert answer.headers["Content-Type"] == "application/json"
        assert (answer.json["status"], answer.json["code"]) == (str(status), str(status))
        assert answer.json["reason"] and answer.json["message"]


@pytest.mark.parametrize("given", ["", "two words", "a" * 65, "evil<script>", "a;b", "ü", "{}", None])
async def test_a_trace_id_that_is_not_safe_in_a_log_is_replaced(house: House, given: str | None) -> None:
    answer = await house.call("GET", "/api/v1/nowhere", headers={} if given is None else {"X-Trace-Id": given})
    made = answer.headers["X-Trace-Id"]
    assert made != given and len(made) == 32 and made.isalnum()
    assert answer.json["trace_id"] == made


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", CASES, {"GET", "HEAD", "POST", "OPTIONS"}),
        ("PUT", CASES + "/FC-1", {"GET", "HEAD", "OPTIONS"}),
        ("GET", CASES + "/FC-1/start", {"POST", "OPTIONS"}),
        ("HEAD", CASES + "/FC-1/resolve", {"POST", "OPTIONS"}),
        ("DELETE", TMF, {"GET", "HEAD", "POST", "OPTIONS"}),
        ("DELETE", TMF + "/ORD-1", {"GET", "HEAD", "PATCH", "OPTIONS"}),
        ("TRACE", "/healthz", {"GET", "HEAD", "OPTIONS"}),
        ("PROPFIND", "/healthz", {"GET", "HEAD", "OPTIONS"}),
    ],
)
async def test_a_method_that_is_not_there_names_those_that_are(
    house: House, method: str, path: str, allow: set[str]
) -> None:
    answer = await house.call(method, path, who="admin")
    assert answer.status == 405, answer.raw
    assert set(answer.headers["Allow"].split(", ")) == allow


@pytest.mark.parametrize(
    "path",
    ["/api", "/api/v1", "/api/v2/orders", CASES + "/x/y/z", "/api/%00", "/api/%ff%fe", "/api/" + "a" * 5000, "/tmf-api", "/tmf-api/serviceOrdering/v4/nothing", CASES + "/FC-1/evidence/not-an-id", CASES + "/FC-1/corrections/7/apply/x"],
    ids=lambda path: path[:40],
)  # fmt: skip
async def test_a_path_that_is_not_there_is_a_problem(house: House, path: str) -> None:
    answer = await house.call("GET", path)
    assert answer.status == 404
    kind = "json" if path.startswith("/tmf-api/") else "problem+json"
    assert answer.headers["Content-Type"] == f"application/{kind}"


@pytest.mark.parametrize(
    "path", ["/nowhere", "/../etc/passwd", "/%00", "/%ff%fe", "/" + "a" * 5000, "/apis"], ids=lambda path: path[:40]
)
async def test_a_page_that_is_not_there_is_a_page_that_says_so(house: House, path: str) -> None:
    answer = await house.call("GET", path, headers={"X-Trace-Id": "the-trace.1_A"})
    assert (answer.status, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert b"the-trace.1_A" in answer.raw and b"passwd" not in answer.raw


@pytest.mark.parametrize(
    "name",
    ["FC-0", "FC-999999", "FC-x", "FC-", "FC--5", "FC-" + "9" * 30, "FC--" + "9" * 30, "FC-" + "9" * 5000, "FC-٣", "x", "%00",
     "00000000-0000-0000-0000-000000000000", "'; DROP TABLE orders; --"],
    ids=lambda name: name[:20],
)  # fmt: skip
async def test_a_name_nobody_has_is_not_found(house: House, name: str) -> None:
    answer = await house.call("GET", f"{CASES}/{name}")
    assert (answer.status, answer.rule) == (404, "not-found")
    assert (await house.call("GET", f"/api/v1/orders/{name.replace('FC', 'ORD')}")).status == 404
    assert (await house.call("GET", f"{TMF}/{name.replace('FC', 'ORD')}")).status == 404


@pytest.mark.parametrize(
    "query", ["state=%00", "queue=%00", "queue=", "state=" + "x" * 201, "limit=0", "limit=501", "limit=-1"]
)
async def test_a_filter_that_cannot_be_is_pointed_at(house: House, query: str) -> None:
    answer = await house.call("GET", f"{CASES}?{query}")
    assert answer.status == 422 and answer.pointers == ["/" + query.partition("=")[0]]


async def test_a_filter_nobody_matches_finds_nothing(house: House) -> None:
    nothing = {"cases": [], "next": None, "more": False, "complete": True, "silent_sources": []}
    for query in ("state=CLOSED", "queue=NOBODY", "state=open&queue=x"):
        assert await house.get(f"{CASES}?{query}") == nothing
    assert (await house.call("GET", f"{CASES}?order_id=ORD-0")).status == 404


@pytest.mark.parametrize("path", ["/", "/healthz", CASES, "/nowhere", CASES + "/FC-1"])
async def test_head_is_get_without_its_body(house: House, path: str) -> None:
    get, head = await house.call("GET", path), await house.call("HEAD", path)
    assert (head.status, head.raw) == (get.status, b"")
    same = set(SAFE) | {"Content-Type", "Content-Length"}
    assert {n: head.headers[n] for n in same if n != "Content-Length" or get.status == 200} == {
        n: get.headers[n] for n in same if n != "Content-Length" or get.status == 200
    }


async def test_the_unexpected_says_only_its_trace_id(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_given: Any) -> Any:
        raise KeyError("the password is swordfish")

    monkeypatch.setattr("unstuck.web.api.cases.lists.cases", broken)
    with capture_logs() as logged:
        answer = await house.call("GET", CASES, headers={"X-Trace-Id": "find-me"})
    assert answer.status == 500 and answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json == {
        "type": "about:blank", "title": "Something broke here", "status": 500, "trace_id": "find-me",
        "detail": "an unexpected error; the trace id finds it in the log",
    }  # fmt: skip
    assert {name: answer.headers[name] for name in SAFE} == SAFE
    (line,) = [line for line in logged if line["event"] == "unexpected"]
    assert (line["trace_id"], line["path"]) == ("find-me", CASES) and isinstance(line["exc_info"], KeyError)


async def test_a_wrong_question_of_ours_is_a_500_not_the_database_away(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_given: Any) -> Any:
        await house.ports.store.pool.fetchval("SELECT $1::int", 2**40)  # an asyncpg InterfaceError, and ours

    monkeypatch.setattr("unstuck.web.api.cases.lists.cases", broken)
    with capture_logs():
        assert (await house.call("GET", CASES)).status == 500


async def test_what_breaks_after_taking_an_order_tells_no_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_given: Any) -> Any:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr("unstuck.web.tmf.service_order.service_orders.told", broken)
    body = json.dumps(order(fiber())).encode()
    with capture_logs():
        answer = await house.submit(body)
    assert answer.status == 500 and b"secret" not in answer.raw
    monkeypatch.undo()
    again = await house.submit(body)  # it had been taken: the same bytes find it
    assert again.status == 201
    assert [row["because"] for row in await house.kept(body)] == ["accepted", "known"]


async def test_below_the_application_garbage_gets_a_plain_400(house: House) -> None:
    host, port = house.url.removeprefix("http://").split(":")
    for garbage in (b"\x16\x03\x01\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(garbage)
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 400"), answer
        writer.close()
        await writer.wait_closed()
    assert logging.getLogger("uvicorn").handlers == []


async def test_a_trusted_token_is_never_said_again(house: House) -> None:
    for path in ("/nowhere", CASES + "/FC-1", CASES):
        answer = await house.call("GET", path)
        assert TOKENS["repair-agent"].encode() not in answer.raw


async def test_readiness_names_the_pack_and_what_weakens_us(house: House) -> None:
    app = build(house.ports, callback_secret="", body_limit=10, warnings=("fsync is off",))
    async with served(app) as url, house.client.get(f"{url}/readyz") as answer:
        assert await answer.json() == {"ok": True, "pack": "minimal", "warnings": ["fsync is off"]}
