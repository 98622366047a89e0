import contextlib
import hashlib

import pytest
import torch
from support.networks import small_generator, small_label_generator

from models.checkpoints.neutral import save_generator
from models.label_generator import save_label_generator
from workers.errors import Retryable
from workers.runtime import KEPT, Runtime


class Files:
    """
    A store of one file, which counts how often it is asked for.
    """

    def __init__(self, path):
        self.data, self.asked = path.read_bytes(), 0
        self.sha256 = hashlib.sha256(self.data).hexdigest()

    def fetch(self, target):
        self.asked += 1
        target.write_bytes(self.data)


@pytest.fixture
def generators(tmp_path):
    """
    Files of some different generators.
    """
    files = []
    for seed in range(KEPT + 1):
        path = tmp_path / f"{seed}.safetensors"
        save_generator(small_generator(seed=seed), path)
        files.append(Files(path))
    return files


def test_a_warm_network_is_not_fetched_again(generators, tmp_path):
    """
    Asked for twice by one digest, a generator is the same object and was fetched once.
    """
    runtime, (file, *_) = Runtime("cpu"), generators

    one, same = (runtime.generator(file.sha256, file.fetch, tmp_path) for _ in range(2))

    assert one is same
    assert file.asked == 1


def test_the_least_used_goes_first(generators, tmp_path):
    """
    Only so many are kept; what was asked for the longest ago makes room.
    """
    runtime = Runtime("cpu")
    for file in (*generators[:KEPT], generators[0], generators[KEPT], generators[0]):
        runtime.generator(file.sha256, file.fetch, tmp_path)
    runtime.generator(generators[1].sha256, generators[1].fetch, tmp_path)

    assert generators[0].asked == 1
    assert generators[1].asked == 2


def test_a_file_that_is_not_what_was_asked_for_is_not_used(generators, tmp_path):
    """
    Bytes of another digest are fetched again by a later attempt, not computed with.
    """
    file = generators[0]

    with pytest.raises(Retryable, match=file.sha256):
        Runtime("cpu").generator("0" * 64, file.fetch, tmp_path)


def test_label_generators_are_kept_too(tmp_path):
    """
    An ensemble comes back as it was saved, and stays warm.
    """
    made, path = small_label_generator(small_generator()), tmp_path / "e.safetensors"
    save_label_generator(made, path)
    file, runtime = Files(path), Runtime("cpu")

    loaded = runtime.label_generator(file.sha256, file.fetch, tmp_path)
    runtime.label_generator(file.sha256, file.fetch, tmp_path)

    assert torch.equal(loaded.layers.w1, made.layers.w1)
    assert file.asked == 1


def test_threads_are_lent_and_given_back():
    """
    A plan's number of threads holds while its shard is made, and no longer, whatever happens.
    """
    before = torch.get_num_threads()
    runtime = Runtime("cpu", threads=1)
    try:
        with contextlib.suppress(KeyError), runtime.computing_with(2):
            assert torch.get_num_threads() == 2
            raise KeyError
        assert torch.get_num_threads() == 1 == runtime.threads
    finally:
        torch.set_num_threads(before)


def test_distances_are_kept_by_seed():
    """
    A seed's distance is built once; another seed has its own.
    """
    runtime = Runtime("cpu")

    assert runtime.distance("perceptual", 1) is runtime.distance("perceptual", 1)
    assert runtime.distance("perceptual", 1) is not runtime.distance("perceptual", 2)


def test_auto_takes_a_gpu_where_there_is_one():
    """
    Without a device of its own a worker takes the GPU, else the CPU.
    """
    expected = "cuda" if torch.cuda.is_available() else "cpu"

    assert Runtime("auto").device.type == expected
