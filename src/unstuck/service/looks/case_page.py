"""Everything the page of one case shows beside the case itself, read in the same consistent view."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from unstuck.kernel.actor import Actor
from unstuck.kernel.refusal import Missing
from unstuck.policy.masking import Mask
from unstuck.repair.evidence import MADE_BY_US, Evidence
from unstuck.service.looks.shown import Callback, CaseView, OrderRow
from unstuck.service.looks.views import callbacks_in, case_in, order_shown
from unstuck.service.ports import Ports
from unstuck.store.listing import look
from unstuck.store.unit import Unit

INLINE_BYTES, INLINE_FILES = 20_000, 20


class CasePage(msgspec.Struct, frozen=True, kw_only=True):
    """One case with its order, the callbacks of its step, what the step sends now, and evidence short enough to show.

    `target` and `queue` are what people call them.
    `inline` is the text of evidence by its id, None for a file that is gone or was changed; `sends` is masked too.
    """

    view: CaseView
    order: OrderRow | None
    target: str
    queue: str
    callbacks: tuple[Callback, ...]
    sends: dict[str, Any]
    inline: dict[UUID, str | None]


async def read(ports: Ports, case_id: UUID, actor: Actor, mask: Mask | None = None) -> CasePage:
    """The page of one case, as this actor may see and work on it."""
    mask = mask or ports.book.mask()
    async with ports.store.reading(ports.now()) as unit:
        view = await case_in(unit, ports, case_id, actor, mask)
        order = order_shown(await look.order_row(unit, view.order_id)) if view.order_id else None
        callbacks = await callbacks_in(unit, view.order_id, mask) if view.order_id else []
        step = next((task for task in view.order_graph.tasks if task.key == view.step), None)
        sends = await _sends(unit, mask, view.order_id, step.no, step.identity) if view.order_id and step else {}
    document = ports.book.current.document
    targets, queues = document.targets, document.queues
    shown = CasePage(
        view=view,
        order=order,
        target=targets[view.system].title if view.system in targets else view.system,
        queue=queues[view.queue].title if view.queue in queues else view.queue,
        callbacks=tuple(one for one in callbacks if step is not None and one.task == step.no),
        sends=sends,
        inline=_inline(ports, view.evidence, mask),
    )
    view.hidden = sorted(mask.met)
    return shown


async def _sends(unit: Unit, mask: Mask, order_id: UUID, task: int, identity: int) -> dict[str, Any]:
    """The fields of the command as it would be sent now."""
    ((_key, body, _plan),) = await unit.commands([(order_id, task, identity)])
    value = mask.value(msgspec.json.decode(body))
    return value if isinstance(value, dict) else {}


def _inline(ports: Ports, evidence: Sequence[Evidence], mask: Mask) -> dict[UUID, str | None]:
    short = [e for e in evidence if e.type in MADE_BY_US and e.size <= INLINE_BYTES][-INLINE_FILES:]
    return {piece.id: _text(ports, piece, mask) for piece in short}


def _text(ports: Ports, piece: Evidence, mask: Mask) -> str | None:
    try:
        return mask.body(ports.blobs.read(piece.sha256)).decode("utf-8", "replace").replace("\x00", "\ufffd")
    except Missing:
        return None
