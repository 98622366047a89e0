"""Whose request this is, what its key must be good for, and to whom the service may listen.

Who gets in at all is the door's to say (`service.door`).
"""

import ipaddress
import re
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request
from starlette.types import Scope as AsgiScope

from service.api_keys import Scope
from service.door import Caller

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""What needs no key: whoever keeps the service running asks it, often without being able to send
one, and it tells nothing of anybody's."""

_HOST = re.compile(r"(?:\[([^\]]+)\]|([^\[\]:]+))(?::\d+)?")  # [IPv6] or a name, then a port.
_CALLER = "handsoff.caller"  # Where the middleware leaves it in the ASGI scope.


def scope_of(method: str, path: str) -> Scope:
    """What a key must be good for to send a request of this method and path."""
    if path == "/metrics" or path.startswith("/v1/admin/"):
        return Scope.ADMIN
    return Scope.READ if method in {"GET", "HEAD", "OPTIONS"} else Scope.WRITE


def set_caller(scope: AsgiScope, caller: Caller) -> None:
    """Note who sent the request."""
    scope[_CALLER] = caller


def caller_of(scope: AsgiScope) -> Caller | None:
    """Who sent the request; None where nobody asked that, on `OPEN_PATHS`."""
    caller: Caller | None = scope.get(_CALLER)
    return caller


async def current_caller(request: Request) -> Caller:
    """Who sent the request that a route answers."""
    caller = caller_of(request.scope)
    assert caller is not None, "routes behind the door are reached through it"
    return caller


async def current_tenant(request: Request) -> str:
    """The tenant that a request acts for."""
    return (await current_caller(request)).tenant


CurrentCaller = Annotated[Caller, Depends(current_caller)]
Tenant = Annotated[str, Depends(current_tenant)]


def refusal_to_bind(host: str, allow_remote: bool, is_guarded: bool = False) -> str | None:
    """Why the service must not listen on a host; None if it may.

    Whoever reaches a service that asks for no key may read, fill and delete everything in it.
    """
    if is_guarded or allow_remote or _is_loopback(host):
        return None
    return (
        f"refusing to listen on {host}: there are no API keys yet, and whoever reaches the service "
        "may use all of it. Make a key with `handsoff keys create`, listen on 127.0.0.1, or set "
        "HANDSOFF_ALLOW_REMOTE=true where something else keeps strangers out"
    )


def is_meant_for_us(host: str, allow_remote: bool) -> bool:
    """Whether a request with this `Host` header may be meant for this service.

    A web page can let its own name point to 127.0.0.1 and then ask us, as the same site, whatever
    it likes. While only this machine may ask, we answer to no other names than this machine's.
    (A guarded door need not care: no web page has a key.)
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
