"""Rows of sources and of the tokens that speak for them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from unstuck.fallout.source import Source, SourceSettings
from unstuck.kernel.refusal import Missing
from unstuck.store.statements import sql
from unstuck.store.unit import Unit


class Key(msgspec.Struct, frozen=True):
    """A token of a source; its secret is known to its holder alone."""

    id: UUID
    name: str
    created_at: datetime
    revoked_at: datetime | None


async def source_named(unit: Unit, name: str, *, lock: bool = False) -> Source:
    """The source of that name; Missing without."""
    row = await unit.conn.fetchrow(f"SELECT * FROM source WHERE name = $1{' FOR UPDATE' if lock else ''}", name)
    if row is None:
        raise Missing(f"source {name}")
    return _source(row)


async def sources(unit: Unit) -> list[Source]:
    """All of them, by name."""
    return [_source(row) for row in await unit.conn.fetch("SELECT * FROM source ORDER BY name")]


async def unknown_sources(unit: Unit, names: Iterable[str]) -> list[str]:
    """Those that have no row yet."""
    wanted = sorted(set(names))
    known = {row["name"] for row in await unit.conn.fetch("SELECT name FROM source WHERE name = ANY($1)", wanted)}
    return [name for name in wanted if name not in known]


async def silence_changes(unit: Unit) -> list[Source]:
    """Watched sources that fell silent, or that are heard again; locked."""
    return [_source(row) for row in await unit.conn.fetch(sql("silence_changes"), unit.now)]


async def keys_of(unit: Unit, name: str) -> list[Key]:
    """The tokens of a source, oldest first."""
    query = "SELECT id, name, created_at, revoked_at FROM api_token WHERE source = $1 ORDER BY created_at, id"
    return [Key(*row) for row in await unit.conn.fetch(query, name)]


async def is_held_elsewhere(unit: Unit, holder: str, source: str) -> bool:
    """Whether a token of this name was ever given out for another source, or for none."""
    query = "SELECT EXISTS (SELECT FROM api_token WHERE name = $1 AND source <> $2)"
    return bool(await unit.conn.fetchval(query, holder, source))


async def revoke_key(unit: Unit, source: str, key: UUID) -> bool:
    """Let a token of this source count no longer; whether it did until now."""
    query = "UPDATE api_token SET revoked_at = $3 WHERE id = $1 AND source = $2 AND revoked_at IS NULL"
    return bool(await unit.conn.execute(query, key, source, unit.now) == "UPDATE 1")


def _source(row: Any) -> Source:
    values = {**row, "settings": msgspec.json.decode(row["settings"], type=SourceSettings)}
    return Source(**values)
