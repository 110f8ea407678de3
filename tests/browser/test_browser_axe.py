"""Everybody can use every page: nothing serious or critical to axe, in both themes, wide and on a phone."""

import pytest
from axe_lab import looks
from browser_lab import Visits
from world_lab import PLACES, World


@pytest.mark.parametrize("place", PLACES)
async def test_everybody_can_use(place: str, world: World, visits: Visits) -> None:
    visitor = await visits("" if place == "sign-in" else "ana")
    visitor.watch.expect("404")
    await visitor.page.goto(world.at(place))
    found = [said async for said in looks(visitor.page)]
    assert not found, "\n".join(found)
