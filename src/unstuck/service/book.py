"""Packs and plans by their hash: immutable, so what was read once is kept."""

import msgspec

from unstuck.order.advance import Shape
from unstuck.order.plan import Plan
from unstuck.policy.check import load
from unstuck.policy.masking import Mask
from unstuck.policy.pack import Pack
from unstuck.store.unit import Store


class Book:
    """The pack in force, older ones by hash (an order keeps the one it was decomposed with), plans by id."""

    def __init__(self, store: Store, current: Pack) -> None:
        self._store = store
        self.current = current
        self._packs = {current.hash: current}
        self._shapes: dict[str, Shape] = {}

    def mask(self) -> Mask:
        """What hides sensitive fields, by the pack in force: who may see what is decided now, however old a case is."""
        return Mask(self.current.document.sensitive)

    async def pack(self, hash: str) -> Pack:
        """The pack of that hash."""
        if hash not in self._packs:
            files = msgspec.json.decode(await self._store.pack_files(hash), type=dict[str, str])
            self._packs[hash] = load(files)
        return self._packs[hash]

    async def shape(self, plan_id: str) -> Shape:
        """The plan of that id, prepared for `follow`."""
        if plan_id not in self._shapes:
            self._shapes[plan_id] = Shape(msgspec.json.decode(await self._store.plan_body(plan_id), type=Plan))
        return self._shapes[plan_id]

    async def both(self, plan_id: str) -> tuple[Shape, Pack]:
        """A plan and the pack it was made with."""
        shape = self._shapes.get(plan_id) or await self.shape(plan_id)
        return shape, self._packs.get(shape.plan.pack) or await self.pack(shape.plan.pack)
