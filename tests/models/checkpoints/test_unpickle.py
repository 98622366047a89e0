import io
import os
import pickle
import struct

import numpy as np
import pytest
import torch

from models.checkpoints import load_generator
from models.checkpoints.containers import read_contents
from models.checkpoints.pickles.budget import Budget
from models.checkpoints.pickles.tensors import tensor_in
from models.checkpoints.pickles.window import Window
from models.checkpoints.unpickle import Blob, Inert, Report, Storage, read_pickle
from models.errors import CheckpointError, UnsafeCheckpoint


class Exploit:
    """Runs a command when an ordinary unpickler reads it."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def legacy_stream(value):
    """What torch wrote before 1.6."""
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def global_call(module, name, *arguments):
    """A pickle that calls module.name(*arguments)."""
    inner = pickle.dumps(arguments, protocol=2)[2:-1]
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + inner + b"R."


class TestNothingRuns:
    def test_a_command_does_nothing(self, tmp_path):
        """
        A pickle of `os.system` becomes an object that does nothing, and is reported.
        """
        path = tmp_path / "evil.pkl"
        path.write_bytes(pickle.dumps({"G_ema": Exploit(tmp_path / "marker")}))

        contents = read_contents(path)

        assert isinstance(contents.root["G_ema"], Inert)
        assert {"posix.system"} == contents.inert
        assert not (tmp_path / "marker").exists()

    def test_a_refused_file_names_what_was_not_run(self, tmp_path):
        """
        The error for a file of no family lists the names that were left alone.
        """
        path = tmp_path / "evil.pkl"
        path.write_bytes(pickle.dumps({"x": Exploit(tmp_path / "marker")}))

        with pytest.raises(CheckpointError, match=r"no known family .*posix\.system"):
            load_generator(path)

    def test_a_pickle_inside_a_tensor_does_nothing(self, tmp_path):
        """
        A tensor's bytes are a pickle too; a command hidden there does not run.
        """
        hidden = legacy_stream(Exploit(tmp_path / "marker"))
        path = tmp_path / "evil.pkl"
        path.write_bytes(global_call("torch.storage", "_load_from_bytes", hidden))

        with pytest.raises(UnsafeCheckpoint, match="a tensor's bytes hold a"):
            read_contents(path)

        assert not (tmp_path / "marker").exists()

    @pytest.mark.parametrize("zipped", [True, False])
    def test_a_command_in_a_torch_file_does_nothing(self, tmp_path, zipped):
        """
        Both of torch's formats are read by the same harmless reader.
        """
        path = tmp_path / "evil.pt"
        value = {"x": Exploit(tmp_path / "marker"), "t": torch.ones(2)}
        torch.save(value, path, _use_new_zipfile_serialization=zipped)

        contents = read_contents(path)

        assert torch.equal(torch.ones(2), contents.root["t"])
        assert not (tmp_path / "marker").exists()

    def test_embedded_source_is_not_kept(self):
        """
        The source text in NVIDIA's files is dropped unread.
        """
        meta = {"class_name": "G", "state": {"a": 1}, "module_src": "raise SystemExit"}
        stream = global_call("torch_utils.persistence", "_reconstruct_persistent_obj", meta)

        found = read_pickle(Window.of(stream), Report())

        assert vars(found) == {"class_name": "G", "state": {"a": 1}}

    def test_stand_ins_cannot_be_changed(self):
        """
        BUILD on a class, which would change it for the whole process, is refused.
        """
        stream = b"\x80\x02cdnnlib.util\nEasyDict\nN}\x8c\x04keysK\x01s\x86b."

        with pytest.raises(UnsafeCheckpoint, match=r"change dnnlib\.util\.EasyDict"):
            read_pickle(Window.of(stream), Report())


class TestTensors:
    @pytest.mark.parametrize("zipped", [True, False])
    @pytest.mark.parametrize(
        "value",
        [
            torch.arange(12.0).view(3, 4).T,
            torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
            torch.randn(3).half(),
            torch.tensor(7),
            torch.empty(0),
            torch.tensor([True, False]),
            torch.randn(5).bfloat16(),
        ],
        ids=lambda value: f"{value.dtype}{list(value.shape)}",
    )
    def test_come_back_as_they_were(self, tmp_path, value, zipped):
        """
        Any dtype and any strides survive, from both of torch's formats.
        """
        path = tmp_path / "t.pt"
        torch.save({"a": value, "again": value}, path, _use_new_zipfile_serialization=zipped)

        found = read_contents(path).root

        assert torch.equal(value, found["a"])
        assert torch.equal(value, found["again"])
        assert value.dtype == found["a"].dtype

    @pytest.mark.parametrize("protocol", [2, 3, 4, 5])
    def test_numpy_scalars(self, protocol):
        """
        Gains stored as numpy numbers are read as Python numbers.
        """
        stream = pickle.dumps([np.float64(0.25), np.int32(-3)], protocol=protocol)

        assert read_pickle(Window.of(stream), Report()) == [0.25, -3]

    @pytest.mark.parametrize("protocol", range(6))
    @pytest.mark.parametrize(
        "value",
        [
            np.arange(6.0).reshape(2, 3),
            np.asfortranarray(np.arange(6).reshape(2, 3)),
            np.arange(4, dtype=">f4"),
            np.array(3.5),
            np.zeros((0, 3), np.float16),
            np.array([True, False]),
            np.arange(40_000, dtype=np.uint16),
        ],
        ids=lambda value: f"{value.dtype}{list(value.shape)}",
    )
    def test_numpy_arrays(self, value, protocol):
        """
        Arrays survive every protocol and keep being one object where they were one.
        """
        stream = pickle.dumps([value, {"again": value}], protocol=protocol)

        first, second = read_pickle(Window.of(stream), Report())

        np.testing.assert_array_equal(value, first)
        assert first is second["again"]
        assert first.flags.writeable

    @pytest.mark.parametrize("protocol", range(6))
    def test_plain_values(self, protocol):
        """
        So do containers, texts and numbers.
        """
        values = [{"a": (1, 2.5, None), "b": [True, -1]}, "äöü€", 2**40, b"\x00\xff", {1, "x"}]
        stream = pickle.dumps(values, protocol=protocol)
        report = Report()

        assert values == read_pickle(Window.of(stream), report)
        assert not report.inert

    def test_dictionaries_of_all_classes_are_plain(self):
        """
        A state dict comes back as a dictionary, without the attributes it was given.
        """
        state = torch.nn.Linear(1, 1).state_dict()

        found = read_pickle(Window.of(pickle.dumps(state)), Report())

        assert dict is type(found)
        assert {"weight", "bias"} == found.keys()

    def test_large_texts_stay_in_the_file(self):
        """
        A text that no checkpoint needs costs nothing.
        """
        stream = pickle.dumps(["x" * 100_000, "y" * 100])

        assert [Blob, str] == [type(value) for value in read_pickle(Window.of(stream), Report())]

    @pytest.mark.parametrize("name", ["a.npy", "a.npz", "packed.npz"])
    def test_numpy_files(self, tmp_path, name):
        """
        Arrays in numpy's own files are read, packed ones too, and objects among them.
        """
        numbers, objects = np.arange(6.0).reshape(3, 2).T, np.array({"k": [np.ones(2)]}, object)
        path = tmp_path / name
        if name == "a.npy":
            np.save(path, numbers)
            found = {"n": read_contents(path).root}
            np.save(path, objects, allow_pickle=True)
            found["o"] = read_contents(path).root
        else:
            save = np.savez if name == "a.npz" else np.savez_compressed
            save(path, n=numbers, o=objects)
            found = read_contents(path).root

        np.testing.assert_array_equal(numbers, found["n"])
        np.testing.assert_array_equal(np.ones(2), found["o"].item()["k"][0])

    @pytest.mark.parametrize(
        ("offset", "size", "stride"),
        [(0, (5,), (1,)), (1, (4,), (1,)), (0, (2, 2), (3, 1)), (-1, (1,), (1,)), (0, (9,), (0,))],
    )
    def test_views_outside_their_storage_are_refused(self, offset, size, stride):
        """
        A tensor that claims more numbers than its storage has is not built.
        """
        storage = Storage(torch.zeros(4))

        with pytest.raises(UnsafeCheckpoint, match="tensor"):
            tensor_in(storage, offset, size, stride, Budget(100))


class TestDamage:
    @pytest.mark.parametrize("keep", [5, 60, 400, -3])
    @pytest.mark.parametrize("zipped", [True, False])
    def test_cut_files_are_refused(self, tmp_path, keep, zipped):
        """
        However a download was cut, the answer is a checkpoint error.
        """
        path = tmp_path / "t.pt"
        torch.save({"a": torch.randn(50)}, path, _use_new_zipfile_serialization=zipped)
        path.write_bytes(path.read_bytes()[:keep])

        with pytest.raises(CheckpointError):
            read_contents(path)

    def test_claims_beyond_the_file_are_refused(self, tmp_path):
        """
        A small file cannot make the reader allocate more than its own size.
        """
        whole = legacy_stream({"a": torch.zeros(100_000)})
        path = tmp_path / "t.pt"
        path.write_bytes(whole[:2000])

        with pytest.raises(UnsafeCheckpoint, match="storages claim 400000 bytes"):
            read_contents(path)

    @pytest.mark.parametrize(
        ("head", "message"),
        [
            (b"", "it is empty"),
            (b"<!DOCTYPE html>", "web page"),
            (b"\x93NUMPY\x01\x00", r"\(npy\): .* fetch it again"),
            (b"GIF89a", "a GIF file, a picture"),
            (b"something", "starts with b'somethin'"),
        ],
    )
    def test_other_files_are_told_apart(self, tmp_path, head, message):
        """
        A file that is no checkpoint is described by what it looks like.
        """
        path = tmp_path / "x.pkl"
        path.write_bytes(head)

        with pytest.raises(CheckpointError, match=message):
            load_generator(path)

    def test_a_missing_file_is_named(self, tmp_path):
        """
        A path that is not there is a checkpoint error with the path.
        """
        with pytest.raises(CheckpointError, match=r"none\.pkl cannot be read: No such file"):
            load_generator(tmp_path / "none.pkl")

    def test_a_legacy_stream_with_a_wrong_count_is_refused(self, tmp_path):
        """
        The count before each storage's numbers must be the one announced.
        """
        whole = bytearray(legacy_stream({"a": torch.zeros(4)}))
        at = whole.rindex(struct.pack("<q", 4))
        whole[at : at + 8] = struct.pack("<q", 5)
        path = tmp_path / "t.pt"
        path.write_bytes(whole)

        with pytest.raises(UnsafeCheckpoint, match="4 numbers says it has 5"):
            read_contents(path)
