"""What the fuzzer knows beside the document: how to find things that are there, and what must hold of every answer.

Loaded by schemathesis itself. Everything is derived from the document: a path parameter is filled with the id of
something that its collection, or the thing above it, shows; If-Match with the ETag of what the command is about.
"""

import atexit
import os
import random
from collections import Counter, defaultdict
from typing import Any
from uuid import uuid4

import requests
import schemathesis
from schemathesis import Case, HookContext
from schemathesis.checks import CheckContext
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response

URL, TOKEN, SEED = (os.environ[f"FUZZ_{name}"] for name in ("URL", "TOKEN", "SEED"))
REAL = 0.8  # how often something that is there is asked for, and not what was made up
MISFIT = "the body does not fit"
CHANCE = random.Random(SEED)
DOOR = requests.Session()
DOOR.headers["Authorization"] = f"Bearer {TOKEN}"
PATHS: dict[str, Any] = DOOR.get(f"{URL}/api/v1/openapi.json", timeout=30).json()["paths"]
SEEN: dict[str, Counter[int]] = defaultdict(Counter)
Found = dict[str, Any]
VIEWS: dict[tuple[Any, ...], Found] = {}


def look(path: str) -> Any:
    """What is shown at a path, None when nothing is."""
    answer = DOOR.get(URL + path, timeout=30)
    return answer.json() if answer.ok and answer.headers["Content-Type"] == "application/json" else None


def things(template: str, path: str) -> list[Found]:
    """What the collection at this path lists, or what is above it shows under the collection's name."""
    above, name = template.rpartition("/")[0], path.rpartition("/")[2]
    if "get" in PATHS.get(template, {}):
        shown = look(path) or {}
        lists = [inner for inner in shown.values() if isinstance(inner, list)]
    else:
        shown = look(path.rpartition("/")[0]) if "get" in PATHS.get(above, {}) else None
        lists = [(shown or {}).get(name, [])]
    return next((some for some in lists if some and isinstance(some[0], dict)), [])


def fits(template: str, path: str, thing: Found) -> bool:
    """Whether what is about to be sent makes sense for this one: it allows the command, or has what is meant."""
    rest = template.rpartition("}/")[2] if template.count("{") == 1 else template.split("}/")[1].split("/")[0]
    seen = (path, named(thing), thing.get("version"))
    if seen not in VIEWS:
        VIEWS[seen] = look(f"{path}/{named(thing)}") or {}
    view = VIEWS[seen]
    if template.count("{") > 1:
        return bool(view.get(rest))
    allowed = view.get("allowed_actions", ())
    return any(one["action"] == rest or (rest.startswith("corrections") and one.get("reasons")) for one in allowed)


def named(thing: Found) -> str:
    return str(thing.get("id") or thing.get("name"))


def somebody(template: str) -> Found:
    """Path parameters of something that is there, as far as there is something; if possible one that fits."""
    found: Found = {}
    known, real = "", ""
    for step in template.strip("/").split("/"):
        if not step.startswith("{"):
            known, real = f"{known}/{step}", f"{real}/{step}"
            continue
        some = things(known, real)
        if not some:
            return found
        CHANCE.shuffle(some)
        fit = (thing for thing in some if fits(template, real, thing)) if not found and "}/" in template else iter(some)
        found[step.strip("{}")] = named(next(fit, some[0]))
        known, real = f"{known}/{step}", f"{real}/{found[step.strip('{}')]}"
    return found


def version_of(template: str, given: Found) -> str | None:
    """The ETag of the nearest thing above that has one."""
    path = template
    while path := path.rpartition("/")[0]:
        if "get" in PATHS.get(path, {}) and "{" in path:
            answer = DOOR.get(URL + path.format(**given), timeout=30)
            if "ETag" in answer.headers:
                return answer.headers["ETag"]
    return None


def is_made_to_fit(case: Case) -> bool:
    """Whether the fuzzer means this call to be taken, and did not learn what is in it from an earlier answer."""
    return case.meta is not None and case.meta.generation.mode.is_positive and case.meta.phase.name != "stateful"


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: Any) -> None:
    """Ask for things that are there, decided on as they are now, each command under a key of its own."""
    if not is_made_to_fit(case):
        return
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = str(uuid4())
    if case.path_parameters and CHANCE.random() < REAL:
        case.path_parameters.update(somebody(case.path))
        version = version_of(case.path, case.path_parameters) if "If-Match" in case.headers else None
        if version is not None:
            case.headers["If-Match"] = version
        fill(case)


def fill(case: Case) -> None:
    """Evidence and repairs that the case in the path has and allows, where the body wants some."""
    about = next((p for p in PATHS if p.count("{") == 1 and case.path.startswith(f"{p}/")), "")
    if not isinstance(case.body, dict) or not {"evidence", "action"} & case.body.keys() or not about:
        return
    shown = look(about.format(**case.path_parameters)) or {}
    if isinstance(case.body.get("evidence"), list) and shown.get("evidence"):
        case.body["evidence"] = [one["id"] for one in shown["evidence"] if one["proves_resolution"]]
    repairs = [one for one in shown.get("allowed_actions", ()) if one.get("reasons")]
    if "action" in case.body and repairs:
        repair = CHANCE.choice(repairs)
        case.body |= {"action": repair["action"], "reason_code": CHANCE.choice(repair["reasons"])}


@schemathesis.hook
def after_call(context: HookContext, case: Case, response: Response) -> None:
    """Count what was answered, for those who read the log."""
    kind = "meant to fit" if is_made_to_fit(case) else "other"
    SEEN[f"{kind}: {case.method} {case.path}"][response.status_code] += 1


@atexit.register
def tell() -> None:
    """The counts, at the end."""
    for name, statuses in sorted(SEEN.items()):
        print(name, dict(sorted(statuses.items())))


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case, response: Response) -> bool:
    """A body of the right shape may name what is not there or not allowed: only its shape must not be refused."""
    if type(failure).__name__ != "RejectedPositiveData" or response.status_code != 422:
        return True
    return str(response.json().get("detail", "")).startswith(MISFIT)


@schemathesis.check
def answered_again(ctx: CheckContext, response: Response, case: Case) -> None:
    """A command that was carried out under a key and is sent again is answered the very same."""
    key = response.request.headers.get("Idempotency-Key")
    declared = case.operation.definition.raw.get("parameters", [])
    takes_it = any(parameter.get("name") == "Idempotency-Key" for parameter in declared)
    if key is None or not takes_it or response.status_code >= 300:
        return
    again = requests.Session().send(response.request, timeout=30)
    seen = (again.status_code, again.content, again.headers.get("ETag"))
    if seen != (response.status_code, response.content, (response.headers.get("etag") or [None])[0]):
        raise AssertionError(f"sent again it was answered {again.status_code}: {again.text[:500]}")
