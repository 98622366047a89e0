"""One HTTP request that survives a restarting service: retries, and errors as ours.

Knows nothing of resources. Every request made here is safe to repeat: reads by nature, creations
because each carries one Idempotency-Key over all its attempts.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from service.client._errors import ApiError, ConnectionFailed, api_error

BUSY = frozenset({429, 502, 503, 504})
LONGEST_PAUSE_SECONDS = 30.0


@dataclass
class Transport:
    """Sends requests to one service.

    Attributes:
        http: the connection pool, with its base URL and headers.
        attempts: how often one request is sent at most.
        first_pause: seconds before the first repetition; doubled for each further one.
        sleep: how to pause; tests pass a fake.
    """

    http: httpx.Client
    attempts: int
    first_pause: float = 0.25
    sleep: Callable[[float], None] = time.sleep

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET; 2xx and 304 come back, everything else is raised."""
        return self.send("GET", path, **options)

    def create(self, path: str, idempotency_key: str | None = None, **options: Any) -> Any:
        """POST something new, at most once however often it has to be sent; its JSON."""
        headers = {
            "Idempotency-Key": idempotency_key or str(uuid.uuid4()),
            **options.pop("headers", {}),
        }
        return self.send("POST", path, headers=headers, **options).json()

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Callable[[], Iterator[bytes]] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """Send a request until it is answered.

        Args:
            method: the HTTP method.
            path: below the base URL, or a whole URL.
            body: makes the bytes to send; called anew for each attempt.
            options: of `httpx.Client.request`.

        Raises:
            ApiError: the service said no.
            ConnectionFailed: nobody answered.
        """
        for attempt in range(1, self.attempts + 1):
            if body is not None:
                options["content"] = body()
            response = self._once(method, path, attempt, options)
            if response is None or (response.status_code in BUSY and attempt < self.attempts):
                self.sleep(self._pause(response, attempt))
                continue
            if response.is_success or response.status_code == httpx.codes.NOT_MODIFIED:
                return response
            raise problem_of(response)
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def stream(self, path: str, **options: Any) -> Iterator[httpx.Response]:
        """GET bytes as they come; one attempt, for the caller knows where to go on from."""
        try:
            with self.http.stream("GET", path, follow_redirects=True, **options) as response:
                if not response.is_success:
                    response.read()
                    raise problem_of(response)
                yield response
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _once(
        self, method: str, path: str, attempt: int, options: dict[str, Any]
    ) -> httpx.Response | None:
        """One attempt; None when nobody answered and there are attempts left."""
        try:
            return self.http.request(method, path, **options)
        except httpx.TransportError as error:
            if attempt == self.attempts:
                raise self._unreachable(error) from error
            return None

    def _pause(self, response: httpx.Response | None, attempt: int) -> float:
        """Seconds to wait before the next attempt: as the service wishes, else twice the last."""
        wished = response.headers.get("Retry-After", "") if response is not None else ""
        seconds = float(wished) if wished.isdigit() else self.first_pause * 2 ** (attempt - 1)
        return min(seconds, LONGEST_PAUSE_SECONDS)

    def _unreachable(self, error: httpx.TransportError) -> ConnectionFailed:
        reason = str(error) or type(error).__name__
        return ConnectionFailed(f"No service answers at {self.http.base_url}: {reason}")


def problem_of(response: httpx.Response) -> ApiError:
    """The error in a response: its problem body, or what can be told without one."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {"title": response.reason_phrase, "detail": response.text[:500].strip()}
    return api_error(response.status_code, body)
