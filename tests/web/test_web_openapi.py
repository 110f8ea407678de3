"""The OpenAPI document is true: everything it says is called, by a fuzzer, on the real application and database."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from desk_lab import BAD_ADDRESS, Desk
from web_lab import LOST, ROLES, House

from unstuck.service.access.accounts import add_token
from unstuck.web.openapi import operations

GATE = bool(os.environ.get("TESTS_GATE"))
SEEDS, EXAMPLES = ((7, 8, 11), 25) if GATE else ((7,), 6)
TOKEN = "the-token-of-the-fuzzer-which-may-everything"
STAGES = [
    ("working", "", LOST), ("working", "", BAD_ADDRESS), ("proposed", "retry", BAD_ADDRESS), ("proposed", "read_back", LOST),
    ("waiting", "", BAD_ADDRESS), ("verifying", "", BAD_ADDRESS), ("resolved", "", BAD_ADDRESS),
]  # fmt: skip
HERE = Path(__file__).parent
SETTINGS = """
hooks = "fuzz_hooks"
warnings = false
[auth.openapi.bearer]
bearer = "${FUZZ_TOKEN}"
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "401", "403", "404", "409", "412", "428", "429", "503"]
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "412", "413", "415", "422", "428", "429"]
missing_required_header.expected-statuses = ["401", "403", "406", "415", "422", "428", "429"]
"""


@pytest.fixture(scope="module")
async def world(house: House) -> AsyncIterator[House]:
    """Cases in several states, with evidence and proposals, and a worker that goes on working."""
    await add_token(house.ports, "the fuzzer", ROLES, TOKEN)
    for stage, repair, reply in STAGES * 2:
        desk = await Desk.stopped(house, "activateFiber", reply)
        proof = await desk.proof()
        if stage == "proposed":
            assert (await desk.propose(repair)).status == 201
        if stage == "waiting":
            await desk.done("wait", {"on": "FIELD", "note": "n"})
        if stage in ("verifying", "resolved"):
            await desk.done("verify", {"evidence": [proof]})
        if stage == "resolved":
            assert (await desk.resolve("cancel", evidence=[proof])).status == 200
    working = asyncio.create_task(_keep_working(house))
    yield house
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


async def _keep_working(house: House) -> None:
    while True:
        await house.work()
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("seed", SEEDS)
async def test_everything_documented_is_true(world: House, seed: int, tmp_path: Path) -> None:
    """All checks of schemathesis and our own, all phases: no failure, and nothing breaks here (5xx)."""
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    fuzzer = Path(sys.executable).with_name("schemathesis")
    command = (
        *(str(fuzzer), "run", f"{world.url}/api/v1/openapi.json", "--seed", str(seed), "--checks", "all"),
        *("--max-examples", str(EXAMPLES), "--continue-on-failure", "--no-shrink"),
    )
    told = {"FUZZ_URL": world.url, "FUZZ_TOKEN": TOKEN, "FUZZ_SEED": str(seed), "PYTHONPATH": str(HERE)}
    running = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, env={**os.environ, **told}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )  # fmt: skip
    said, _ = await running.communicate()
    print(f"schemathesis, seed {seed}, {EXAMPLES} examples:\n{said.decode()[-30_000:]}")
    assert running.returncode == 0, said.decode()[-30_000:]


async def test_the_document_is_for_everybody(house: House) -> None:
    answer = await house.call("GET", "/api/v1/openapi.json", who=None)
    assert (answer.status, answer.json["openapi"], answer.headers["Content-Type"]) == (200, "3.1.0", "application/json")
    assert answer.raw == (await house.call("GET", "/api/v1/openapi.json")).raw


def test_every_native_route_declares_what_it_answers(house: House) -> None:
    silent = [
        f"{one.method} {one.path}"
        for one in operations(house.app._app)
        if not one.says("hidden") and one.handler.status_code != 204 and not (one.says("answer") or one.says("media"))
    ]
    assert silent == []


async def test_every_operation_has_a_name_of_its_own_and_a_sentence(house: House) -> None:
    paths = (await house.get("/api/v1/openapi.json"))["paths"]
    told = [operation for path in paths.values() for operation in path.values()]
    names = [operation["operationId"] for operation in told]
    assert len(set(names)) == len(names)
    assert [operation["operationId"] for operation in told if not operation["summary"]] == []


async def test_commands_say_what_they_need(house: House) -> None:
    paths = (await house.get("/api/v1/openapi.json"))["paths"]
    resolve = paths["/api/v1/fallout-cases/{name}/resolve"]["post"]
    needed = {p["name"]: p.get("required", False) for p in resolve["parameters"]}
    assert needed == {"name": True, "If-Match": True, "Idempotency-Key": False}
    statuses = {"200", "400", "401", "403", "404", "409", "412", "413", "415", "422", "428", "503"}
    assert set(resolve["responses"]) == statuses
    assert resolve["responses"]["200"]["headers"].keys() == {"ETag"}
    assert resolve["responses"]["412"]["content"].keys() == {"application/problem+json"}
    assert resolve["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/Resolution")


async def test_a_body_says_no_more_than_it_takes(house: House) -> None:
    schemas = (await house.get("/api/v1/openapi.json"))["components"]["schemas"]
    bodies = (await house.get("/api/v1/openapi.json"))["paths"]
    named = {
        told["post"]["requestBody"]["content"]["application/json"]["schema"]
        .get("$ref", "/NewEvidence")
        .rpartition("/")[2]
        for path, told in bodies.items()
        if path.startswith("/api/v1/fallout-cases/") and "post" in told
    }
    assert {"Remark", "Nothing", "Resolution", "NewCorrection"} < named
    assert {name for name in named if schemas[name].get("additionalProperties") is not False} == set()
    assert schemas["Resolution"]["properties"]["decision"]["enum"] == ["cancel", "compensate", "none", "resume"]
    assert schemas["Problem"]["required"] == ["type", "title", "status", "detail", "trace_id"]


def test_what_is_streamed_or_not_built_is_not_in_it(house: House) -> None:
    hidden = {one.path for one in operations(house.app._app) if one.says("hidden")}
    assert {"/api/v1/openapi.json", "/api/v1/approvals", "/api/v1/tasks"} <= hidden


async def test_the_document_is_made_when_it_is_asked_for(house: House) -> None:
    document: Any = msgspec.json.decode((await house.call("GET", "/api/v1/openapi.json")).raw)
    assert document["security"] == [{"bearer": []}] and document["info"]["title"] == "Unstuck"
    assert all(operation.get("security") == [] for path, operation in _public(document))


def _public(document: Any) -> list[tuple[str, Any]]:
    return [(path, one["post"]) for path, one in document["paths"].items() if path.startswith("/api/v1/callbacks")]
