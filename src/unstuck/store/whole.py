"""An order held whole: its row and all its tasks locked, so that no call of it can start while we decide."""

from uuid import UUID

from unstuck.order.state import Order, Task
from unstuck.store.unit import Unit


async def order_whole(unit: Unit, order_id: UUID) -> tuple[Order, list[Task]]:
    """One order with its tasks, both locked; Missing when there is none.

    A worker picks tasks without their order: what it has picked is waited for here and then seen as under way.
    """
    await unit.order(order_id)
    await unit.conn.execute("SELECT FROM task WHERE order_id = $1 ORDER BY no FOR UPDATE", order_id)
    return await unit.order(order_id)


async def hold_back(unit: Unit, order_id: UUID) -> None:
    """Give no task of this order that is ready a time at which it would be sent."""
    query = "UPDATE task SET due = NULL WHERE order_id = $1 AND state = 'READY' AND lease IS NULL"
    await unit.conn.execute(query, order_id)


async def give_back(unit: Unit, order_id: UUID) -> None:
    """Let every ready task of this order be sent now."""
    query = "UPDATE task SET due = $2 WHERE order_id = $1 AND state = 'READY' AND lease IS NULL AND due IS NULL"
    await unit.conn.execute(query, order_id, unit.now)


async def keep_annotation(unit: Unit, id: UUID, order_id: UUID, body: bytes) -> None:
    """Write words that were added to an order."""
    await unit.conn.execute("INSERT INTO order_annotation VALUES ($1, $2, $3, $4)", id, order_id, unit.now, body)


async def keep_cancellation(unit: Unit, id: UUID, order_id: UUID, outcome: str, because: str, body: bytes) -> None:
    """Write a request to cancel an order with what became of it."""
    query = "INSERT INTO cancel_service_order VALUES ($1, $2, $3, $4, $5, $6)"
    await unit.conn.execute(query, id, order_id, unit.now, outcome, because, body)
