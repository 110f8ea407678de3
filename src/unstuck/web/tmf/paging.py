"""A page of a TM Forum list: always 200, with the counts and links of TMF630 in its headers."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

from litestar import Response
from litestar.datastructures import URL

from unstuck.web.protocol import as_json
from unstuck.web.tmf.filters import Search
from unstuck.web.tmf.projection import selected


def page(url: URL, asked: Search, resources: Sequence[dict[str, Any]], total: int) -> Response[bytes]:
    """The answer of a list."""
    answer = as_json([selected(one, asked.fields) for one in resources])
    answer.headers |= {"X-Total-Count": str(total), "X-Result-Count": str(len(resources))}
    answer.headers["Link"] = ", ".join(_links(url, asked, total))
    return answer


def _links(url: URL, asked: Search, total: int) -> list[str]:
    pages = {"first": 0}
    if asked.offset:
        pages["prev"] = max(asked.offset - asked.limit, 0)
    if asked.limit:
        pages["last"] = max(total - 1, 0) // asked.limit * asked.limit
        if asked.offset + asked.limit < total:
            pages["next"] = asked.offset + asked.limit
    return [f'<{_at(url, offset)}>; rel="{relation}"' for relation, offset in pages.items()]


def _at(url: URL, offset: int) -> str:
    query = [(name, value) for name, value in parse_qsl(url.query, keep_blank_values=True) if name != "offset"]
    return f"{url.path}?{urlencode([*query, ('offset', str(offset))])}"
