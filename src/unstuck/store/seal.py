"""The sealer: committed events become leaves of a signed tree, in an order that no late commit can disturb.

An event's transaction id says when it is safe: everything below the oldest transaction still running has
committed or never will. Identity values and clocks say no such thing, so neither is used as a cursor.
"""

import base64
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from unstuck.kernel.merkle import Frontier, leaf_hash
from unstuck.store.statements import sql

LEAVES_A_CHECKPOINT = 1000
SECONDS_A_CHECKPOINT = 60
ED25519 = b"\x01"


class Signer:
    """Signs checkpoints in the C2SP note format. The seed is a file, never in the database."""

    def __init__(self, origin: str, seed: bytes) -> None:
        self.origin = origin
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._id = sha256(origin.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    def note(self, size: int, root: bytes) -> str:
        """The signed checkpoint of a tree of `size` leaves."""
        text = f"{self.origin}\n{size}\n{base64.b64encode(root).decode()}\n"
        signature = base64.b64encode(self._id + self._key.sign(text.encode())).decode()
        return f"{text}\n— {self.origin} {signature}\n"

    def verifier(self) -> str:
        """The public key as C2SP writes it: `name+id+key`."""
        return f"{self.origin}+{self._id.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"


def hash_of(row: Any) -> bytes:
    """The leaf of an event row."""
    envelope = (row["stream"], row["seq"], row["at"], row["recorded_at"], row["type"], row["v"], row["by"])
    return leaf_hash(envelope, row["data"])


async def seal(pool: asyncpg.Pool, signer: Signer, now: datetime, ship_to: Path | None) -> int:
    """Give what has committed since the last run its leaves, and sign a checkpoint when one is due; how many leaves.

    Only one process seals at a time: the row of the sealer is its lock; the others find it taken and do nothing.
    """
    async with pool.acquire() as conn, conn.transaction():
        state = await conn.fetchrow("SELECT *, below::text AS low FROM seal FOR UPDATE SKIP LOCKED")
        if state is None:
            return 0
        high = await conn.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text")
        rows = await conn.fetch(sql("seal_batch"), state["low"], high)
        tree = Frontier.unpack(state["size"], state["frontier"])
        leaves = []
        for row in rows:
            leaf = hash_of(row)
            leaves.append((tree.size, row["stream"], row["seq"], leaf))
            tree.append(leaf)
        if leaves:
            await conn.copy_records_to_table("leaf", records=leaves, columns=("n", "stream", "seq", "hash"))
        signed_at = await _checkpoint(conn, signer, tree, state["checkpoint_at"], now)
        if leaves or signed_at != state["checkpoint_at"]:
            await conn.execute(
                "UPDATE seal SET below = $1::text::xid8, size = $2, frontier = $3, checkpoint_at = $4",
                high, tree.size, tree.packed(), signed_at,
            )  # fmt: skip
    if ship_to is not None and signed_at == now:
        await ship(pool, ship_to)
    return len(leaves)


async def ship(pool: asyncpg.Pool, folder: Path) -> int:
    """Put every committed checkpoint into the folder that is not there yet; how many."""
    folder.mkdir(parents=True, exist_ok=True)
    newest = max((int(path.stem.rpartition("-")[2]) for path in folder.glob("checkpoint-*.txt")), default=-1)
    rows = await pool.fetch("SELECT size, note FROM checkpoint WHERE size > $1 ORDER BY size", newest)
    for row in rows:
        (folder / f"checkpoint-{row['size']:012d}.txt").write_text(row["note"])
    return len(rows)


async def _checkpoint(
    conn: asyncpg.Connection, signer: Signer, tree: Frontier, last: datetime | None, now: datetime
) -> datetime | None:
    signed: int = await conn.fetchval("SELECT coalesce(max(size), 0) FROM checkpoint")
    fresh = tree.size - signed
    waited = last is None or now - last >= timedelta(seconds=SECONDS_A_CHECKPOINT)
    if fresh == 0 or (fresh < LEAVES_A_CHECKPOINT and not waited):
        return last
    note = signer.note(tree.size, tree.root())
    await conn.execute("INSERT INTO checkpoint VALUES ($1, $2, $3, $4)", tree.size, tree.root(), now, note)
    return now
