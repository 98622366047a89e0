"""One attempt to deliver: a POST that ends in time, whatever the other side does.

Asynchronous, though nothing else in this layer is: a limit on the whole attempt, from the first
packet to the last byte of the answer, can only be kept by something that can be broken off.
"""

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import anyio
import httpx

from workers.receivers import Receiver

LIMIT_SECONDS = 5.0
MAX_ANSWER_BYTES = 64 << 10


@dataclass(frozen=True)
class Sent:
    """What became of an attempt; see `workers.webhooks.Attempt`."""

    status: int | None
    milliseconds: int
    error: str | None


@dataclass(frozen=True)
class Poster:
    """Sends to receivers that were judged.

    Attributes:
        limit_seconds: for the whole attempt.
        tls: which certificates are believed.
    """

    limit_seconds: float = LIMIT_SECONDS
    tls: ssl.SSLContext = field(default_factory=httpx.create_ssl_context)

    async def send(self, receiver: Receiver, body: bytes, headers: Mapping[str, str]) -> Sent:
        """POST to the first of the receiver's addresses that takes the connection."""
        started = time.monotonic()
        status: int | None = None
        error: str | None = None
        try:
            with anyio.fail_after(self.limit_seconds):
                status, error = await self._post(receiver, body, headers)
        except TimeoutError:
            error = f"no whole answer within {self.limit_seconds:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as fault:
            error = f"{type(fault).__name__}: {fault}"[:300]
        return Sent(status, round((time.monotonic() - started) * 1000), error)

    async def _post(
        self, receiver: Receiver, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, str | None]:
        # Nothing of the environment: a proxy would resolve the name once more.
        async with httpx.AsyncClient(
            verify=self.tls, trust_env=False, follow_redirects=False, timeout=self.limit_seconds
        ) as client:
            for address in receiver.addresses[:-1]:
                try:
                    return await _post_to(client, receiver.url, address, body, headers)
                except httpx.ConnectError:
                    continue
            return await _post_to(client, receiver.url, receiver.addresses[-1], body, headers)


async def _post_to(
    client: httpx.AsyncClient,
    url: httpx.URL,
    address: str,
    body: bytes,
    headers: Mapping[str, str],
) -> tuple[int, str | None]:
    """The answer's status, and why it does not count as delivered."""
    named = {"Host": url.netloc.decode("ascii"), **headers}
    # The connection goes to the address that was judged; name and certificate stay the host's.
    extensions = {"sni_hostname": url.raw_host.decode("ascii")}
    pinned = url.copy_with(host=address)
    async with client.stream(
        "POST", pinned, content=body, headers=named, extensions=extensions
    ) as answer:
        size = 0
        async for chunk in answer.aiter_raw():
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                return answer.status_code, f"the answer is longer than {MAX_ANSWER_BYTES} bytes"
    if answer.is_success:
        return answer.status_code, None
    if answer.is_redirect:
        return answer.status_code, "redirects are not followed"
    return answer.status_code, f"answered {answer.status_code}"
