"""The page of an order hears what changes: its parts again, and never the form that somebody has open on it."""

from collections.abc import Sequence
from uuid import UUID

from unstuck.fallout.published import Leaf
from unstuck.kernel.actor import Actor
from unstuck.policy.grant import may
from unstuck.service.looks import order_page
from unstuck.service.ports import Ports
from unstuck.web.pages import render
from unstuck.web.pages.order_file.order_parts import parts, since


class OrderWatch:
    """What one open page of an order shows of what happens; `seen`: what its open form was decided on."""

    def __init__(self, ports: Ports, order_id: UUID, who: Actor, seen: int | None) -> None:
        self._ports, self._order_id, self._who, self._seen = ports, order_id, who, seen

    async def told(self, leaves: Sequence[Leaf]) -> str:
        """All parts of the page again when one of the leaves is about this order or a case of it."""
        if not any(leaf.about.order_id == self._order_id for leaf in leaves):
            return ""
        desk = await order_page.order_desk(self._ports, self._order_id, self._who)
        changed = since(desk, self._seen) if self._seen is not None else ()
        return render.part("order/live.html", now=self._ports.now(), changed=changed, **parts(desk))

    async def may_go_on(self) -> bool:
        """Whether who listens may still read orders."""
        return may(self._who, "order.read", self._ports.book.current)
