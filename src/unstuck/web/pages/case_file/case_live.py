"""The page of a case hears what changes: its parts again, and never the form that somebody has open on it."""

from collections.abc import Sequence
from uuid import UUID

from unstuck.fallout.published import Leaf
from unstuck.kernel.actor import Actor
from unstuck.policy.grant import may
from unstuck.service.looks import case_page
from unstuck.service.looks.case_page import CasePage
from unstuck.service.ports import Ports
from unstuck.web.pages import render
from unstuck.web.pages.case_file.case_parts import mark_of, parts


class CaseWatch:
    """What one open page of a case shows of what happens. `mark` says what was on it when it was made."""

    def __init__(self, ports: Ports, case_id: UUID, who: Actor, mark: str) -> None:
        self._ports, self._case_id, self._who, self._mark = ports, case_id, who, mark
        self._order_id: UUID | None = None
        self._looked = False

    async def told(self, leaves: Sequence[Leaf]) -> str:
        """All parts of the page again when something of them is another than before."""
        if self._looked and not any(self._is_about(leaf) for leaf in leaves):
            return ""
        self._looked = True
        page = await case_page.read(self._ports, self._case_id, self._who)
        before, self._mark, self._order_id = self._mark, mark_of(page), page.view.order_id
        return "" if self._mark == before else self._drawn(page, leaves)

    def owes_in(self) -> float | None:
        """At once for what happened between the making of the page and this stream; nothing later."""
        return None if self._looked else 0.0

    async def may_go_on(self) -> bool:
        """Whether who listens may still read cases."""
        return may(self._who, "case.read", self._ports.book.current)

    def _is_about(self, leaf: Leaf) -> bool:
        return leaf.stream in (self._case_id, self._order_id)

    def _drawn(self, page: CasePage, leaves: Sequence[Leaf]) -> str:
        by_others = [leaf for leaf in leaves if leaf.stream == self._case_id and leaf.by != self._who.id]
        given = parts(page, self._who, self._ports.book.current, self._ports.now())
        return render.part("case/live.html", news=by_others[-1] if by_others else None, now=self._ports.now(), **given)
