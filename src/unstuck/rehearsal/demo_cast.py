"""Who orders what in the demo: invented customers of three regions, the orders of the beginning and those that follow."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec

from unstuck.rehearsal.cast import MODELS, SPEEDS, Item, Wanted
from unstuck.rehearsal.demo_world import LUCK, WRONG
from unstuck.rehearsal.table import rows

SHOP = "demo-webshop"  # every order of the demo comes from this account, and so says its source
STREAM = re.compile(r"SHOP-(\d{1,9})")
TRIES = {"unknown": "TRY-1", "address": "TRY-2", "router": "TRY-3"}

PLACES = """
    | city     | dial   | streets                                           |
    |----------|--------|---------------------------------------------------|
    | Bandung  | +6222  | Jl. Melati, Jl. Anggrek, Jl. Cempaka              |
    | Surabaya | +6231  | Jl. Kenanga, Jl. Dahlia, Jl. Flamboyan            |
    | Muscat   | +96824 | Al Nakheel St, Al Bahr St, Wadi Lane              |
    | Manama   | +97317 | Pearl Road, Al Fateh Lane, Palm Court             |
    | Leipzig  | +49341 | Lindenallee, Am Kanal, Gartenweg                  |
    | Porto    | +35122 | Rua do Ouro, Rua das Flores, Travessa do Mar      |
    | Bergen   | +4755  | Havnegata, Fjellveien, Ås Gate                    |
"""
HOMES = """
    | region  | first                                       | last                                          |
    |---------|---------------------------------------------|-----------------------------------------------|
    | nusa    | Sari, Dimas, Putri, Bagus, Wulan, Rizky     | Wiratama, Kusnadi, Larasati, Handoko          |
    | gulf    | Omar, Layla, Yusuf, Mariam, Khalid, Noor    | Al Hadidi, Bin Rashed, Al Marzuq, Sayegh      |
    | europe  | Ingrid, Tomás, Greta, Anselm, Beatriz, Nils | Solheim, Falkenau, Carvalhal, Lindqvist       |
"""
FIRMS = (
    "Kopi Senja", "PT Samudra Biru", "Toko Rembulan", "Al Noor Trading", "Dhow & Pearl Foods", "Oasis Clinic",
    "Bäckerei Lindner", "Praxis Am Kanal", "Padaria Aurora", "Oficina Douro", "Fjord Cykler", "Havn Kontor",
)  # fmt: skip
BUNDLES = (
    ("fiber-internet", "wifi-router"), ("fiber-internet",), ("fiber-internet", "static-ip", "wifi-router"),
    ("phone-line",), ("fiber-internet", "phone-line"), ("wifi-router",), ("fiber-internet", "static-ip"),
    ("fiber-internet", "phone-line", "static-ip", "wifi-router"),
)  # fmt: skip

# What befalls: `line n` and wrong values are of the demo's world, the rest is said by the order itself.
# Until: how far the colleagues bring its case before the demo goes on.
OPENING = """
    | order    | offers                                          | befalls         | until               |
    |----------|-------------------------------------------------|-----------------|---------------------|
    | TRY-1    | fiber-internet static-ip wifi-router            | line 11         | reserved            |
    | TRY-2    | fiber-internet phone-line                       | address 0       | reserved            |
    | TRY-3    | fiber-internet wifi-router                      | model 5         | reserved            |
    | WEB-1001 | fiber-internet wifi-router                      | line 31         | QUEUED              |
    | WEB-1002 | fiber-internet                                  | line 13         | QUEUED              |
    | WEB-1003 | fiber-internet wifi-router                      | line 14         | QUEUED              |
    | WEB-1004 | phone-line                                      | line 41         | ASSIGNED            |
    | WEB-1005 | fiber-internet static-ip                        | line 12         | IN_PROGRESS         |
    | WEB-1006 | fiber-internet wifi-router                      | line 17         | QUEUED              |
    | WEB-1007 | fiber-internet                                  | line 15         | QUEUED              |
    | WEB-1008 | fiber-internet phone-line                       | line 16         | by hand             |
    | WEB-1009 | fiber-internet                                  | line 18         | settled             |
    | WEB-1010 | fiber-internet static-ip                        | line 19         | QUEUED              |
    | WEB-1011 | fiber-internet                                  | line 20         | IN_PROGRESS         |
    | WEB-1012 | fiber-internet                                  | line 21         | WAITING_CUSTOMER    |
    | WEB-1013 | fiber-internet wifi-router                      | line 22         | settled             |
    | WEB-1014 | fiber-internet                                  | address 1       | CLOSED              |
    | WEB-1015 | fiber-internet wifi-router                      | address 2       | CORRECTION_PROPOSED |
    | WEB-1016 | fiber-internet                                  | address 3       | WAITING_FIELD       |
    | WEB-1017 | wifi-router                                     | model 5         | WAITING_VENDOR      |
    | WEB-1018 | phone-line                                      | number 6        | QUEUED              |
    | WEB-1019 | fiber-internet                                  | no address      | QUEUED              |
    | WEB-1020 | fiber-gaming                                    | no such offer   | QUEUED              |
    | WEB-1021 | fiber-internet                                  | no number       | QUEUED              |
    | WEB-1022 | fiber-internet static-ip wifi-router            | line 11         | VERIFYING           |
    | WEB-1023 | fiber-internet                                  | line 11         | CLOSED              |
    | WEB-1024 | fiber-internet                                  | line 12         | CLOSED              |
    | WEB-1025 | fiber-internet phone-line static-ip wifi-router | line 11         | QUEUED              |
    | WEB-1026 | fiber-internet                                  | address 4       | CLOSED              |
    | WEB-1027 | fiber-internet                                  | line 21         | CLOSED              |
    | WEB-1028 | fiber-internet                                  | line 17         | CLOSED              |
    | WEB-1029 | fiber-internet wifi-router                      | line 12         | WAITING_PARTNER     |
    | WEB-1030 | wifi-router                                     | model 5         | QUEUED              |
"""
CALM = 40  # orders of the beginning that nothing befalls
# Which share of the orders that stop is of which kind.
STOPPING = ("line 11", "line 12", "model 5", "number 6") * 3 + (
    "line 13", "line 14", "line 15", "line 17", "line 18", "line 19", "line 20", "line 21", "line 22", "line 31", "line 41",
    "line 41", "address 1", "address 2", "address 3", "address 4", "no address", "no number",
)  # fmt: skip


class Opening(msgspec.Struct, frozen=True):
    """One order of the beginning, and how far its case is brought."""

    wanted: Wanted
    until: str


def opening(seed: int) -> list[Opening]:
    """The orders of the beginning, the three to try first."""
    stopped = [
        Opening(_order(name, offers.split(), befalls, Random(f"demo-{seed}-{name}")), until)
        for name, offers, befalls, until in rows(OPENING, "order", "offers", "befalls", "until")
    ]
    return stopped + [
        Opening(_calm(f"WEB-{1100 + n}", Random(f"demo-{seed}-calm-{n}")), "") for n in range(1, CALM + 1)
    ]


def following(seed: int, number: int, *, stops: bool) -> Wanted:
    """The order of that number in the stream; `stops`: one that will need somebody."""
    random = Random(f"demo-{seed}-{number}")
    name = f"SHOP-{number}"
    if not stops:
        return _calm(name, random)
    befalls = random.choice(STOPPING)
    struck = _struck(befalls)
    return _order(name, random.choice([offers for offers in BUNDLES if struck in offers]), befalls, random)


def right_value(said: str) -> str:
    """The value that a system would take, from the end of what it said; empty when it named none."""
    found = re.search(r'"([^"]*)"\s*$', said)
    return found[1] if found else ""


def _calm(name: str, random: Random) -> Wanted:
    return _order(name, random.choice(BUNDLES), "", random)


def _struck(befalls: str) -> str:
    """The offer that is struck by what befalls an order."""
    what, _, which = befalls.partition(" ")
    if what == "line":
        return next(luck.offer for luck in LUCK if luck.line == which)
    return WRONG[int(which)].offer if which.isdigit() else "fiber-internet"


def _order(name: str, offers: "list[str] | tuple[str, ...]", befalls: str, random: Random) -> Wanted:
    city, dial, streets = random.choice(rows(PLACES, "city", "dial", "streets"))
    address = f"{random.choice(streets.split(', '))} {random.randint(1, 180)}, {city}"
    values: dict[str, dict[str, Any]] = {
        "fiber-internet": {"address": address, "speed": random.choice(SPEEDS)},
        "wifi-router": {"model": random.choice(MODELS[:2])},
        "phone-line": {"number": f"{dial}{random.randint(10**6, 10**7 - 1)}"},
    }
    numbers = {offer: str(n) for n, offer in enumerate(offers, 1)}
    what, _, which = befalls.partition(" ")
    if what == "line":
        numbers[_struck(befalls)] = which
    _spoil(values, befalls)
    items = tuple(Item(numbers[offer], offer, values.get(offer, {})) for offer in offers)
    return Wanted(name, _customer(random), _promised(random), items)


def _spoil(values: Mapping[str, dict[str, Any]], befalls: str) -> None:
    what, _, which = befalls.partition(" ")
    fiber = values["fiber-internet"]
    if which.isdigit() and what != "line":
        wrong = WRONG[int(which)]
        values[wrong.offer][wrong.field] = wrong.wrong
    elif befalls == "no address":
        del fiber["address"]
    elif befalls == "no number":
        fiber["speed"] = 10**17  # no number that every system of the chain could hold


def _customer(random: Random) -> str:
    """A customer's account as the shop names it; no such person or firm is meant."""
    if random.random() < 0.4:
        name = random.choice(FIRMS)
    else:
        _, first, last = random.choice(rows(HOMES, "region", "first", "last"))
        name = f"{random.choice(first.split(', '))} {random.choice(last.split(', '))}"
    return f"{name} (C-{random.randint(10_000, 999_999)})"


def _promised(random: Random) -> str:
    at = datetime.now(UTC) + timedelta(hours=random.choice((4, 8, 26, 30, 50, 74, 98)))
    return at.replace(minute=random.choice((0, 30)), second=0, microsecond=0).isoformat()
