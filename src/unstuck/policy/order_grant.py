"""What an actor may do to a whole order now: every command, allowed or refused with the rule. Pure."""

from collections.abc import Mapping, Sequence

from unstuck.kernel.actor import Actor, Verdict
from unstuck.kernel.refusal import Refused
from unstuck.order import command
from unstuck.order.lifecycle import ORDER, OrderAction
from unstuck.order.state import Order, Task
from unstuck.policy.grant import may
from unstuck.policy.pack import Pack

PERMISSION = "order.manage"
COMMANDS = {
    "suspend": OrderAction.SUSPEND,
    "resume": OrderAction.RESUME,
    "fail": OrderAction.FAIL,
    "resolve-failure": OrderAction.RESOLVE,
    "cancel": OrderAction.CANCEL,
    "abort": OrderAction.ABORT,
}


def commands_on(order: Order, tasks: Sequence[Task], actor: Actor, pack: Pack) -> Mapping[str, Verdict]:
    """Every command on this order; what the command itself would refuse is refused here in the same words."""
    if not may(actor, PERMISSION, pack):
        roles = (role.title for role in pack.document.roles.values() if PERMISSION in role.may)
        return dict.fromkeys(COMMANDS, Verdict("role", f"Commands on orders are for: {', '.join(roles)}", role=True))
    return {name: _by_state(name, action, order, tasks) for name, action in COMMANDS.items()}


def _by_state(name: str, action: OrderAction, order: Order, tasks: Sequence[Task]) -> Verdict:
    if action not in ORDER.actions(order.state):
        said = order.state.value.lower().replace("_", " ")
        return Verdict("life-cycle", f"an order that is {said} cannot {name.replace('-', ' ')}")
    try:
        if name == "cancel":
            command.require_cancellable(order, tasks)
        if name == "resolve-failure":
            command.require_recognised(order)
    except Refused as refusal:
        return Verdict(refusal.rule, refusal.because)
    return Verdict()
