"""Every file of the hostile corpus ends harmlessly, cheaply and in plain words."""

import io
import json
import os
import pickle
import pickletools
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support import hostile_code, hostile_files, hostile_networks, hostile_sizes
from support.hostile import Case

from models.checkpoints.containers import read_contents
from models.errors import CheckpointError

CASES: list[Case] = [
    *hostile_code.running(),
    *hostile_code.changing(),
    *hostile_sizes.claiming(),
    *hostile_sizes.viewing(),
    *hostile_sizes.nesting(),
    *hostile_sizes.multiplying(),
    *hostile_files.zips(),
    *hostile_files.headers(),
    *hostile_files.others(),
    *hostile_networks.repeating(),
    *hostile_networks.describing(),
]
BY_NAME = {case.name: case for case in CASES}
SPARE_MEGABYTES, SECONDS = 200, 30
TESTS = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, dict[str, object]]:
    """
    Of every case, how reading it ended and what it cost, measured in a process of its own.
    """
    folder, desk = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("desk")
    for case in CASES:
        if isinstance(case.data, bytes):
            (folder / case.name).write_bytes(case.data)
        else:
            case.data(folder / case.name)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "support.hostile_run", str(folder)]
    run = subprocess.run(command, env=environment, cwd=desk, capture_output=True, check=True)
    found = {line["name"]: line for line in map(json.loads, run.stdout.splitlines())}
    left_behind = [path.name for path in desk.iterdir()]
    return {name: outcome | {"left behind": left_behind} for name, outcome in found.items()}


def test_names_are_unique():
    """
    Every case is counted once, and there are more than a hundred.
    """
    assert len(CASES) == len(BY_NAME) > 100


@pytest.mark.parametrize("name", BY_NAME)
class TestEveryFile:
    def test_ends_in_plain_words(self, name, outcomes):
        """
        A hostile file is refused with its name and what is wrong, or read with what was made
        inert in the list; then it may still be refused as a network.
        """
        case, outcome = BY_NAME[name], outcomes[name]
        if case.refused is None:
            assert (outcome["end"], set(outcome.get("inert", []))) == ("read", case.inert), outcome
            assert any(re.search(case.unfit or "", words) for words in outcome["unfit"]), outcome
            assert all(len(w) < 1000 and w.isprintable() for w in outcome["unfit"]), outcome
        else:
            assert outcome["end"] == "refused", outcome
            assert case.name in outcome["says"]
            assert str(outcome["says"]).isprintable()
            assert len(outcome["says"]) < 1000
            assert re.search(case.refused, outcome["says"]), outcome["says"]

    def test_runs_nothing(self, name, outcomes):
        """
        No process, system call or code is started, and no file appears.
        """
        outcome = outcomes[name]

        assert outcome.get("events") == []
        assert outcome["left behind"] == []

    def test_is_cheap(self, name, outcomes):
        """
        Reading takes less than twice the file's size and 200 MB, and less than 30 seconds.
        """
        data, outcome = BY_NAME[name].data, outcomes[name]
        size = len(data) / 2**20 if isinstance(data, bytes) else 0

        assert outcome["megabytes"] < 2 * size + SPARE_MEGABYTES
        assert outcome["seconds"] < SECONDS


class TestTheCorpusIsLive:
    @pytest.mark.parametrize("name", ["reduce", "getattr", "inst", "protocol-0", "loads"])
    def test_python_would_run_it(self, name, tmp_path, monkeypatch):
        """
        What is made inert here does run under Python's own unpickler.
        """
        monkeypatch.chdir(tmp_path)

        pickle.loads(BY_NAME[name].data)

        assert (tmp_path / "HACKED").exists()


def plain(value) -> bytes:
    return pickle.dumps(value, 4)


def saved(value, zipped: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


SMALL = {"x": torch.arange(6.0).view(2, 3), "name": "small", "more": [1, 2.5, None, (True,)]}


class TestCutFiles:
    def test_at_every_operation(self, tmp_path):
        """
        A pickle cut before any of its operations, those of the tensor inside included, is
        refused by name.
        """
        data = plain(SMALL)
        inner = data.index(b"\x80\2\x8a\x0a")
        ends = {position for _, _, position in pickletools.genops(data)}
        stream, at = io.BytesIO(data[inner:]), 0
        for _ in range(5):
            ends |= {inner + position for _, _, position in pickletools.genops(stream)}
        ends.discard(at)
        assert len(ends) > 80

        for end in sorted(ends):
            self.refuses(tmp_path / "cut.pkl", data[:end])

    @pytest.mark.parametrize("zipped", [True, False])
    def test_at_every_few_bytes(self, tmp_path, zipped):
        """
        So is either kind of torch file, wherever the download stopped.
        """
        data = saved(SMALL, zipped)

        for end in range(0, len(data), 7):
            self.refuses(tmp_path / "cut.pt", data[:end])

    def test_is_whole_when_it_is_whole(self, tmp_path):
        """
        The file that the cuts were made from can be read.
        """
        path = tmp_path / "whole.pkl"
        path.write_bytes(plain(SMALL))

        assert read_contents(path).root["more"] == SMALL["more"]

    def refuses(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=path.name):
            read_contents(path)
