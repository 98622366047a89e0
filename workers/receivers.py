"""Where webhooks may be sent: never to a private address, unless the operator has allowed it.

An address is judged by what it resolves to, when it is registered and again each time something
is sent; the connection then goes to the very addresses that were judged. Sends nothing itself.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx

ALLOW_SETTING = "HANDSOFF_WEBHOOK_ALLOW"
MAX_URL = 500

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Sequence[str]]
"""Gives the IP addresses of a host, for a port; raises `OSError` where it has none."""

# Public by their number, but answered by the machine's own cloud: its metadata, its keys.
_METADATA = frozenset({ipaddress.ip_address("168.63.129.16")})
# Taken for public by Python's tables before 3.13, or no longer in use.
_RESERVED = [
    ipaddress.ip_network(each)
    for each in ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "2001::/23", "5f00::/16")
]
# Addresses that hold an IPv4 address, which is where the packets go.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class ReceiverRefused(Exception):
    """A webhook must not be sent there; the message says why, and names the setting."""


@dataclass(frozen=True)
class Receiver:
    """A URL, and the addresses behind it that were judged.

    Attributes:
        url: as it was registered.
        addresses: IP addresses to connect to, in the order in which to try them.
    """

    url: httpx.URL
    addresses: tuple[str, ...]


class Receivers:
    """Judges where webhooks may be sent.

    Args:
        allow: networks whose addresses are allowed though they are private. Where all addresses
            of a host lie in them, plain http will do.
        resolve: asks for the addresses of a host.
    """

    def __init__(self, allow: Sequence[Network] = (), resolve: Resolve | None = None) -> None:
        self._allow = tuple(allow)
        self._resolve = resolve or _addresses

    def find(self, url: str) -> Receiver:
        """The receiver behind a URL; asks the resolver, which may take seconds.

        Raises:
            ReceiverRefused: nothing may be sent there.
        """
        parsed = parse_url(url)
        try:
            found = tuple(dict.fromkeys(self._resolve(parsed.host, port_of(parsed))))
        except (OSError, ValueError) as error:  # A name may be none at all.
            raise ReceiverRefused(f"{parsed.host} cannot be resolved: {error}") from error
        if not found:
            raise ReceiverRefused(f"{parsed.host} has no address")
        addresses = [ipaddress.ip_address(each.partition("%")[0]) for each in found]
        for address in addresses:
            self._check(parsed.host, address)
        if parsed.scheme == "http" and not all(self._is_allowed(each) for each in addresses):
            raise ReceiverRefused(
                f"{url} is not https, and {parsed.host} is not below what {ALLOW_SETTING} allows"
            )
        return Receiver(parsed, found)

    def _check(self, host: str, address: Address) -> None:
        if self._is_allowed(address):
            return
        if kind := refused_kind(address):
            raise ReceiverRefused(
                f"{host} leads to {address}, which is {kind}; {ALLOW_SETTING} names the networks "
                "of receivers that may be private"
            )

    def _is_allowed(self, address: Address) -> bool:
        return any(address in network for network in self._allow)


def parse_url(url: str) -> httpx.URL:
    """The URL of a receiver, read by the parser that will send to it.

    Raises:
        ReceiverRefused: it is no absolute http(s) URL, or carries a user or a fragment.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise ReceiverRefused(f"{url[:MAX_URL]!r} is no URL: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ReceiverRefused(f"a receiver is https://host/path, got {url[:MAX_URL]!r}")
    if not 0 < port_of(parsed) <= 0xFFFF:
        raise ReceiverRefused(f"a port is 1 to 65535, got {port_of(parsed)}")
    if parsed.userinfo or parsed.fragment:
        raise ReceiverRefused("a receiver's URL holds no user, password or fragment")
    return parsed


def port_of(url: httpx.URL) -> int:
    """The port that a URL means."""
    default = 443 if url.scheme == "https" else 80
    return default if url.port is None else url.port


def refused_kind(address: Address) -> str | None:
    """What an address is that nobody outside has; None for one of the open internet."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None or address.sixtofour is not None or address.teredo:
            return "another address in disguise"
        if address in _NAT64:
            return refused_kind(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.is_site_local:
            return "private"
    if address in _METADATA:
        return "a metadata service"
    if address.is_multicast:
        return "multicast"
    if address.is_loopback:
        return "loopback"
    if address.is_link_local:
        return "link-local"
    is_reserved = any(address in network for network in _RESERVED)
    return None if address.is_global and not is_reserved else "private or reserved"


def _addresses(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]
