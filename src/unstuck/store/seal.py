"""The sealer: committed events become leaves of a signed tree, in an order that no late commit can disturb.

An event's transaction id says when it is safe: everything below the oldest transaction still running has
committed or never will. Identity values and clocks say no such thing, so neither is used as a cursor.
"""

import base64
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from unstuck.kernel.merkle import TILE_HEIGHT, Frontier, Tile, leaf_hash
from unstuck.store.statements import sql
from unstuck.verifier.note import ED25519

LEAVES_A_CHECKPOINT = 1000
EVENTS_A_BATCH = 20_000  # of a backlog: what a statement reads and a transaction holds stays bounded
SECONDS_A_CHECKPOINT = 60
TILES_AT_ONCE = 10_000
log = structlog.get_logger()


class Signer:
    """Signs checkpoints in the C2SP note format. The seed is a file, never in the database."""

    def __init__(self, origin: str, seed: bytes) -> None:
        self.origin = origin
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._id = sha256(origin.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def note(self, size: int, root: bytes) -> str:
        """The signed checkpoint of a tree of `size` leaves."""
        return self.sign(f"{self.origin}\n{size}\n{base64.b64encode(root).decode()}\n")

    def statement(self, about: str, *lines: object) -> str:
        """Something else we sign. Its first line has a blank in it, so nobody can take it for a checkpoint."""
        return self.sign("\n".join([f"{self.origin} {about}", *map(str, lines), ""]))

    def sign(self, text: str) -> str:
        """The text as a signed note."""
        signature = base64.b64encode(self._id + self._key.sign(text.encode())).decode()
        return f"{text}\n— {self.origin} {signature}\n"

    def verifier(self) -> str:
        """The public key as C2SP writes it: `name+id+key`."""
        return f"{self.origin}+{self._id.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"

    def signer(self, verifier: str | None) -> "Signer | None":
        """This key, when it is the one that is asked for."""
        return self if verifier in (None, self.verifier()) else None


class Keyring(Protocol):
    """Our private keys. The database says which one is in force; None asks for the one a new history starts with."""

    def signer(self, verifier: str | None) -> Signer | None: ...


def hash_of(row: Any) -> bytes:
    """The leaf of an event row."""
    envelope = (row["stream"], row["seq"], row["at"], row["recorded_at"], row["type"], row["v"], row["by"])
    return leaf_hash(envelope, row["data"])


async def seal(pool: asyncpg.Pool, keys: Keyring, now: datetime, ship_to: Path | None) -> int:
    """Give what has committed since the last run its leaves, and sign a checkpoint when one is due; how many leaves.

    Only one process seals at a time: the row of the sealer is its lock; the others find it taken and do nothing.
    """
    async with pool.acquire() as conn, conn.transaction():
        state = await conn.fetchrow("SELECT *, below::text AS low FROM seal FOR UPDATE SKIP LOCKED")
        if state is None:
            return 0
        await _mend_tiles(conn, state["size"])
        high, rows = await _batch(conn, state["low"])
        tree = Frontier.unpack(state["size"], state["frontier"])
        leaves = []
        for row in rows:
            leaf = hash_of(row)
            leaves.append((tree.size, row["stream"], row["seq"], leaf))
            tree.append(leaf)
        if leaves:
            await conn.copy_records_to_table("leaf", records=leaves, columns=("n", "stream", "seq", "hash"))
            await _keep(conn, tree.tiles)
        signed_at = await _checkpoint(conn, keys, tree, state["checkpoint_at"], now)
        if leaves or signed_at != state["checkpoint_at"]:
            await conn.execute(
                "UPDATE seal SET below = $1::text::xid8, size = $2, frontier = $3, checkpoint_at = $4",
                high, tree.size, tree.packed(), signed_at,
            )  # fmt: skip
    if ship_to is not None and signed_at == now:
        await ship(pool, ship_to)
    return len(leaves)


async def _batch(conn: asyncpg.Connection, low: str) -> tuple[str, list[Any]]:
    """What can be sealed now, and below which transaction: all of it has ended, and nothing follows what is not in it."""
    newest: str = await conn.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
    cut: str | None = await conn.fetchval(sql("seal_far"), low, newest, EVENTS_A_BATCH)
    high = await _whole(conn, low, cut or newest)
    rows = await conn.fetch(sql("seal_batch"), low, high)
    if cut is not None and not rows:  # the oldest goes on with a stream that one beyond the cut has begun
        high = await _whole(conn, low, newest)
        rows = await conn.fetch(sql("seal_batch"), low, high)
    return high, in_order(rows)


async def _whole(conn: asyncpg.Connection, low: str, high: str) -> str:
    """At or below `high`, where no stream goes on with an event whose predecessor lies above."""
    while (ahead := await conn.fetchval(sql("seal_ahead"), low, high)) is not None:
        high = ahead
    return high


def in_order(rows: Sequence[Any]) -> list[Any]:
    """Each stream in its own order, in the places that it has.

    A transaction that waited for another's rows may have the lower id, and writes the later events.
    """
    places: dict[Any, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row["stream"], []).append(place)
    ordered = list(rows)
    for own in places.values():
        for place, row in zip(own, sorted((rows[n] for n in own), key=lambda row: int(row["seq"])), strict=True):
            ordered[place] = row
    return ordered


async def ship(pool: asyncpg.Pool, folder: Path) -> int:
    """Put every committed checkpoint into the folder that is not there yet, each whole or not at all; how many."""
    folder.mkdir(parents=True, exist_ok=True)
    newest = max((int(path.stem.rpartition("-")[2]) for path in folder.glob("checkpoint-*.txt")), default=-1)
    rows = await pool.fetch("SELECT size, note FROM checkpoint WHERE size > $1 ORDER BY size", newest)
    for row in rows:
        draft = folder / f".checkpoint-{row['size']}.{os.getpid()}"
        draft.write_text(row["note"])
        draft.replace(folder / f"checkpoint-{row['size']:012d}.txt")
    return len(rows)


async def key_in_force(conn: asyncpg.Connection) -> str | None:
    """The verifier of the key that signs now; None while nothing was ever signed."""
    found: str | None = await conn.fetchval("SELECT verifier FROM signing_key ORDER BY no DESC LIMIT 1")
    return found


async def _checkpoint(
    conn: asyncpg.Connection, keys: Keyring, tree: Frontier, last: datetime | None, now: datetime
) -> datetime | None:
    verifier = await key_in_force(conn)
    signer = keys.signer(verifier)
    if signer is not None and verifier is None:
        await conn.execute("INSERT INTO signing_key VALUES (1, $1, 0, '', $2)", signer.verifier(), now)
    signed: int = await conn.fetchval("SELECT coalesce(max(size), 0) FROM checkpoint")
    fresh = tree.size - signed
    waited = last is None or now - last >= timedelta(seconds=SECONDS_A_CHECKPOINT)
    if fresh == 0 or (fresh < LEAVES_A_CHECKPOINT and not waited):
        return last
    if signer is None:
        # Leaves go on; a process that has the key signs them all. A key that was replaced must not.
        log.warning("checkpoint waits", because="the signing key in force is not here", key=verifier)
        return last
    note = signer.note(tree.size, tree.root())
    await conn.execute("INSERT INTO checkpoint VALUES ($1, $2, $3, $4)", tree.size, tree.root(), now, note)
    return now


async def _keep(conn: asyncpg.Connection, tiles: Sequence[Tile]) -> None:
    """Store tiles; those that are there already are the same."""
    if tiles:
        await conn.execute(
            "INSERT INTO tile SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[]) ON CONFLICT DO NOTHING",
            *zip(*tiles, strict=True),
        )


async def _mend_tiles(conn: asyncpg.Connection, size: int) -> None:
    """Leaves that a release without tiles has numbered get theirs: once, in one pass over all leaves."""
    there = await conn.fetchval("SELECT coalesce(max(n) + 1, 0) FROM tile WHERE height = $1", TILE_HEIGHT)
    if there == size >> TILE_HEIGHT:
        return
    tree = Frontier()
    async for row in conn.cursor("SELECT hash FROM leaf WHERE n < $1 ORDER BY n", size, prefetch=TILES_AT_ONCE):
        tree.append(row["hash"])
        if len(tree.tiles) >= TILES_AT_ONCE:
            await _keep(conn, tree.tiles)
            tree.tiles.clear()
    await _keep(conn, tree.tiles)
