import threading
import time
from importlib.metadata import version

from fakes import FakeStore
from support.api import parts_on, problem, serve

from service.services import connect_services
from workers.errors import StorageUnavailable


class HangingStore(FakeStore):
    """
    A bucket behind a network that swallows everything.
    """

    def __init__(self):
        super().__init__()
        self.over = threading.Event()

    def check(self):
        self.over.wait(60)


def test_a_process_is_alive_without_its_parts(settings, tmp_path):
    """
    Liveness asks nobody: a restart would not bring Redis back.
    """
    lonely = settings.model_copy(update={"redis_url": f"unix://{tmp_path}/nobody.sock"})
    for api in serve(settings, connect_services(lonely)):
        assert api.get("/healthz").json() == {"status": "ok"}


class TestReadiness:
    def test_asks_redis_and_the_store(self, api):
        """
        Both answered, and how soon.
        """
        body = api.get("/readyz").json()

        assert body["status"] == "ready"
        assert {"redis", "store"} == set(body["checks"])

    def test_names_redis(self, settings, tmp_path):
        """
        Without Redis the service cannot work, and says why in bounded time.
        """
        lonely = settings.model_copy(update={"redis_url": f"unix://{tmp_path}/nobody.sock"})
        for api in serve(settings, connect_services(lonely)):
            started = time.monotonic()
            told = problem(api.get("/readyz"), 503, "not_ready")

            assert [error["pointer"] for error in told["errors"]] == ["/redis"]
            assert time.monotonic() - started < 20

    def test_names_the_store(self, settings):
        """
        A store that says no is told from Redis; where it is stays in the log.
        """
        store = FakeStore()
        store.broken = StorageUnavailable("s3 at 10.0.0.1")
        for api in serve(settings, connect_services(settings, parts_on(settings, store))):
            answer = api.get("/readyz")

            told = problem(answer, 503, "not_ready")
            assert [error["pointer"] for error in told["errors"]] == ["/store"]
            assert "10.0.0.1" not in answer.text
            assert any("10.0.0.1" in str(line) for line in api.logs)

    def test_does_not_hang_with_the_store(self, settings):
        """
        A store that says nothing at all is named after two seconds.
        """
        store = HangingStore()
        for api in serve(settings, connect_services(settings, parts_on(settings, store))):
            started = time.monotonic()
            told = problem(api.get("/readyz"), 503, "not_ready")

            assert told["errors"][0]["detail"] == "does not answer within 2 s"
            assert time.monotonic() - started < 20
            store.over.set()


class TestMetrics:
    def test_count_requests_by_route(self, api):
        """
        Paths are grouped by their route, so that ids make no series of their own.
        """
        for name in ("gen_a", "gen_b"):
            api.get(f"/v1/generators/{name}")
        api.send("SMELL", "/nothing")

        text = api.get("/metrics").text

        labels = 'method="GET",route="/v1/generators/{resource_id}"'
        assert f'handsoff_http_requests_total{{{labels},status="404"}} 2.0' in text
        assert f"handsoff_http_request_seconds_count{{{labels}}} 2.0" in text
        assert 'method="other",route="(none)"' in text

    def test_tell_how_much_work_waits(self, api):
        """
        One depth for each queue, and whether Redis was there to be asked.
        """
        for _ in range(3):
            api.generator()

        text = api.get("/metrics").text

        assert 'handsoff_queue_depth{queue="compute"} 3.0' in text
        assert 'handsoff_queue_depth{queue="cpu"} 0.0' in text
        assert "handsoff_redis_up 1.0" in text

    def test_do_without_redis(self, settings, tmp_path):
        """
        A scrape is answered all the same; that Redis is away is what it tells.
        """
        lonely = settings.model_copy(update={"redis_url": f"unix://{tmp_path}/nobody.sock"})
        for api in serve(settings, connect_services(lonely)):
            text = api.get("/metrics").text

            assert "handsoff_redis_up 0.0" in text
            assert "handsoff_queue_depth{" not in text


def test_the_version_is_the_package_s(api):
    """
    What is running is what was installed.
    """
    assert {"version": version("handsoff"), "api": "v1"} == api.get("/version").json()
