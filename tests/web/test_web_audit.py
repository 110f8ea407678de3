"""`/api/v1/audit`: what others need to check the history, and the checkpoints that are sent to them."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from web_lab import House, fiber

from unstuck.connect.note import NotePost
from unstuck.service.history.audit import rotate_key
from unstuck.service.history.shipping import ship_next
from unstuck.store.keys import KeyFiles
from unstuck.store.seal import seal
from unstuck.verifier.note import Keys
from unstuck.verifier.tree import is_consistent, leaf_hash, root_by_inclusion

AUDIT = "/api/v1/audit"


@pytest.fixture(scope="module")
async def sealed(house: House, tmp_path_factory: pytest.TempPathFactory) -> KeyFiles:
    """Three checkpoints, the last after a new key took over."""
    keys = KeyFiles("unstuck.local", tmp_path_factory.mktemp("keys") / "signing.key")
    for turn in range(3):
        await house.place(fiber())
        await house.work()
        await sign(house, keys)
        if turn == 1:
            await rotate_key(house.ports, keys, "person:ana")
    return keys


async def sign(house: House, keys: KeyFiles) -> None:
    for _ in range(2):
        house.clock.jump(61)
        await seal(house.ports.store.pool, keys, house.clock(), None)


async def test_anybody_may_read_the_keys(house: House, sealed: KeyFiles) -> None:
    answer = await house.call("GET", f"{AUDIT}/keys", who=None)
    assert answer.status == 200
    history, jwks = answer.json["history"], answer.json["keys"]
    first, second = history
    assert {first["verifier"], second["verifier"]} == set(sealed.verifiers())
    assert (first["after"], first["until"], second["until"]) == (0, second["after"], None)
    assert [jwk["crv"] for jwk in jwks] == ["Ed25519", "Ed25519"]
    for shown, jwk in zip(history, jwks, strict=True):
        assert base64.urlsafe_b64decode(jwk["x"] + "=") == base64.b64decode(shown["verifier"].split("+", 2)[2])[1:]


async def test_checkpoints_come_in_pages_and_are_signed(house: House, sealed: KeyFiles) -> None:
    history = (await house.get(f"{AUDIT}/keys", who="auditor"))["history"]
    keys = Keys(history[0]["verifier"], [history[1]["statement"]], [history[0]["verifier"]])
    page, notes = await house.get(f"{AUDIT}/checkpoints?limit=2", who="auditor"), []
    assert len(page["checkpoints"]) == 2
    while page["next"]:
        notes += page["checkpoints"]
        page = await house.get(f"{AUDIT}/checkpoints?limit=2&above={page['next']}", who="auditor")
    notes += page["checkpoints"]
    sizes = [keys.read(note["note"])[0].size for note in notes]
    assert sizes == [note["size"] for note in notes] == sorted(sizes)
    assert len(sizes) >= 3


async def test_one_event_proves_itself(house: House, sealed: KeyFiles) -> None:
    order = await house.place(fiber())
    shown = await house.get(f"{AUDIT}/proof?stream={order['id']}&seq=1", who="auditor")
    assert (shown["sealed"], shown["proof"], shown["leaf"]) == (False, None, None)
    await sign(house, sealed)
    shown = await house.get(f"{AUDIT}/proof?stream={order['id']}&seq=1", who="auditor")
    leaf = leaf_hash(shown["envelope"].encode(), shown["data"].encode())
    proof = [base64.b64decode(node) for node in shown["proof"]]
    root = base64.b64decode(shown["checkpoint"].split("\n")[2])
    assert root_by_inclusion(shown["leaf"], shown["size"], leaf, proof) == root
    assert root_by_inclusion(shown["leaf"] - 1, shown["size"], leaf, proof) != root
    assert json.loads(shown["envelope"])[:2] == [order["id"], 1]


async def test_a_checkpoint_continues_an_older_one(house: House, sealed: KeyFiles) -> None:
    size = (await house.get(f"{AUDIT}/checkpoints?limit=1", who="auditor"))["checkpoints"][0]["size"]
    shown = await house.get(f"{AUDIT}/consistency?from={size}", who="auditor")
    (old, older), (new, newer) = (
        (int(n.split("\n")[1]), base64.b64decode(n.split("\n")[2])) for n in (shown["old"], shown["new"])
    )
    proof = [base64.b64decode(node) for node in shown["proof"]]
    assert is_consistent(old, new, older, newer, proof)
    assert not is_consistent(old, new, newer, newer, proof)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("checkpoints?limit=0", 422),
        ("checkpoints?above=-1", 422),
        ("checkpoints?above=x", 422),
        ("checkpoints?page=2", 422),
        ("proof", 422),
        ("proof?stream=nonsense&seq=1", 422),
        ("proof?stream=0191a3a0-0000-7000-8000-000000000000&seq=0", 422),
        ("proof?stream=0191a3a0-0000-7000-8000-000000000000&seq=99999999999", 422),
        ("proof?stream=0191a3a0-0000-7000-8000-000000000000&seq=1", 404),
        ("consistency", 422),
        ("consistency?from=7", 404),
        ("consistency?from=0", 422),
    ],
)
async def test_what_cannot_be_shown_is_told(house: House, sealed: KeyFiles, path: str, status: int) -> None:
    answer = await house.call("GET", f"{AUDIT}/{path}", who="auditor")
    assert (answer.status, bool(answer.json["detail"])) == (status, True)


async def test_a_smaller_tree_continues_no_larger_one(house: House, sealed: KeyFiles) -> None:
    first, second = (await house.get(f"{AUDIT}/checkpoints?limit=2", who="auditor"))["checkpoints"]
    answer = await house.call("GET", f"{AUDIT}/consistency?from={second['size']}&to={first['size']}", who="auditor")
    assert (answer.status, answer.pointers) == (422, ["/from"])


@pytest.mark.parametrize(
    "path", ["checkpoints", "proof?stream=0191a3a0-0000-7000-8000-000000000000&seq=1", "consistency?from=1"]
)
async def test_only_auditors_see_more_than_keys(house: House, sealed: KeyFiles, path: str) -> None:
    assert (await house.call("GET", f"{AUDIT}/{path}", who="repair-agent")).status == 403
    assert (await house.call("GET", f"{AUDIT}/{path}", who=None)).status == 401


class Place:
    """Somewhere outside that takes checkpoints, unless it is told not to."""

    def __init__(self) -> None:
        self.took: list[str] = []
        self.answers: list[int] = []

    async def take(self, request: web.Request) -> web.Response:
        status = self.answers.pop(0) if self.answers else 204
        if status == 204:
            self.took.append(await request.text())
        return web.Response(status=status)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_post("/notes", self.take)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/notes"
        await runner.cleanup()


async def sizes(house: House) -> list[int]:
    return [row["size"] for row in await house.owner.fetch("SELECT size FROM checkpoint ORDER BY size")]


async def test_every_checkpoint_goes_out_once_and_in_order(house: House, sealed: KeyFiles) -> None:
    place = Place()
    async with place.open() as url:
        while sum(await asyncio.gather(*(ship_next(house.ports, NotePost(), url) for _ in range(4)))):
            continue
        assert [int(note.split("\n")[1]) for note in place.took] == await sizes(house)
        await house.place(fiber())
        await sign(house, sealed)
        assert await ship_next(house.ports, NotePost(), url) == 1
        assert [int(note.split("\n")[1]) for note in place.took] == await sizes(house)


async def test_a_place_that_is_away_misses_nothing_and_holds_up_nobody(house: House, sealed: KeyFiles) -> None:
    place = Place()
    place.answers = [500, 302, 429]
    async with place.open() as url:
        waits = []
        for _ in range(3):
            assert await ship_next(house.ports, NotePost(), url) == 0
            row = await house.owner.fetchrow("SELECT * FROM shipment WHERE destination = $1", url)
            waits.append((row["due"] - house.clock()).total_seconds())
            assert row["because"].startswith("it answered")
            assert await ship_next(house.ports, NotePost(), url) == 0, "not before it is due"
            house.clock.jump(waits[-1] + 1)
        assert 0.4 < waits[0] < waits[2] <= 4
        while await ship_next(house.ports, NotePost(), url):
            continue
        assert [int(note.split("\n")[1]) for note in place.took] == await sizes(house)
    before = len(await sizes(house))
    await house.place(fiber())
    await sign(house, sealed)
    assert await ship_next(house.ports, NotePost(), url) == 0
    assert len(await sizes(house)) == before + 1, "sealing does not wait for it"


async def test_a_process_that_died_on_the_way_is_followed_by_another(house: House, sealed: KeyFiles) -> None:
    async def dies(_url: str, _size: int, _note: str) -> str:
        raise asyncio.CancelledError

    place = Place()
    async with place.open() as url:
        with pytest.raises(asyncio.CancelledError):
            await ship_next(house.ports, dies, url)
        assert await ship_next(house.ports, NotePost(), url) == 0, "it may still be under way"
        house.clock.jump(61)
        assert await ship_next(house.ports, NotePost(), url) == 1


async def test_a_folder_gets_whole_checkpoints(house: House, sealed: KeyFiles, tmp_path: Path) -> None:
    await house.place(fiber())
    house.clock.jump(61)
    await seal(house.ports.store.pool, sealed, house.clock(), tmp_path / "kept")
    names = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert names == [f"checkpoint-{size:012d}.txt" for size in await sizes(house)]


async def test_the_description_names_them(house: House) -> None:
    paths: dict[str, Any] = (await house.get("/api/v1/openapi.json"))["paths"]
    assert {f"{AUDIT}/{name}" for name in ("checkpoints", "keys", "proof", "consistency")} <= paths.keys()
