"""Where we are served: our own addresses, the name of our cookie, and whether the people of a demo count here."""

import re
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar.connection import ASGIConnection

from unstuck.kernel.refusal import Forbidden

PORT = re.compile(r"(?<=[^:]):\d+$")  # not the end of an IPv6 address, which has brackets where a port follows
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
SAME_SITE = ("same-origin", "none")  # none: the person did it, not a page
Connection = ASGIConnection[Any, Any, Any, Any]


class Site(msgspec.Struct, frozen=True):
    """What the server was told of its place. `demo`: a demo world runs and only this machine reaches us."""

    public_url: str = ""
    demo: bool = False

    @property
    def is_secure(self) -> bool:
        return self.public_url.startswith("https://")

    @property
    def cookie(self) -> str:
        """Over https a name that no other host, and nothing without https, can set."""
        return "__Host-unstuck_session" if self.is_secure else "unstuck_session"

    def lets_demo_in(self, connection: Connection) -> bool:
        """Whether demo accounts count for who came: from this machine, under a name of it, not one led to it.

        A proxy here may call us by our own name; it says whom it brings.
        """
        host, client = connection.headers.get("host", ""), connection.client
        under_our_name = is_loopback(host.rpartition(":")[0] if PORT.search(host) else host)
        return self.demo and under_our_name and client is not None and is_loopback(client.host)

    def require_own_page(self, connection: Connection) -> None:
        """Refuse what a page of another site had a browser send: it comes with our cookie, and is not its person's wish."""
        if dict(connection.scope)["method"] in SAFE:
            return
        headers = connection.headers
        fetched, origin = headers.get("sec-fetch-site"), headers.get("origin", "")
        own = {f"{connection.scope['scheme']}://{headers.get('host', '')}", _origin(self.public_url)}
        if fetched in SAME_SITE if fetched is not None else bool(origin) and origin in own:
            return
        raise Forbidden(
            "same-origin",
            f"this form was not sent by a page of ours ({fetched or origin or 'its sender is not named'}); open the page"
            " here and send it again. If it is ours behind a proxy, UNSTUCK_PUBLIC_URL must be the address people see",
        )


HERE = Site()


def is_loopback(host: str) -> bool:
    """Whether this host is this machine, and nothing else."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
