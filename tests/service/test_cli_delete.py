"""The command line deletes only what it was told to, and looks after webhooks."""

import json
import os
import pty
import sys

import httpx
import pytest
from support.fake_service import body, page

from service.cli.failures import ExitCode

GONE = {"deleted": ["inversions/inv_1", "generators/gen_1"], "bytes": 1_200_000}
WEBHOOK = {
    "id": "whk_1",
    "url": "https://hooks.example/",
    "events": ["job.failed"],
    "name": "mine",
    "secret": "whsec_1",
    "created_at": "2026-01-01T00:00:00Z",
}
KNOWN = {name: value for name, value in WEBHOOK.items() if name != "secret"}
FAILED = {"at": "2026-01-01T00:00:00Z", "status": 500, "milliseconds": 3, "error": "status 500"}
DELIVERY = {
    "id": "dlv_1",
    "type": "webhook.test",
    "state": "pending",
    "created_at": "2026-01-01T00:00:00Z",
    "attempts": [FAILED, FAILED],
}


@pytest.fixture
def say(monkeypatch):
    """
    Puts a person in front of the command line, who has typed an answer.
    """
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r") as terminal, os.fdopen(ours, "w") as person:

        def say(answer):
            person.write(f"{answer}\n")
            person.flush()
            monkeypatch.setattr(sys, "stdin", terminal)

        yield say


def asked(service, method="DELETE") -> list[tuple[str, str]]:
    """
    The paths and queries of the requests, in order.
    """
    seen = [request for request in service.seen if request.method == method]
    return [(request.url.path, request.url.query.decode()) for request in seen]


class TestDelete:
    @pytest.mark.parametrize("words", [("delete",), ("generator", "delete")])
    def test_says_what_went(self, handsoff, service, words):
        """
        Told by its id or by the kind's own command; with --yes at once.
        """
        service.on("DELETE", "/v1/generators/gen_1", body(GONE))

        code, out, _ = handsoff(*words, "gen_1", "--cascade", "--yes")

        assert code == 0
        assert out == "deleted: inversions/inv_1, generators/gen_1 (1.2 MB)\n"
        assert asked(service) == [("/v1/generators/gen_1", "cascade=true")]

    def test_dry_deletes_nothing(self, handsoff, service):
        """
        With --dry-run it is only said, and nobody has to be asked.
        """
        service.on("DELETE", "/v1/generations/gnn_1", body(GONE))

        code, out, _ = handsoff("delete", "gnn_1", "--dry-run")

        assert code == 0
        assert out.startswith("would be deleted: ")
        assert asked(service) == [("/v1/generations/gnn_1", "dry_run=true")]

    @pytest.mark.parametrize(
        "words",
        [("delete", "gen_1"), ("webhook", "delete", "whk_1"), ("delete", "gen_1", "--json")],
    )
    def test_asks_or_refuses(self, handsoff, service, words):
        """
        Where nobody can be asked and --yes was not said, nothing is sent; the error names it.
        """
        code, out, err = handsoff(*words)

        assert code == ExitCode.MISUSED
        assert "--yes" in out + err
        assert service.seen == []

    def test_shows_what_would_go_before_it_asks(self, handsoff, service, say):
        """
        A person sees what depends on it, and how much it is.
        """
        service.on("DELETE", "/v1/generators/gen_1", body(GONE))
        say("y")

        code, out, err = handsoff("delete", "gen_1", "--cascade")

        assert code == 0
        assert "inversions/inv_1, generators/gen_1 (1.2 MB). Delete for good?" in err
        assert "deleted: " in out
        assert [query for _, query in asked(service)] == [
            "cascade=true&dry_run=true",
            "cascade=true",
        ]

    def test_takes_no_for_an_answer(self, handsoff, service, say):
        """
        Then nothing is deleted, and the exit code says that it was not.
        """
        service.on("DELETE", "/v1/generators/gen_1", body(GONE))
        say("n")

        code, out, _ = handsoff("delete", "gen_1")

        assert (code, out.strip()) == (1, "")
        assert [query for _, query in asked(service)] == ["dry_run=true"]

    def test_of_a_kind_takes_no_other(self, handsoff, service):
        """
        Who says `dataset delete` does not mean a generator.
        """
        code, _, err = handsoff("dataset", "delete", "gen_1", "--yes")

        assert code == ExitCode.MISUSED
        assert "'gen_1' is no dataset's id" in err
        assert service.seen == []


class TestWebhooks:
    def test_the_secret_is_shown_once(self, handsoff, service):
        """
        Alone on stdout where it was made, so that a shell can keep it; never again.
        """
        service.on("POST", "/v1/webhooks", body(WEBHOOK, 201))
        service.on("GET", "/v1/webhooks/whk_1", body(WEBHOOK))
        service.on("GET", "/v1/webhooks", page([WEBHOOK]))
        url = "https://hooks.example/"

        code, out, err = handsoff(
            *("webhook", "create", url, "--event", "job.failed", "--name", "mine")
        )
        later = [handsoff("webhook", *words) for words in (("show", "whk_1"), ("list",))]

        assert (code, out) == (0, "whsec_1\n")
        assert "whk_1" in err
        assert json.loads(service.seen[0].content) == {
            "url": url,
            "events": ["job.failed"],
            "name": "mine",
        }
        assert all(url in said[1] and "whsec_1" not in said[1] for said in later)

    def test_hears_of_everything_if_nothing_is_said(self, handsoff, service):
        """
        The service's own default stands.
        """
        service.on("POST", "/v1/webhooks", body(WEBHOOK, 201))

        handsoff("webhook", "create", "https://hooks.example/")

        assert "events" not in json.loads(service.seen[0].content)

    def test_for_machines_are_whole(self, handsoff, service):
        """
        JSON has all fields, the secret only where it is told.
        """
        service.on("POST", "/v1/webhooks", body(WEBHOOK, 201))
        service.on("GET", "/v1/webhooks", page([KNOWN]))

        made = json.loads(handsoff("webhook", "create", "https://hooks.example/", "--json")[1])
        (listed,) = json.loads(handsoff("webhook", "list", "--json")[1])

        assert made["secret"] == "whsec_1"
        assert (listed["events"], "secret" in listed) == (["job.failed"], False)

    def test_deliveries_tell_how_they_went(self, handsoff, service):
        """
        How often it was tried, and what came of the last time.
        """
        service.on("POST", "/v1/webhooks/whk_1/test", body(DELIVERY, 202))
        service.on("GET", "/v1/webhooks/whk_1/deliveries", page([DELIVERY]))

        _, sent, hint = handsoff("webhook", "test", "whk_1")
        _, log, _ = handsoff("webhook", "deliveries", "whk_1", "--limit", "5")

        assert sent == "dlv_1  pending\n"
        assert "handsoff webhook deliveries whk_1" in hint
        assert [*log.splitlines()[1].split()[:6]] == [
            "dlv_1",
            "webhook.test",
            "pending",
            "2",
            "status",
            "500",
        ]
        assert asked(service, "GET") == [("/v1/webhooks/whk_1/deliveries", "limit=5")]

    def test_are_deleted(self, handsoff, service, say):
        """
        Once a person has seen where it led, or said --yes.
        """
        service.on("GET", "/v1/webhooks/whk_1", body(KNOWN))
        service.on("DELETE", "/v1/webhooks/whk_1", httpx.Response(204))
        say("y")

        code, out, err = handsoff("webhook", "delete", "whk_1")

        assert (code, out.strip()) == (0, "deleted: whk_1")
        assert "https://hooks.example/" in err
        assert asked(service) == [("/v1/webhooks/whk_1", "")]
