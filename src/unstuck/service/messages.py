"""What systems said of cases, as it may be shown: without the values that are hidden in what was sent and received."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from unstuck.policy.masking import Mask
from unstuck.service.ports import Ports
from unstuck.store.listing import look
from unstuck.store.unit import Unit


async def messages(unit: Unit, ports: Ports, case_ids: Sequence[UUID]) -> dict[UUID, str]:
    """The raw message of each of these cases, masked."""
    rows = await look.messages(unit, case_ids) if case_ids else ()
    return {row["id"]: _shown(row, ports.book.mask()) for row in rows}


async def veiled(unit: Unit, ports: Ports, rows: Sequence[Any]) -> Sequence[Mapping[str, Any]]:
    """These rows of cases, each with its raw message masked."""
    said = await messages(unit, ports, [row["id"] for row in rows if row["raw_message"]])
    return [{**row, "raw_message": said.get(row["id"], "")} for row in rows]


async def found_openly(unit: Unit, ports: Ports, rows: Sequence[Any], text: str) -> list[Any]:
    """Of the cases that a search found, those that it finds in what is shown: none is told by a value that is hidden."""
    near = text.lower()
    by_message = [row["id"] for row in rows if near and near in row["raw_message"].lower() and not _coded(row, near)]
    said = await messages(unit, ports, by_message)
    felt = {id for id in by_message if near not in said[id].lower()}
    return [row for row in rows if row["id"] not in felt]


async def teach(unit: Unit, case_ids: Sequence[UUID], mask: Mask) -> None:
    """Let this mask know the values that these cases may repeat."""
    for row in await look.messages(unit, case_ids) if mask.hides and case_ids else ():
        mask.learn(_bodies(row))


def _coded(row: Any, near: str) -> bool:
    return near in row["raw_code"].lower() or near in row["code"].lower()


def _shown(row: Any, mask: Mask) -> str:
    if mask.hides:
        mask.learn(_bodies(row))
    return mask.sentence(row["raw_message"])


def _bodies(row: Any) -> Sequence[bytes]:
    return (row["raw"], row["draft"] or b"", *row["sent"])
