import hashlib
import io
import json
import struct
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import webdataset as wds
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from models.data.images import encode_png
from models.data.manifest import SampleInfo
from models.data.shards import (
    END,
    SCHEMA_VERSION,
    ShardSample,
    read_shard,
    sample_bytes,
    write_shard,
)

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "shards.json").read_text())


def sample(index, members=None):
    """
    A sample with small contents that differ by index.
    """
    default = {"png": b"p" * index, "mask.png": b"m" * 512, "json": b"{}"}
    return ShardSample(f"{index:09d}", default if members is None else members)


def rendered(index):
    """
    A sample as a generation writes it, of noise: (sample, image, mask).
    """
    stream = np.random.default_rng(index)
    image = stream.integers(0, 256, (8, 6, 3), dtype=np.uint8)
    mask = stream.integers(0, 3, (8, 6), dtype=np.uint8)
    info = SampleInfo(
        index=index,
        seed=2**63 - 1,
        shard=0,
        candidate=index + 1,
        score=0.0,
        psi=1,
        height=8,
        width=6,
        class_pixel_share={"background": 1.0, "skin": 0},
    )
    members = {"png": encode_png(image), "mask.png": encode_png(mask), "json": info.to_json()}
    return ShardSample(f"{index:09d}", members), image, mask


def by_the_docstring(data):
    """
    A reader written from the format's description alone: [(name, content)].
    """
    members, at = [], 0
    while data[at]:
        header = data[at : at + 512]
        name, mode, uid, gid, size, mtime, checksum, kind = struct.unpack(
            "100s8s8s8s12s12s8sc", header[:157]
        )
        assert (mode, uid, gid) == (b"0000644\0", b"0000000\0", b"0000000\0")
        assert (mtime, kind, header[257:265]) == (b"0" * 11 + b"\0", b"0", b"ustar\x0000")
        blanked = header[:148] + b" " * 8 + header[156:]
        assert b"%06o\0 " % sum(blanked) == checksum
        length = int(size[:11], 8)
        members.append((name.rstrip(b"\0").decode(), data[at + 512 : at + 512 + length]))
        at += 512 + -(-length // 512) * 512
    assert data[at:] == bytes(1024)
    return members


class TestBytes:
    def test_are_those_of_the_schema_version(self, tmp_path):
        """
        A shard's bytes never change: changed bytes need a new schema version, with a line of its
        own in tests/golden/shards.json.
        """
        info = write_shard(tmp_path / "a.tar", [sample(0), sample(1), sample(700)])

        assert str(SCHEMA_VERSION) in GOLDEN
        assert GOLDEN[str(SCHEMA_VERSION)] == {"bytes": info.bytes, "sha256": info.sha256}

    def test_are_what_the_docstring_says(self, tmp_path):
        """
        The description at the head of the module is enough to read a shard.
        """
        path = tmp_path / "a.tar"
        write_shard(path, [sample(1), sample(513)])

        assert by_the_docstring(path.read_bytes()) == [
            ("000000001.json", b"{}"),
            ("000000001.mask.png", b"m" * 512),
            ("000000001.png", b"p"),
            ("000000513.json", b"{}"),
            ("000000513.mask.png", b"m" * 512),
            ("000000513.png", b"p" * 513),
        ]

    def test_do_not_depend_on_the_order_of_members(self, tmp_path):
        """
        Members are sorted, in whatever order they were handed over.
        """
        turned = ShardSample("k", dict(reversed(sample(3).members.items())))

        assert sample_bytes(ShardSample("k", sample(3).members)) == sample_bytes(turned)

    def test_are_those_of_tarfile(self, tmp_path):
        """
        Python's own USTAR writer, given the same names and sizes, agrees to the byte on all but
        the padding after the end.
        """
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for extension, content in sorted(sample(9).members.items()):
                member = tarfile.TarInfo(f"000000009.{extension}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))

        ours = sample_bytes(sample(9))
        assert ours == target.getvalue()[: len(ours)]


class TestWriteShard:
    def test_says_what_it_wrote(self, tmp_path):
        """
        Number, size and digest are those of the file.
        """
        path = tmp_path / "a.tar"

        info = write_shard(path, map(sample, range(3)))

        data = path.read_bytes()
        assert (3, len(data)) == (info.samples, info.bytes)
        assert hashlib.sha256(data).hexdigest() == info.sha256

    def test_offsets_cut_out_single_samples(self, tmp_path):
        """
        The bytes between two offsets, and an end, are a shard of that sample.
        """
        path = tmp_path / "a.tar"
        info = write_shard(path, map(sample, range(3)))

        for index, (start, end) in enumerate(info.offsets):
            cut = path.read_bytes()[start:end] + END
            assert [sample(index)] == list(read_shard(io.BytesIO(cut)))

    def test_takes_samples_one_by_one(self, tmp_path):
        """
        A sample is written before the next one is asked for, so that only one is in memory.
        """
        seen = []

        def slowly():
            for index in range(3):
                seen.append((tmp_path / "a.tar").exists())
                yield sample(index)

        write_shard(tmp_path / "a.tar", slowly())

        assert seen == [False] * 3

    def test_leaves_nothing_when_it_fails(self, tmp_path):
        """
        A shard is whole or not there: what was there before stays.
        """

        def breaking():
            yield sample(0)
            raise RuntimeError("the network fell over")

        path = tmp_path / "a.tar"
        path.write_bytes(b"old")
        with pytest.raises(RuntimeError):
            write_shard(path, breaking())

        assert [path] == list(tmp_path.iterdir())
        assert path.read_bytes() == b"old"

    @pytest.mark.parametrize("later", [0, 1])
    def test_refuses_keys_that_do_not_increase(self, tmp_path, later):
        """
        A key that comes twice, or too late, would give readers partial samples.
        """
        with pytest.raises(ValueError, match=f"'{later:09d}' follows '000000001'"):
            write_shard(tmp_path / "a.tar", [sample(1), sample(later)])

    def test_refuses_samples_with_other_files(self, tmp_path):
        """
        Readers take the first samples as the pattern for all.
        """
        with pytest.raises(ValueError, match=r"'000000001' has \['png'\] after \['json', 'mask"):
            write_shard(tmp_path / "a.tar", [sample(0), sample(1, {"png": b""})])

    @pytest.mark.parametrize("key", ["", "a.b", "a/b", "A", "é", "__meta__/a"])
    def test_refuses_keys_that_readers_misread(self, tmp_path, key):
        """
        Dots cut keys, folders and odd letters break them.
        """
        with pytest.raises(ValueError, match="a sample has a key of"):
            write_shard(tmp_path / "a.tar", [ShardSample(key, {"png": b""})])

    @pytest.mark.parametrize("extension", ["", ".png", "PNG", "a/b", "png."])
    def test_refuses_odd_extensions(self, extension):
        """
        An extension is lower-case words with dots between.
        """
        with pytest.raises(ValueError, match="extensions are"):
            sample_bytes(ShardSample("a", {extension: b""}))

    def test_refuses_names_that_do_not_fit(self):
        """
        A header has room for 99 characters.
        """
        assert sample_bytes(ShardSample("k" * 95, {"png": b""}))
        with pytest.raises(ValueError, match="at most 99 characters"):
            sample_bytes(ShardSample("k" * 96, {"png": b""}))


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(0, 2**20), unique=True, max_size=5).map(sorted),
    st.dictionaries(
        st.from_regex(r"[a-z0-9_]{1,8}(\.[a-z]{1,4})?", fullmatch=True),
        st.binary(max_size=1100),
        min_size=1,
        max_size=4,
    ),
)
def test_what_is_written_is_read(tmp_path_factory, indices, members):
    """
    Samples of any content come back as they were, also from a stream that cannot seek.
    """
    samples = [sample(index, members) for index in indices]
    path = tmp_path_factory.getbasetemp() / "round.tar"
    write_shard(path, samples)

    with path.open("rb") as source:
        assert samples == list(read_shard(source))


def test_a_foreign_archive_is_no_shard():
    """
    A tar file with a folder in it is refused by the folder's name.
    """
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        folder = tarfile.TarInfo("images")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    target.seek(0)

    with pytest.raises(tarfile.ReadError, match="images is no file"):
        list(read_shard(target))


# WebDataset leaves the files that it opens to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
class TestReaders:
    """
    What others make of our shards.
    """

    @pytest.fixture
    def shard(self, tmp_path):
        path = tmp_path / "shard-000000.tar"
        write_shard(path, (rendered(index)[0] for index in range(3)))
        return path

    def test_tar_lists_it(self, shard):
        """
        `tar tf` tells the story, without a warning.
        """
        listed = subprocess.run(
            ["tar", "tf", str(shard)], capture_output=True, text=True, check=True
        )

        assert listed.stderr == ""
        assert (listed.stdout.split()[:3]) == [
            "000000000.json",
            "000000000.mask.png",
            "000000000.png",
        ]
        assert len(listed.stdout.split()) == 9

    def test_webdataset_sees_whole_samples(self, shard):
        """
        WebDataset finds three fields in each sample, and one sample per key.
        """
        samples = list(wds.WebDataset(str(shard), shardshuffle=False))

        assert [s["__key__"] for s in samples] == ["000000000", "000000001", "000000002"]
        for read in samples:
            assert {"json", "mask.png", "png"} == {k for k in read if not k.startswith("__")}

    def test_webdataset_decodes_images_exactly(self, shard):
        """
        `decode("pil")` gives the pixels that were written.
        """
        for index, read in enumerate(wds.WebDataset(str(shard), shardshuffle=False).decode("pil")):
            _, image, _ = rendered(index)
            np.testing.assert_array_equal(image, np.asarray(read["png"]))

    def test_webdataset_decodes_masks_exactly(self, shard):
        """
        A decoder of PIL's own, put first, gives class ids; and so does "pill", in grey.
        """

        def ids(data):
            return np.asarray(Image.open(io.BytesIO(data)))

        dataset = wds.WebDataset(str(shard), shardshuffle=False)
        by_hand = dataset.decode(wds.handle_extension("mask.png", ids), "pil")
        for index, read in enumerate(by_hand):
            np.testing.assert_array_equal(rendered(index)[2], read["mask.png"])
        for index, read in enumerate(wds.WebDataset(str(shard), shardshuffle=False).decode("pill")):
            np.testing.assert_array_equal(rendered(index)[2], np.asarray(read["mask.png"]))

    def test_webdataset_in_colour_keeps_ids_in_each_channel(self, shard):
        """
        The trap of plain `decode("pil")`: the mask comes as RGB, though no id is lost.
        """
        read = next(iter(wds.WebDataset(str(shard), shardshuffle=False).decode("pil")))

        np.testing.assert_array_equal(
            np.stack([rendered(0)[2]] * 3, axis=-1), np.asarray(read["mask.png"])
        )

    def test_webdataset_reads_floats_as_floats(self, shard):
        """
        Whole numbers among the floats stay floats, large integers stay exact.
        """
        read = next(iter(wds.WebDataset(str(shard), shardshuffle=False).decode()))["json"]

        floats = [read["score"], read["psi"], *read["class_pixel_share"].values()]
        assert floats == [0.0, 1.0, 1.0, 0.0]
        assert {float} == {type(value) for value in floats}
        assert (2**63 - 1, int) == (read["seed"], type(read["seed"]))
