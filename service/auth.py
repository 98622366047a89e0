"""Whose requests these are. Without API keys there is one tenant, and only this machine may ask."""

import ipaddress
from typing import Annotated

from fastapi import Depends

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


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
