"""`make fuzz-api`: thousands of requests that nobody would write, made from the OpenAPI document.

Needs schemathesis, which no test needs and which lives in an environment of its own, so that its
packages do not stand before ours. All of its checks are on. The campaign runs in parts with seeds
of their own; a part that is done is not done again, so that one which was stopped goes on.

    python -m tests.fuzz.api --cases 20000 [--seed 0] [--key KEY] [--out .handsoff/fuzz-api]
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from service.services import connect_services
from service.settings import ServiceSettings
from tests.support.api import Api
from tests.support.service_process import ServiceProcess, service_process

PROGRAM = Path(".tools/fuzz-api/bin/st")
DOCUMENT = "openapi.json"
KEY = "HANDSOFF_API_KEY"
"""The variable with a key of the service; not an argument, for those are for all to see."""

_ROOT = Path(__file__).parents[2]
# The first part also tries each bound of each field once; the next ones draw at random.
_FIRST, _NEXT = "examples,coverage,fuzzing,stateful", "fuzzing,stateful"
_EXAMPLES = 25
_SETTINGS = """\
[checks.positive_data_acceptance]
# 422 too: rules between fields, addresses, and cursors are no matter of a schema.
expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "413", "422", "429", "507"]

# It says in this way that no work can be done: nobody works here.
[[operations]]
include-path = "/readyz"
[operations.checks.not_a_server_error]
expected-statuses = ["2xx", "4xx", "503"]
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "422", "503"]
"""
_WITH_KEY = """\
[headers]
Authorization = "Bearer ${%s}"
"""


@dataclass(frozen=True)
class Campaign:
    """What is run.

    Attributes:
        out: where parts and findings are kept.
        key: a key of the service; every other part goes without it.
        service: what is tested.
        things: the id of something that exists, by collection.
    """

    program: Path
    out: Path
    key: str | None
    service: ServiceProcess
    things: dict[str, str]

    def part(self, seed: int, *, is_first: bool) -> dict[str, Any]:
        """One part, run or read from what an earlier run has left."""
        place = self.out / f"part-{seed}.json"
        if place.exists():
            return dict(json.loads(place.read_text()))
        events, began = self.out / f"events-{seed}.ndjson", time.monotonic()
        # Without a key even parts are no different from odd ones.
        key = self.key if seed % 2 == 0 else None
        with (self.out / f"part-{seed}.txt").open("wb") as said:
            done = subprocess.run(
                self._command(seed, events, is_first=is_first, has_key=key is not None),
                env=self._environment(key),
                stdout=said,
                stderr=subprocess.STDOUT,
                cwd=self.out,  # It leaves notes of its own where it runs.
                check=False,
            )
        if done.returncode not in (0, 1):
            raise RuntimeError(f"schemathesis failed; {said.name} says why")
        found = {"seed": seed, "has_key": key is not None, **_account(events)}
        found["seconds"] = round(time.monotonic() - began, 1)
        place.write_text(json.dumps(found, indent=1) + "\n")
        if not found["failures"]:
            events.unlink()
        return found

    def _command(self, seed: int, events: Path, *, is_first: bool, has_key: bool) -> list[str]:
        settings = self.out / f"settings-{has_key:d}.toml"
        settings.write_text((_WITH_KEY % KEY if has_key else "") + _SETTINGS)
        return [
            *(str(self.program), f"--config-file={settings}", "run"),
            *(str(self.out / DOCUMENT), "--url", self.service.url),
            *("--checks", "all", "--continue-on-failure", "--no-shrink", "--no-color"),
            *("--phases", _FIRST if is_first else _NEXT),
            *("--max-examples", str(_EXAMPLES), "--seed", str(seed)),
            *("--suppress-health-check", "all", "--warnings", "off"),
            *("--report-ndjson-path", str(events)),
        ]

    def _environment(self, key: str | None) -> dict[str, str]:
        more = {
            "PYTHONPATH": str(_ROOT),
            "SCHEMATHESIS_HOOKS": "tests.fuzz.api_hooks",
            "HANDSOFF_FUZZ_THINGS": json.dumps(self.things),
        }
        return os.environ | more | ({KEY: key} if key else {})


def main() -> None:
    """Run until there were enough cases; print a table and JSON; status 1 for faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first part")
    parser.add_argument("--key", default=os.environ.get(KEY), help=f"by default {KEY}")
    parser.add_argument("--out", type=Path, default=Path(".handsoff/fuzz-api"))
    parser.add_argument("--program", type=Path, default=PROGRAM, help="schemathesis's `st`")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = (options.out / "service").absolute()
        folder.mkdir(exist_ok=True)
        service = stack.enter_context(service_process(folder))
        program, out = options.program.absolute(), options.out.absolute()
        things = _make_things(service, options.key, out)
        before = psutil.Process(service.pid).memory_info().rss
        campaign = Campaign(program, out, options.key, service, things)
        parts = list(_parts(campaign, options.seed, options.cases))
        after = psutil.Process(service.pid).memory_info().rss
        report = _report(parts, service.errors())
        report["service_memory"] = {"before": before, "after": after}
    _show(report)
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    sys.exit(bool(report["failures"] or report["errors_in_log"]))


def _parts(campaign: Campaign, seed: int, cases: int) -> Iterator[dict[str, Any]]:
    """Parts, until they have so many cases together."""
    done = 0
    first = seed
    while done < cases:
        part = campaign.part(seed, is_first=seed - first < (2 if campaign.key else 1))
        yield part
        count = sum(sum(statuses.values()) for statuses in part["cases"].values())
        if not count:
            raise RuntimeError(f"part {seed} sent nothing; {campaign.out}/part-{seed}.txt says why")
        done += count
        seed += 1
        sys.stderr.write(f"{done} of {cases} cases, {len(part['failures'])} faults in the last\n")


def _make_things(service: ServiceProcess, key: str | None, out: Path) -> dict[str, str]:
    """One of each collection, all but the last ready, as if workers had made them."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    told = {f: service.settings[f] for f in ("redis_url", "store_url")}
    services = connect_services(ServiceSettings(**told))  # type: ignore[arg-type]
    with httpx.Client(base_url=service.url, headers=headers, timeout=60) as client:
        # Kept, for parts without a key may not read it.
        (out / DOCUMENT).write_bytes(client.get("/openapi.json").raise_for_status().content)
        api = Api(services, client.request)
        things = {
            "uploads": api.upload(),
            "generators": api.generator(),
            "datasets": api.open_dataset(),
            "encoders": api.made("encoders", {"upload_id": api.upload()}),
        }
        things["inversions"] = api.made(
            "inversions", {"dataset_id": api.dataset(), "generator_id": things["generators"]}
        )
        things["label-generators"] = api.made(
            "label-generators", {"inversion_id": things["inversions"]}
        )
        things["generations"] = api.made(
            "generations", {"label_generator_ids": [things["label-generators"]], "count": 10}
        )
        things["jobs"] = f"job_{things['generations'].partition('_')[2]}"
    services.parts.close()
    return things


def _account(events: Path) -> dict[str, Any]:
    """What a part's events tell: cases by operation and status, and what was found wrong."""
    cases: dict[str, Counter[str]] = {}
    failures: list[dict[str, Any]] = []
    with events.open() as lines:
        for line in lines:
            for event in json.loads(line).values():
                recorder = event.get("recorder") if isinstance(event, dict) else None
                if recorder is not None:
                    _count(recorder, cases)
                    failures += _failures(recorder)
    return {"cases": cases, "failures": failures}


def _count(recorder: dict[str, Any], cases: dict[str, Counter[str]]) -> None:
    for name, case in recorder.get("cases", {}).items():
        value = case["value"]
        answer = recorder["interactions"].get(name, {}).get("response")
        status = str(answer["status_code"]) if answer else "none"
        cases.setdefault(f"{value['method']} {value['path']}", Counter())[status] += 1


def _failures(recorder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name, checks in recorder.get("checks", {}).items():
        for check in checks:
            if check["status"] != "success":
                found = check.get("failure_info", {}).get("failure", {})
                yield {
                    "check": check["name"],
                    "operation": found.get("operation", recorder["label"]),
                    "title": found.get("title", ""),
                    "message": found.get("message", "")[:500],
                    "case": name,
                }


def _report(parts: list[dict[str, Any]], errors: list[str]) -> dict[str, Any]:
    operations: dict[str, Counter[str]] = {}
    for part in parts:
        for operation, statuses in part["cases"].items():
            operations.setdefault(operation, Counter()).update(statuses)
    return {
        "campaign": "schemathesis",
        "parts": [part["seed"] for part in parts],
        "with_key": [part["seed"] for part in parts if part["has_key"]],
        "seconds": round(sum(part["seconds"] for part in parts), 1),
        "cases": sum(sum(statuses.values()) for statuses in operations.values()),
        "operations": {name: dict(sorted(operations[name].items())) for name in sorted(operations)},
        "failures": [failure for part in parts for failure in part["failures"]],
        "errors_in_log": errors[:20],
    }


def _show(report: dict[str, Any]) -> None:
    """A line an operation: how many cases, and how they were answered."""
    for operation, statuses in report["operations"].items():
        if set(statuses) == {"405"}:
            continue  # Methods that no route has; they are counted in the JSON.
        answers = "  ".join(f"{status}: {count}" for status, count in statuses.items())
        sys.stderr.write(f"{operation:58} {sum(statuses.values()):6}   {answers}\n")
    for failure in report["failures"]:
        sys.stderr.write(f"{failure['operation']}: {failure['title']}: {failure['message']}\n")
    sys.stderr.write(f"{report['cases']} cases, {len(report['failures'])} faults\n")


if __name__ == "__main__":
    main()
