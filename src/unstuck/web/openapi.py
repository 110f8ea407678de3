"""The OpenAPI document, made from the routes themselves: what a route declares is all that is said of it.

A handler under `/api/v1` needs only its decorator and types; `opt` says what the signature cannot:

    @post("/{name:str}/release", status_code=200, opt={"permission": WORK, "body": Remark, "answer": CaseDone} | COMMAND)
    async def release(request: Request[Any, Any, Any], ports: NamedDependency[Ports], …) -> Response[bytes]:
        '''Put a case back into its queue.'''

| opt          | means                                                                                              |
|--------------|----------------------------------------------------------------------------------------------------|
| `permission` | who may: a permission of the pack, `SIGNED_IN` or `PUBLIC`; without it nothing starts              |
| `answer`     | the type of the JSON answer; a field `version` in it is said to be the ETag too                    |
| `media`      | the media type of an answer that is no JSON; takes the place of `answer`                           |
| `body`       | the type of the body: read it with `parsed(await request.body(), …)`; other content types get 415  |
| `one_of`     | fields of the body of which exactly one is given                                                   |
| `accepts`    | the media types of the body, when it is not application/json alone                                 |
| `form`       | the type of the body as a form, where `accepts` has multipart/form-data: read it with `read_form`  |
| `query`      | a Struct of the query parameters, for a handler that reads them itself (else: its signature)       |
| `if_match`   | If-Match is required: read it with `expected_version(request)`                                     |
| `once`       | Idempotency-Key is taken: the use case goes through `service/once.py`                              |
| `also`       | more statuses, each with the sentence when: below 400 with the same answer, from 400 on a problem  |
| `hidden`     | true: not in the document (streams, and what is not built)                                         |

`COMMAND` is `if_match` and `once` together. Leave the dependency `ports` to the application (no `dependencies=` on the
router): it knows the key. The first line of the docstring is the summary, the rest the description;
the function's name is the operation's. Path parameters and the query come from the route and the signature. The
statuses that follow are documented without being asked for: 401 and 403 where a token is needed, 404 where the path
names something, 400, 413, 415 and 422 where there is a body, 422 where there is a query, 409, 412 and 428 with
If-Match, 409 and 422 with Idempotency-Key, 503 always. `tests/web/test_web_openapi.py` calls everything that is
documented and fails on an answer that is not.
"""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from inspect import getdoc
from types import UnionType
from typing import Any, Union, get_args, get_origin
from uuid import UUID

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.routes import HTTPRoute

from unstuck.web.auth import PUBLIC
from unstuck.web.problem import TITLES, Problem

BASE = "/api/v1"
COMPONENTS = "#/components/schemas/{name}"
JSON, PROBLEM = "application/json", "application/problem+json"
COMMAND = {"if_match": True, "once": True}
ETAG = {"description": "the version of what is shown", "schema": {"type": "string", "pattern": '^"[0-9]+"$'}}
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "description": "the version (ETag) that was decided on",
    "schema": {"type": "string", "pattern": '^"[0-9]{1,9}"$'},
}
ONCE = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "the same key and the same command within 24 hours: the same answer, and nothing is done again",
    "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
}
Schema = dict[str, Any]


class Operation(msgspec.Struct, frozen=True):
    """One method of one path, with the handler that declares it."""

    method: str
    path: str
    route: HTTPRoute
    handler: HTTPRouteHandler

    def says(self, name: str, otherwise: Any = None) -> Any:
        """What the handler declares under this name of its `opt`."""
        return self.handler.opt.get(name, otherwise)


class Types:
    """The schemas of all types that are met, under one name each."""

    def __init__(self) -> None:
        self._kinds: list[Any] = []

    def ref(self, kind: Any) -> Schema:
        """The schema of a type, filled in once all types are known."""
        if get_origin(kind) in (Union, UnionType):
            return {"anyOf": [self.ref(part) for part in get_args(kind)]}
        self._kinds.append(kind)
        return {"of": len(self._kinds) - 1}

    def filled(self, node: Any) -> tuple[Any, Schema]:
        """`node` with every schema in its place, and the components they refer to."""
        schemas, components = msgspec.json.schema_components(self._kinds, ref_template=COMPONENTS)
        return _filled(node, schemas), components


def operations(app: Litestar) -> Iterator[Operation]:
    """Every native operation there is, documented or not."""
    for route in app.routes:
        if isinstance(route, HTTPRoute) and route.path.startswith(BASE):
            path = route.path_format.rstrip("/")
            for handler in route.route_handlers:
                for method in sorted(handler.http_methods - {"OPTIONS"}):
                    yield Operation(method, path, route, handler)


def document(app: Litestar) -> Schema:
    """The whole document."""
    types, paths = Types(), dict[str, Schema]()
    shown = [one for one in operations(app) if not one.says("hidden")]
    for one in sorted(shown, key=lambda one: (one.path, one.method)):
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, types)
    types.ref(Problem)
    filled, components = types.filled(paths)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Unstuck", "version": version("unstuck"), "license": {"name": "Apache-2.0"}},
        "security": [{"bearer": []}],
        "tags": [{"name": name} for name in sorted({_tag(path) for path in paths})],
        "paths": filled,
        "components": {"schemas": components, "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
    }


@get(f"{BASE}/openapi.json", opt={"permission": PUBLIC, "hidden": True})
async def show_document(request: Request[Any, Any, Any]) -> Response[bytes]:
    """This API, in its own words; made when it is first asked for."""
    state = request.app.state
    if "openapi" not in state:
        state["openapi"] = msgspec.json.encode(document(request.app))
    return Response(state["openapi"], media_type=JSON)


def _filled(node: Any, schemas: tuple[Schema, ...]) -> Any:
    match node:
        case {"of": int(number)} if len(node) == 1:
            return schemas[number]
        case dict():
            return {name: _filled(inner, schemas) for name, inner in node.items()}
        case list():
            return [_filled(inner, schemas) for inner in node]
    return node


def _tag(path: str) -> str:
    return path.removeprefix(f"{BASE}/").partition("/")[0]


def _operation(one: Operation, types: Types) -> Schema:
    summary, _, rest = (getdoc(one.handler.fn) or "").partition("\n")
    told: Schema = {
        "operationId": one.handler.handler_name,
        "summary": summary.rstrip("."),
        "tags": [_tag(one.path)],
        "parameters": [*_path(one), *_query(one, types), *_headers(one)],
        "responses": {str(status): answer for status, answer in sorted(_answers(one, types).items())},
    }
    if rest.strip():
        told["description"] = rest.strip()
    if one.says("permission") == PUBLIC:
        told["security"] = []
    if one.says("body") is not None:
        schema = types.ref(one.says("body"))
        if one.says("one_of"):
            schema = {"allOf": [schema], "oneOf": [{"required": [name]} for name in one.says("one_of")]}
        form = types.ref(one.says("form")) if one.says("form") else schema
        content = {m: {"schema": form if m.startswith("multipart/") else schema} for m in accepted(one.handler.opt)}
        told["requestBody"] = {"required": not _may_be_left_out(one.says("body")), "content": content}
    return told


def _may_be_left_out(kind: Any) -> bool:
    """No body is an empty object to us."""
    try:
        msgspec.convert({}, type=kind)
    except (msgspec.ValidationError, TypeError):  # the second for a union that only documents
        return False
    return True


def accepted(opt: Mapping[str, Any]) -> tuple[str, ...]:
    """The media types that a route takes."""
    return tuple(opt.get("accepts", (JSON,)))


def _path(one: Operation) -> Iterator[Schema]:
    for part in one.route.path_components:
        if not isinstance(part, str):
            schema = {"type": "string", "format": "uuid"} if part.type is UUID else {"type": "string", "minLength": 1}
            yield {"name": part.name, "in": "path", "required": True, "schema": schema}


def _query(one: Operation, types: Types) -> Iterator[Schema]:
    for name, field in one.handler.parsed_fn_signature.parameters.items():
        if isinstance(field.kwarg_definition, QueryParameter):
            yield _parameter(field.kwarg_definition.name or name, field.annotation, field.has_default, types)
    if one.says("query") is not None:
        for given in msgspec.structs.fields(one.says("query")):
            yield _parameter(given.encode_name, given.type, not given.required, types)


def _parameter(name: str, kind: Any, optional: bool, types: Types) -> Schema:
    given = [part for part in get_args(kind) if part not in (type(None), msgspec.UnsetType)]
    plain = given[0] if len(given) == 1 and type(None) in get_args(kind) else kind
    return {"name": name, "in": "query", "required": not optional, "schema": types.ref(plain)}


def _headers(one: Operation) -> Iterator[Schema]:
    if one.says("if_match"):
        yield IF_MATCH
    if one.says("once"):
        yield ONCE


def _answers(one: Operation, types: Types) -> dict[int, Schema]:
    done = {one.handler.status_code: "done", **{s: when for s, when in one.says("also", {}).items() if s < 400}}
    refused = {status: TITLES.get(status, "Refused") for status in _refusals(one)}
    refused |= {status: when for status, when in one.says("also", {}).items() if status >= 400}
    answers = {status: {"description": when, **_shown(one, types)} for status, when in done.items()}
    return answers | {
        status: {"description": when, "content": {PROBLEM: {"schema": types.ref(Problem)}}}
        for status, when in refused.items()
    }


def _shown(one: Operation, types: Types) -> Schema:
    if one.says("media"):
        return {"content": {one.says("media"): {}}}
    kind = one.says("answer")
    if kind is None:
        return {}
    shown: Schema = {"content": {JSON: {"schema": types.ref(kind)}}}
    if "version" in getattr(kind, "__struct_fields__", ()):
        shown["headers"] = {"ETag": ETAG}
    return shown


def _refusals(one: Operation) -> set[int]:
    names_something = any(not isinstance(part, str) for part in one.route.path_components)
    has_query = one.says("query") is not None or any(
        isinstance(f.kwarg_definition, QueryParameter) for f in one.handler.parsed_fn_signature.parameters.values()
    )
    rules = (
        (one.says("permission") != PUBLIC, {401, 403}),
        (names_something, {404}),
        (one.says("body") is not None, {400, 413, 415, 422}),
        (has_query, {422}),
        (one.says("if_match"), {409, 412, 428}),
        (one.says("once"), {409, 422}),
        (True, {503}),
    )
    return {status for holds, statuses in rules if holds for status in statuses}
