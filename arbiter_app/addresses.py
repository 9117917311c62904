"""Whose address a request comes from and whether it came by TLS: what a proxy says of that counts if the proxy is trusted.

With `ARBITER_TRUSTED_PROXIES` uvicorn's own middleware puts the visitor's address and scheme into the scope
(https://uvicorn.dev/settings/#http), the address being the last in `X-Forwarded-For` that is not a trusted proxy's.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from starlette.types import Scope

IPV6_NETWORK = 64
"""Bits that one household or server gets: its addresses are one caller."""
UNKNOWN = "unknown"


def address_of(scope: Scope) -> str:
    """The caller's address, by which to count what one caller may do: IPv4, an IPv6 network of /64, or `unknown`."""
    client = scope.get("client")
    return group_of(client[0]) if client else UNKNOWN


@lru_cache(4_096)
def _group(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), IPV6_NETWORK), strict=False))


def group_of(host: str) -> str:
    """The address under which a peer is counted."""
    return _group(host) if len(host) <= 64 else UNKNOWN


@lru_cache(1_024)
def is_loopback_address(host: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def came_by_tls(scope: Scope) -> bool:
    """Whether the visitor's browser spoke TLS: to us, to a trusted proxy, or to any proxy on this machine.

    A proxy on loopback is believed without being named, for all that follows is a cookie that is kept more strictly.
    """
    if scope.get("scheme") in ("https", "wss"):
        return True
    client = scope.get("client")
    if not client or not is_loopback_address(client[0]):
        return False
    headers = {bytes(name): bytes(value).decode("latin-1").lower() for name, value in scope["headers"]}
    forwarded = headers.get(b"forwarded", "").partition(",")[0].replace(" ", "").replace('"', "")
    said = headers.get(b"x-forwarded-proto", "").partition(",")[0].strip()
    return said == "https" or "proto=https" in forwarded.split(";")
