"""Who plays: customers, addresses, orders and what each must leave in the world. The seed chooses; the story stays."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Any

import msgspec

from unstuck.rehearsal.table import rows

STREETS = ("Harbour Street", "Mill Lane", "Jalan Melati", "King Fahd Road", "Rua do Ouro", "Lindenallee", "Ås Gate")
SPEEDS = ("50 Mbit/s", "100 Mbit/s", "250 Mbit/s", "500 Mbit/s", "1000 Mbit/s")
MODELS = ("AX-3000", "AX-5400", "BE-7200", "Home Hub 2")
GROUP_BY = ("customer", "service", "item")

# What an item must leave in the world, said by the operator's catalogue and never asked of the product.
EFFECTS = """
    | offer          | system       | operation          | service        |
    |----------------|--------------|--------------------|----------------|
    | fiber-internet | billing      | createAccount      | account        |
    | fiber-internet | billing      | createSubscription | fiber-internet |
    | fiber-internet | field        | bookAppointment    | installation   |
    | fiber-internet | provisioning | activateFiber      | fiber          |
    | static-ip      | provisioning | activateStaticIp   | static-ip      |
    | wifi-router    | warehouse    | reserve            | router         |
    | phone-line     | inventory    | assignPort         | port           |
    | phone-line     | provisioning | activateVoice      | voice          |
"""


class Effect(msgspec.Struct, frozen=True):
    """One line that must stand once in a system's ledger."""

    system: str
    operation: str
    service: str
    group: str


class Item(msgspec.Struct, frozen=True):
    """One thing that is ordered."""

    id: str
    offer: str
    characteristics: dict[str, Any]


class Wanted(msgspec.Struct, frozen=True):
    """An order as its sender means it."""

    external_id: str
    customer: str
    promised_at: str
    items: tuple[Item, ...]

    def item(self, offer: str) -> Item:
        """The item of an offer."""
        return next(item for item in self.items if item.offer == offer)

    def body(self) -> dict[str, Any]:
        """It as a TMF641 create request."""
        return {
            "externalId": self.external_id,
            "requestedCompletionDate": self.promised_at,
            "relatedParty": [{"id": self.customer, "role": "customer", "@referredType": "Customer"}],
            "serviceOrderItem": [_item_body(item) for item in self.items],
        }

    def effects(self) -> list[Effect]:
        """What must stand in the ledgers when it is done."""
        made = []
        for item in self.items:
            for offer, system, operation, service in CATALOGUE:
                if offer == item.offer:
                    group = f"customer={self.customer}|service={service}|item={item.id}"
                    made.append(Effect(system, operation, service, group))
        return made

    def effect(self, operation: str) -> Effect:
        """Its one effect of an operation."""
        return next(effect for effect in self.effects() if effect.operation == operation)


def calls(orders: Iterable[Wanted]) -> Counter[tuple[str, str]]:
    """How often each operation is called when every order needs each of its effects once."""
    return Counter((effect.system, effect.operation) for order in orders for effect in order.effects())


class Casting:
    """Draws the cast of one seed: no two customers or orders alike."""

    def __init__(self, scenario: str, seed: int) -> None:
        self.random = Random(f"{scenario}-{seed}")
        self._customers = self.random.sample(range(10_000, 99_999), 50)
        self._numbers = self.random.sample(range(1_000, 9_999), 50)
        self.promised_at = self._tomorrow()

    def order(self, *offers: str) -> Wanted:
        """A new customer's order of `offers`, in any order of its items."""
        drawn = self.random.sample(offers, len(offers))
        prefix = self.random.choice(("", "I", "item-"))
        items = tuple(Item(f"{prefix}{n}", offer, self._asked(offer)) for n, offer in enumerate(drawn, 1))
        customer, number = f"C-{self._customers.pop()}", f"WEB-{self._numbers.pop()}"
        return Wanted(number, customer, self.promised_at, items)

    def _asked(self, offer: str) -> dict[str, str]:
        pick = self.random.choice
        match offer:
            case "fiber-internet":
                return {"address": f"{self.random.randint(1, 240)} {pick(STREETS)}", "speed": pick(SPEEDS)}
            case "wifi-router":
                return {"model": pick(MODELS)}
            case "phone-line":
                return {"number": f"+49{self.random.randint(10**8, 10**9)}"}
            case _:
                return {}

    def _tomorrow(self) -> str:
        day = datetime.now(UTC).date() + timedelta(days=1)
        at = time(self.random.randint(8, 20), self.random.choice((0, 15, 30, 45)), tzinfo=UTC)
        return datetime.combine(day, at).isoformat()


def _item_body(item: Item) -> dict[str, Any]:
    characteristics = [{"name": name, "value": value} for name, value in item.characteristics.items()]
    service: dict[str, Any] = {"serviceSpecification": {"name": item.offer}}
    if characteristics:
        service["serviceCharacteristic"] = characteristics
    return {"id": item.id, "action": "add", "service": service}


CATALOGUE = rows(EFFECTS, "offer", "system", "operation", "service")
