"""The world that `unstuck up` brings along: five systems, and what befalls whom in it.

Faults strike by what is sent, never by a count alone, so that a restart changes nothing: by the line number of an item
(lines 1 to 9 are never struck: whoever tries something by hand has a world without surprises) or by a value that its
system does not take. What a system says then ends with the value that it would take.
"""

from typing import Any

import msgspec

from unstuck.rehearsal.table import rows

GROUP_BY = ("customer", "service", "item")
KINDS = {"provisioning": "A", "inventory": "A", "billing": "A", "warehouse": "B", "field": "C"}

LINES = """
    | line | offer          | operation          | fault  | first | what happens                                          |
    |------|----------------|--------------------|--------|-------|-------------------------------------------------------|
    | 11   | fiber-internet | activateFiber      | F2     | 1     | it is activated, and the answer is lost               |
    | 12   | fiber-internet | activateFiber      | F1     | 1     | the call is lost on its way, nothing is activated     |
    | 13   | fiber-internet | activateFiber      | F3     | 3     | provisioning is busy through every retry              |
    | 14   | fiber-internet | createSubscription | F1     | 4     | billing loses every call until nobody dares any more  |
    | 15   | fiber-internet | bookAppointment    | F8     |       | field service says done, and then that it failed      |
    | 16   | fiber-internet | bookAppointment    | F5     |       | field service is five minutes late with its answer    |
    | 17   | fiber-internet | bookAppointment    | F1     | 1     | the booking is lost, and field service cannot be asked |
    | 18   | fiber-internet | bookAppointment    | F2     | 1     | the answer is lost, and the callback settles it       |
    | 19   | fiber-internet | createSubscription | REFUSE | 1     | ACCOUNT_NOT_FOUND: no account under this customer     |
    | 20   | fiber-internet | activateFiber      | REFUSE | 1     | DUPLICATE_REQUEST: this request was seen before       |
    | 21   | fiber-internet | activateFiber      | REFUSE |       | TERMINAL: no free fibre in this building, ever        |
    | 22   | fiber-internet | activateFiber      | F3     | 1     | provisioning is busy once, and then does it           |
    | 31   | wifi-router    | reserve            | F9     | 1     | the call lands so late that there are two reservations |
    | 41   | phone-line     | assignPort         | F1     | 4     | inventory loses every call until nobody dares any more |
"""

# `wrong` is what its system does not take, `right` what stands last in the sentence that it answers with.
VALUES = """
    | offer          | field   | wrong                      | right                     | code                    | what the system says                                                          |
    |----------------|---------|----------------------------|---------------------------|-------------------------|-------------------------------------------------------------------------------|
    | fiber-internet | address | Jl. Mawar 12 A, Bandung    | Jl. Mawar 12, Bandung     | INVALID_REQUEST         | address "Jl. Mawar 12 A, Bandung" is not in the register; it has              |
    | fiber-internet | address | Lindenalee 27, Leipzig     | Lindenallee 27, Leipzig   | INVALID_REQUEST         | address "Lindenalee 27, Leipzig" is not in the register; it has               |
    | fiber-internet | address | Al Nakheel St 8a, Muscat   | Al Nakheel St 8, Muscat   | INVALID_REQUEST         | address "Al Nakheel St 8a, Muscat" is not in the register; it has             |
    | fiber-internet | address | Rua do Ouro 300, Porto     | Rua do Ouro 30, Porto     | ADDRESS_NOT_SERVICEABLE | no fibre there; the nearest building with a terminal is                       |
    | fiber-internet | address | Jl. Kenanga 9/11, Surabaya | Jl. Kenanga 9, Surabaya   | ADDRESS_NOT_SERVICEABLE | no fibre there; the nearest building with a terminal is                       |
    | wifi-router    | model   | BE-7200                    | AX-5400                   | SKU_OUT_OF_STOCK        | BE-7200: none left before March; in stock, at the same price, is              |
    | phone-line     | number  | +622270001140              | +622270001771             | NUMBER_IN_QUARANTINE    | its last owner gave it back nine days ago; free at the same exchange is       |
"""

LATE_LANDING_MS = 26_000  # after the warehouse was believed to be empty, before it is looked at again
LATE_CALLBACK_MS = 300_000


class Luck(msgspec.Struct, frozen=True):
    """What befalls an item that has this line number."""

    line: str
    offer: str
    operation: str
    fault: str
    first: str
    what: str


class Wrong(msgspec.Struct, frozen=True):
    """A value that its system does not take, with the one that it does."""

    offer: str
    field: str
    wrong: str
    right: str
    code: str
    says: str


LUCK = [Luck(*row) for row in rows(LINES, "line", "offer", "operation", "fault", "first", "what happens")]
WRONG = [Wrong(*row) for row in rows(VALUES, "offer", "field", "wrong", "right", "code", "what the system says")]
SENT_WITH = {"address": "activateFiber", "model": "reserve", "number": "assignPort"}


def world(speed: float, **given: Any) -> dict[str, Any]:
    """The configuration of the simulator, its waits divided by the speed of a rehearsal; `given` goes on top."""
    systems: dict[str, dict[str, Any]] = {
        name: {"kind": kind, "group_by": GROUP_BY, "latency_ms": [5, 40]} for name, kind in KINDS.items()
    }
    systems["field"] |= {"mode": "callback", "callback_after_ms": [400, 2500]}
    faults = [*(_by_line(luck, speed) for luck in LUCK), *(_by_value(wrong) for wrong in WRONG)]
    return {"seed": 1, "systems": systems, "faults": faults, "order_manager": {"runs_ms": 2000}, **given}


def _by_line(luck: Luck, speed: float) -> dict[str, Any]:
    code, _, message = luck.what.partition(": ")
    params: dict[str, dict[str, Any]] = {
        "F5": {"delay_ms": LATE_CALLBACK_MS / speed},
        "F8": {"gap_ms": 1500},
        "F9": {"delay_ms": LATE_LANDING_MS / speed},
        "REFUSE": {"body": {"code": code, "message": message}},
    }
    match = {"item": luck.line}
    rule = {"fault": luck.fault, "operation": luck.operation, "match": match, "params": params.get(luck.fault, {})}
    return {**rule, "first": int(luck.first)} if luck.first else rule


def _by_value(wrong: Wrong) -> dict[str, Any]:
    body = {"code": wrong.code, "message": f'{wrong.says} "{wrong.right}"'}
    match = {wrong.field: wrong.wrong}
    return {"fault": "REFUSE", "operation": SENT_WITH[wrong.field], "match": match, "params": {"body": body}}
