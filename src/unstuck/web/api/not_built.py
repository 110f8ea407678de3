"""The calls of the contract that wait for something: 501 with the row of the mission that brings them.

A line leaves this table when its call is built; none of them is in the OpenAPI document.
"""

from collections.abc import Iterator
from typing import Any, Never

from litestar import Router, route
from litestar.handlers import HTTPRouteHandler

from unstuck.kernel.refusal import Refused
from unstuck.web.auth import SIGNED_IN

WAITING = """
| call                                                 | row | what it waits for                              |
|------------------------------------------------------|-----|------------------------------------------------|
| GET  /approvals                                      | E3  | approvals by a second person                   |
| GET  /approvals/{id}                                 | E3  | approvals by a second person                   |
| POST /fallout-cases/{name}/corrections/{cid}/approve | E3  | approvals by a second person                   |
| POST /fallout-cases/{name}/classify                  | C4  | reclassification by a person                   |
| POST /fallout-cases/{name}/link-incident             | F1  | incidents                                      |
| POST /fallout-cases/{name}/link-ticket               | D8  | playbooks and their trouble tickets            |
| POST /fallout-cases/{name}/tasks                     | D7  | human tasks                                    |
| POST /orders/{name}/amend                            | A13 | amendments of running orders                   |
| POST /orders/{name}/raise-fallout                    | A14 | fallout raised by a person on a running order  |
| POST /orders/{name}/redirect                         | A16 | redirection of an order to another task        |
| GET POST /incidents                                  | F1  | incidents                                      |
| GET POST /incidents/{rest}                           | F1  | incidents                                      |
| GET POST /bulk-runs                                  | F2  | bulk recovery                                  |
| GET POST /bulk-runs/{rest}                           | F2  | bulk recovery                                  |
| GET POST /tasks                                      | D7  | human tasks                                    |
| GET POST /tasks/{rest}                               | D7  | human tasks                                    |
| GET  /queues                                         | D2  | queues with their contract                     |
| GET  /queues/{rest}                                  | D2  | queues with their contract                     |
| GET  /invariants                                     | B3  | invariants over rows and traces                |
| GET  /invariants/{rest}                              | B3  | invariants over rows and traces                |
| GET POST /reconciliations                            | B4  | reconciliation with other systems              |
| GET POST /reconciliations/{rest}                     | B4  | reconciliation with other systems              |
| GET  /insight                                        | J2  | dashboards and their figures                   |
| GET  /insight/{rest}                                 | J2  | dashboards and their figures                   |
"""
PLACES = {"{id}": "{id:str}", "{name}": "{name:str}", "{cid}": "{cid:str}", "{rest}": "{rest:path}"}


def waiting() -> Iterator[tuple[list[Any], str, str, str]]:
    """Methods, path, row and reason of each line."""
    for line in WAITING.strip().splitlines()[2:]:
        call, row, why = (cell.strip() for cell in line.strip("|").split("|"))
        *methods, path = call.split()
        yield methods, path, row, why


def router() -> Router:
    """The routes of what is not built; who calls must be known all the same."""
    return Router("/api/v1", route_handlers=[_handler(*line) for line in waiting()])


def _handler(methods: list[Any], path: str, row: str, why: str) -> HTTPRouteHandler:
    for name, typed in PLACES.items():
        path = path.replace(name, typed)

    @route(path, http_method=methods, status_code=200, opt={"permission": SIGNED_IN, "hidden": True})
    async def not_built() -> Never:
        """Say what it waits for."""
        raise Refused("not-built", f"this call is not built yet: it waits for {why} (mission {row})")

    return not_built
