"""A service whose answers a test writes down, in place of the network under an httpx client."""

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable

import httpx

Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class FakeService(httpx.BaseTransport):
    """
    Answers each route with what it was told to, in turn; the last answer is repeated.

    Attributes:
        seen: every request, its body read.
    """

    def __init__(self) -> None:
        self.seen: list[httpx.Request] = []
        self._answers: dict[tuple[str, str], list[Answer]] = defaultdict(list)
        self._lock = threading.Lock()

    def on(self, method: str, path: str, *answers: Answer) -> None:
        """
        Answer requests of this method and path so.
        """
        self._answers[method, path] += answers

    def instead(self, method: str, path: str, *answers: Answer) -> None:
        """
        From now on answer requests of this method and path so.
        """
        self._answers[method, path] = list(answers)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """
        See httpx.
        """
        request.read()
        with self._lock:
            self.seen.append(request)
            waiting = self._answers.get((request.method, request.url.path))
            if not waiting:
                return problem(404, "route_not_found", f"no {request.method} {request.url.path}")
            answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return answer(request)
        # A response can be read only once, and the last one is given again and again.
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def paths(self, method: str) -> list[str]:
        """
        The paths that were asked for with this method, in order.
        """
        return [request.url.path for request in self.seen if request.method == method]


def body(value: object, status: int = 200, **headers: str) -> httpx.Response:
    """
    An answer of JSON.
    """
    dashed = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=value, headers=dashed)


def problem(status: int, code: str, detail: str, **more: object) -> httpx.Response:
    """
    An answer that says no.
    """
    content = {"status": status, "code": code, "detail": detail, **more}
    headers = {"Content-Type": "application/problem+json"}
    return httpx.Response(status, content=json.dumps(content), headers=headers)


def page(items: Iterable[object], cursor: str | None = None) -> httpx.Response:
    """
    An answer of one page of a list.
    """
    return body({"data": list(items), "has_more": cursor is not None, "next_cursor": cursor})


def job(state: str, version: int = 1, **more: object) -> httpx.Response:
    """
    An answer of one job, with its ETag.
    """
    content = {"id": "job_1", "kind": "generate", "state": state, "version": version, **more}
    return body(content, ETag=f'"{version}"')
