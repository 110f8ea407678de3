"""All scenarios of the mission: what each is about, and which of them can be played."""

import msgspec

from unstuck.rehearsal.table import rows


class Scenario(msgspec.Struct, frozen=True):
    """One scenario by name; `built` when it can be played."""

    name: str
    what: str
    built: bool


TABLE = """
    | name                 | when    | what                                                                          |
    |----------------------|---------|-------------------------------------------------------------------------------|
    | fiber                | now     | fiber activation times out although it worked; nothing is sent twice          |
    | duplicate-subscriber | not yet | "subscriber exists": stale orphan or active customer, decided by two people   |
    | no-access            | not yet | the technician finds nobody, twice; the promise clock goes on                 |
    | charging-missing     | not yet | data access is active, its charging bucket is not; revenue leaks              |
    | dsl-revision         | not yet | the ordered speed is impossible; the order is revised while it runs           |
    | redo-branches        | not yet | a wrong value found late: redo, undo or fail, by who made it                  |
    | port-assigned        | not yet | a port given out twice; another is chosen and the old one quarantined         |
    | creation-failure     | not yet | orders that cannot become orders: six typed answers, originals kept           |
    | crm-race             | not yet | the CRM writes after its order event; above a load, orders are rejected       |
    | schema-drift         | not yet | an attribute added in the CRM and never to the contract                       |
    | retry-duplicate      | not yet | a resend with a new id makes two orders of one                                |
    | outage-storm         | not yet | provisioning is dead for half an hour under ten thousand orders               |
    | partner-delay        | not yet | a partner accepts and then is silent beyond its SLA                           |
    | silent-stuck         | not yet | five kinds of orders that stand still without an error                        |
    | billing-mismatch     | not yet | four systems with four truths about one subscription                          |
    | premium-router       | not yet | out of stock; a dearer model is a commercial change, not a repair             |
    | ip-conflict          | not yet | a static IP is active at another customer                                     |
    | chain                | not yet | a resource fails below a service below a product, in two instances            |
    | foreign-oms          | now     | an order manager that is not ours posts a failure and redeems the token       |
"""

SCENARIOS = tuple(Scenario(name, what, when == "now") for name, when, what in rows(TABLE, "name", "when", "what"))
