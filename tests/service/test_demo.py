import sys

import pytest

from service.cli.demo import shipped
from service.cli.demo_report import Made, check_readable, read_command, report_of
from service.cli.demo_scale import FULL, QUICK, SEEDS, scale_of
from service.cli.failures import DemoFailed
from service.client import Resource
from service.supervisor.memory import MemoryMeter


def resource(kind, spec=None, **result):
    """
    A ready resource with a result.
    """
    return Resource(id=f"{kind}_1", state="ready", spec=spec or {}, result=result)


def shard(index):
    """
    A shard as a manifest lists it.
    """
    return {"path": f"data/shard-{index:06d}.tar", "samples": 500, "sha256": "ab", "bytes": 10}


@pytest.fixture
def made():
    """
    What the demo ends with, as the service describes it.
    """
    return Made(
        images=16,
        label_generator=resource("lbl", throughput={"images_per_second": 30.0}),
        inversion=resource(
            "inv",
            summary={"psnr": 24.0, "distance": 0.3},
            distance={"name": "perceptual", "backbone": "random"},
        ),
        generation=resource(
            "gnn",
            samples=2000,
            shards=[shard(index) for index in range(4)],
            dropped_share=0.1,
            versions={"torch": "2"},
            plan={"device": "cpu"},
        ),
        synthetic=resource("evl", miou=0.8, per_class_iou={"skin": 0.8}),
        real=resource("evl", miou=0.5, per_class_iou={"skin": 0.5}),
    )


class TestReport:
    def test_says_what_was_measured(self, made):
        """
        The report has the figures that checks and people look for, under their names.
        """
        meter = MemoryMeter(dict, peaks={"service": 7}, peak_together=9)

        report = report_of(made, {"draw": 1.234}, meter)

        assert report["stages"] == {"draw": 1.23}
        assert (report["images"], report["generated"]) == (16, 2000)
        assert report["miou"] == {"synthetic": 0.8, "real16": 0.5, "exact2000": None}
        assert report["per_class_iou"] == {"synthetic": {"skin": 0.8}, "real16": {"skin": 0.5}}
        assert report["inversion"] == {"psnr": 24.0, "perceptual": 0.3, "backbone": "random"}
        assert report["memory"] == {"peak_bytes": {"service": 7}, "peak_together_bytes": 9}
        assert report["versions"]["torch"] == "2"
        assert report["device"] == "cpu"

    def test_shards_are_named_from_beside_the_report(self, made):
        """
        A shard's path leads from the report's own folder to the file.
        """
        report = report_of(made, {}, MemoryMeter(dict))

        assert report["shards"][3]["path"] == "dataset/data/shard-000003.tar"
        assert report["shards"][3]["samples"] == 500

    def test_a_missing_result_is_named(self, made):
        """
        A resource that is ready without a result is a fault of ours, and says which it is.
        """
        broken = Made(**{**vars(made), "synthetic": Resource(id="evl_9", state="ready")})

        with pytest.raises(DemoFailed, match="evl_9"):
            report_of(broken, {}, MemoryMeter(dict))


class TestReading:
    def test_the_command_names_every_shard(self, made, tmp_path):
        """
        The command is one that can be typed: a Python, and a pattern over all shards.
        """
        _, flag, code = read_command(tmp_path, made.generation)

        assert flag == "-c"
        assert f"{tmp_path}/dataset/data/shard-{{000000..000003}}.tar" in code
        assert 'sample["png"]' in code
        assert "'" not in code

    def test_the_command_knows_the_images_format(self, made, tmp_path):
        """
        Shards of JPEG images are read as such.
        """
        jpeg = made.generation.model_copy(update={"spec": {"image_format": "jpg"}})

        assert 'sample["jpg"]' in read_command(tmp_path, jpeg)[2]

    def test_another_number_of_samples_is_a_failure(self):
        """
        Fewer samples than were asked for end the demo, with what was read.
        """
        with pytest.raises(DemoFailed, match=r"2000 samples.*said: 1999"):
            check_readable([sys.executable, "-c", "print(1999)"], 2000)

    def test_a_command_that_fails_is_a_failure(self):
        """
        What the reader says when it fails is told.
        """
        with pytest.raises(DemoFailed, match="no such shard"):
            check_readable([sys.executable, "-c", "raise SystemExit('no such shard')"], 2000)

    def test_the_right_number_is_fine(self):
        """
        A reader that finds every sample ends the check.
        """
        check_readable([sys.executable, "-c", "print(2000)"], 2000)


class TestScale:
    def test_faces_are_never_seen_twice(self):
        """
        Training, validation and test images come from worlds of their own.
        """
        assert len(set(SEEDS.values())) == 3

    def test_full_is_what_the_report_is_checked_for(self):
        """
        Sixteen labelled images, two thousand generated ones, at most 150 steps of inversion on a
        distance that needs no download.
        """
        assert (FULL.images, FULL.validation, FULL.test, FULL.samples) == (16, 50, 500, 2000)
        assert FULL.inversion["distance"] == "perceptual"
        assert FULL.inversion["steps"] <= 150

    def test_may_be_changed_from_the_command_line(self):
        """
        Counts are the command line's, unless the quick preset is wanted.
        """
        assert (scale_of(8, 100, quick=False).images, scale_of(8, 100, quick=False).samples) == (
            8,
            100,
        )
        assert scale_of(8, 100, quick=True) == QUICK


class TestNetworks:
    @pytest.mark.parametrize(
        ("name", "largest"),
        [("generator.safetensors", 6_000_000), ("encoder.safetensors", 4_000_000)],
    )
    def test_ship_with_the_project(self, name, largest):
        """
        The demo's networks lie where they are looked for, and are small.
        """
        assert 100_000 < shipped(name).stat().st_size <= largest
