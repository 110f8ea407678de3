"""How the orders of a source are resumed by us, when its order manager cannot redeem a token: data, never code (H5)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from unstuck.kernel.canonical import encode, printable
from unstuck.repair.token import ResumeMode

Way = Literal["task", "patch", "repost"]
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2000, pattern=r"^https?://[!-~]+$(?!\n)")]
Field = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[!-~]+$(?!\n)")]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$(?!\n)")]
Header = Annotated[str, msgspec.Meta(max_length=500, pattern=r"^[ -~]*$(?!\n)")]
Secret = Annotated[str, msgspec.Meta(max_length=60, pattern=r"^([a-z0-9][a-z0-9-]*)?$(?!\n)")]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=3600)]
ORDER = "{order}"


SECRET_HEADERS = ("authorization", "proxy-authorization", "cookie", "x-api-key", "api-key")


class OrderManager(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an order is looked at, in which states it stands still, and the ways to let it go on, tried in turn.

    `url` shows one order; `{order}` in a URL is the order's reference. `state_field` is its state, `version_field` its
    version (empty: the ETag). `expected` are the states of an order that stands still, `to` is the state that a PATCH
    asks for, and `reached` are the states that prove it went on (empty: `to` alone).
    `task` posts `task_body` to `task_url`, with `{order}`, `{mode}`, `{step}`, `{item}` and `{token}` filled in; `patch`
    merges `to` into `url`; `repost` sends the order again to `repost_url`, as one that replaces the one that stands still.
    `modes` are the decisions that can be carried out so: the others are left to the source as a token. `headers` go with
    every call, and the content of the file `secret` in the folder `secrets` of the data directory as a bearer token.
    After an answer, the order is given `settles_s` to be seen going on; an answer alone proves nothing.
    """

    url: Url
    expected: Annotated[tuple[Word, ...], msgspec.Meta(min_length=1, max_length=20)]
    to: Word
    strategy: Annotated[tuple[Way, ...], msgspec.Meta(min_length=1, max_length=3)] = ("patch",)
    state_field: Field = "state"
    version_field: Annotated[str, msgspec.Meta(max_length=100)] = ""
    reached: Annotated[tuple[Word, ...], msgspec.Meta(max_length=20)] = ()
    modes: Annotated[tuple[ResumeMode, ...], msgspec.Meta(min_length=1)] = (ResumeMode.RETRY_FAILED_STEP,)
    task_url: Url | None = None
    task_body: dict[str, Any] = {}
    repost_url: Url | None = None
    headers: dict[Field, Header] = {}
    key_header: Field = "X-Idempotency-Key"
    secret: Secret = ""
    settles_s: Seconds = 10

    def __post_init__(self) -> None:
        if ORDER not in self.url:
            raise ValueError(f"url must name the order: put {ORDER} where its reference goes")
        for way, url in (("task", self.task_url), ("repost", self.repost_url)):
            if way in self.strategy and url is None:
                raise ValueError(f"the strategy {way} needs {way}_url")
        if secret := [name for name in self.headers if name.lower() in SECRET_HEADERS]:
            raise ValueError(
                f"{secret[0]} would be shown with the settings: put it into a file and name it in `secret`"
            )
        try:
            encode(self.task_body)
        except ValueError as error:
            raise ValueError(f"task_body cannot be sent as it is ({error})") from error
        if set(self.expected) & set(self.goes_on):
            raise ValueError("a state in which the order stands still cannot prove that it went on")

    @property
    def goes_on(self) -> tuple[str, ...]:
        """The states that prove that the order went on."""
        return self.reached or (self.to,)


class Standing(msgspec.Struct, frozen=True):
    """An order as its manager shows it: its state and version, empty when it does not say."""

    state: str
    version: str


def standing(manager: OrderManager, document: Mapping[str, Any], etag: str) -> Standing:
    """Read an order by the fields that the settings name; dots lead inside."""
    version = _field(document, manager.version_field) if manager.version_field else etag
    return Standing(_field(document, manager.state_field), version)


def finding(manager: OrderManager, seen: Standing, order_version: str) -> str:
    """What speaks against asking it to go on, in a sentence; empty when it stands as it was decided on."""
    if seen.state not in manager.expected:
        return f"it is {printable(seen.state, 100) or 'in no state'}, and was decided on as {' or '.join(manager.expected)}"
    if order_version and _opaque(seen.version) != _opaque(order_version):
        return f"it moved to version {printable(seen.version, 100) or 'unknown'}, and was decided on at {order_version}"
    return ""


def filled(template: Any, words: Mapping[str, str]) -> Any:
    """A body with its `{words}` filled in, at any depth."""
    if isinstance(template, dict):
        return {key: filled(value, words) for key, value in template.items()}
    if isinstance(template, list):
        return [filled(value, words) for value in template]
    if isinstance(template, str):
        for word, value in words.items():
            template = template.replace(f"{{{word}}}", value)
    return template


def again(manager: OrderManager, document: Mapping[str, Any], order_ref: str) -> dict[str, Any]:
    """The order once more, as one that replaces the one that stands still."""
    own = {"id", "href", manager.state_field.partition(".")[0], manager.version_field.partition(".")[0]}
    kept = {name: value for name, value in document.items() if name not in own}
    replaces = {"id": str(document.get("id", order_ref)), "relationshipType": "replaces"}
    return {**kept, "externalId": str(document.get("externalId", order_ref)), "orderRelationship": [replaces]}


def _opaque(version: str) -> str:
    """A version without the quotes that an ETag wears in its header, and may not wear in a report."""
    return version.removeprefix("W/").strip('"')


def _field(document: Any, path: str) -> str:
    for name in path.split("."):
        document = document.get(name) if isinstance(document, Mapping) else None
    return str(document) if isinstance(document, str | int | float) else ""
