"""The loop that asks order managers to let orders go on: claims what is due, several managers side by side."""

import asyncio

from unstuck.service.elsewhere import resumer
from unstuck.service.ports import Ports


async def resume_round(ports: Ports, room: int = 16) -> int:
    """One round over what is due; how many orders were looked at. A manager that is slow holds up its own round only."""
    works = await resumer.claim(ports, room)
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(resumer.carry_on(ports, work))
    return len(works)
