"""Which addresses may be called on the word of a stranger: none that leads inside, unless an operator allowed it."""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence

import msgspec
from yarl import URL

from unstuck.kernel.refusal import Invalid

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
URL_LIMIT = 2000
LOOK_UP_S = 5.0
# What the C library reads as an address though nobody writes one like that: 127.1, 2130706433, 0x7f000001, 0177.0.0.1.
NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*\.?", re.IGNORECASE)
# Networks whose addresses carry an IPv4 address inside, and how many bits lie behind it.
CARRIERS = {
    ipaddress.IPv6Network("::ffff:0:0/96"): 0,
    ipaddress.IPv6Network("::/96"): 0,
    ipaddress.IPv6Network("64:ff9b::/96"): 0,
    ipaddress.IPv6Network("2002::/16"): 80,
}


class Allowed(msgspec.Struct, frozen=True):
    """What an operator allowed although it leads inside: hosts by name, and networks."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    def holds(self, address: Address) -> bool:
        """Whether this address is in an allowed network."""
        return any(address in network for network in self.networks)


def allowed(text: str) -> Allowed:
    """Read the setting: names and networks (CIDR or single addresses), separated by commas or blanks."""
    hosts, networks = set(), []
    for part in text.replace(",", " ").split():
        try:
            networks.append(ipaddress.ip_network(part, strict=False))
        except ValueError:
            hosts.add(part.lower().rstrip("."))
    return Allowed(frozenset(hosts), tuple(networks))


def leads_outside(address: Address) -> bool:
    """Whether an address is one of the public internet: also when an IPv4 address is hidden in it."""
    if isinstance(address, ipaddress.IPv6Address):
        for network, behind in CARRIERS.items():
            if address in network:
                return leads_outside(ipaddress.IPv4Address((int(address) >> behind) & 0xFFFFFFFF))
        if address.is_site_local or address.teredo is not None:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def may_call(address: Address, allow: Allowed, *, plain: bool) -> bool:
    """Whether a webhook may go to this address; `plain` when it would go unencrypted."""
    return allow.holds(address) or (not plain and leads_outside(address))


def host_of(url: str) -> URL:
    """Read a webhook's URL; Invalid names what is wrong with it, before anybody is asked for its address."""
    try:
        read = URL(url)
        host, port = read.host, read.port
    except ValueError as error:
        raise _bad(f"that is no URL ({error})") from error
    if len(url) > URL_LIMIT or not url.isprintable():
        raise _bad(f"a URL has at most {URL_LIMIT} printable characters")
    if read.scheme not in ("https", "http") or not host or not port:
        raise _bad("give a whole URL: https://host/path")
    if read.user is not None or read.password is not None or read.fragment:
        raise _bad("leave name, password and fragment out of the URL; messages are signed")
    if NUMERIC.fullmatch(host) and not _canonical(host):
        raise _bad(f"{host} is not how an address is written")
    return read


async def require_outside(url: str, allow: Allowed) -> None:
    """Refuse a URL whose host has any address that we may not call, or none at all."""
    read = host_of(url)
    host, plain = str(read.host), read.scheme == "http"
    if host.rstrip(".") in allow.hosts:
        return
    for address in await _addresses(host, read.port or 0):
        if not may_call(address, allow, plain=plain):
            inside = not leads_outside(address) and not allow.holds(address)
            raise _bad(
                f"{host} leads inside ({address}); the setting webhook_allow can allow it"
                if inside
                else "use https; http is only for what the setting webhook_allow names"
            )


def parsed(text: str) -> Address:
    """An address as a socket knows it, with or without its zone."""
    return ipaddress.ip_address(text.partition("%")[0])


async def _addresses(host: str, port: int) -> Sequence[Address]:
    try:
        async with asyncio.timeout(LOOK_UP_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise _bad(f"nobody says which address {host} has") from error
    except (OSError, UnicodeError) as error:
        raise _bad(f"{host} has no address ({error})") from error
    return tuple(parsed(text) for text in _texts(found))


def _texts(found: Iterable[tuple[object, ...]]) -> Iterable[str]:
    for *_, where in found:
        assert isinstance(where, tuple)
        yield str(where[0])


def _canonical(host: str) -> bool:
    try:
        return str(ipaddress.ip_address(host)) == host
    except ValueError:
        return False


def _bad(because: str) -> Invalid:
    return Invalid("that URL cannot be called", (("/url", because),))
