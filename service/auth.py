"""Whose requests these are. Without API keys there is one tenant, and only this machine may ask."""

import ipaddress
import re
from typing import Annotated

from fastapi import Depends

_HOST = re.compile(r"(?:\[([^\]]+)\]|([^\[\]:]+))(?::\d+)?")  # [IPv6] or a name, then a port.

DEFAULT_TENANT = "default"


def current_tenant() -> str:
    """The tenant that a request acts for; the one place where keys will be looked at."""
    return DEFAULT_TENANT


Tenant = Annotated[str, Depends(current_tenant)]


def refusal_to_bind(host: str, allow_remote: bool) -> str | None:
    """Why the service must not listen on a host; None if it may.

    Anybody who reaches the service may read, fill and delete everything in it.
    """
    if allow_remote or _is_loopback(host):
        return None
    return (
        f"refusing to listen on {host}: the service has no API keys yet, and whoever reaches it "
        "may use all of it. Listen on 127.0.0.1, or set HANDSOFF_ALLOW_REMOTE=true where "
        "something else keeps strangers out"
    )


def is_meant_for_us(host: str, allow_remote: bool) -> bool:
    """Whether a request with this `Host` header may be meant for this service.

    A web page can let its own name point to 127.0.0.1 and then ask us, as the same site, whatever
    it likes. While only this machine may ask, we answer to no other names than this machine's.
    """
    match = _HOST.fullmatch(host)
    return allow_remote or (match is not None and _is_loopback(match[1] or match[2]))


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
