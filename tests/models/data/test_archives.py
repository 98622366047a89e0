import io
import stat
import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.admission import ArchiveLimits
from models.data.archives import Archive
from models.errors import InvalidDataset, InvalidImage


def zipped(tmp_path, members, method=zipfile.ZIP_DEFLATED):
    """
    A zip of the given (name or ZipInfo, content) pairs.
    """
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def refused(path, limits=None):
    """
    The (file, problem) pairs that a zip is refused with.
    """
    with pytest.raises(InvalidDataset) as caught:
        Archive(path, limits=limits)
    return caught.value.problems


def test_gives_the_files_it_holds(tmp_path):
    """
    Files are listed by path, in order, and read whole.
    """
    path = zipped(tmp_path, [("b.txt", b"two"), ("a/", b""), ("a/c.txt", b"one")])

    with Archive(path) as archive:
        assert archive.names == ("a/c.txt", "b.txt")
        assert [archive.read(name) for name in archive.names] == [b"one", b"two"]


def test_leaves_out_what_file_managers_add(tmp_path):
    """
    Junk of macOS and Windows is no file of the dataset.
    """
    junk = ["__MACOSX/a.png", "__MACOSX/x.zip", ".DS_Store", "a/._a.png", "a/Thumbs.db"]
    path = zipped(tmp_path, [(name, b"") for name in [*junk, "a/desktop.ini", "a/a.png"]])

    with Archive(path) as archive:
        assert archive.names == ("a/a.png",)


def test_understands_backslashes(tmp_path):
    """
    Old programs of Windows write backslashes between folders.
    """
    with Archive(zipped(tmp_path, [("images\\a.png", b"1")])) as archive:
        assert archive.names == ("images/a.png",)
        assert archive.read("images/a.png") == b"1"


@pytest.mark.parametrize(
    "name",
    ["../a.png", "a/../../b.png", "/etc/passwd", "C:/a.png", "C:\\a.png", "a//b.png", "./a.png"],
)
def test_paths_that_lead_elsewhere_are_refused(tmp_path, name):
    """
    Absolute paths, drives and dots are refused by name.
    """
    ((file, problem),) = refused(zipped(tmp_path, [(name, b"")]))

    assert name.replace("\\", "/") == file
    assert "points outside of the archive" in problem


def test_hidden_characters_in_names_are_refused(tmp_path):
    """
    A name that would look different from what it is, is refused and shown escaped.
    """
    ((file, problem),) = refused(zipped(tmp_path, [("a\u202egnp.exe", b"")]))

    assert (file, "control characters" in problem) == ("a\\u202egnp.exe", True)


def test_names_that_end_early_are_refused(tmp_path):
    """
    A name with a NUL in it reads as a shorter one to some programs.
    """
    path = zipped(tmp_path, [("a.png_b.exe", b"")])
    path.write_bytes(path.read_bytes().replace(b"a.png_", b"a.png\0"))

    ((file, problem),) = refused(path)

    assert (file, "control characters" in problem) == ("a.png", True)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK])
def test_links_and_devices_are_refused(tmp_path, kind):
    """
    Only files and folders are accepted.
    """
    entry = zipfile.ZipInfo("images/a.png")
    entry.external_attr = (kind | 0o777) << 16

    (problem,) = refused(zipped(tmp_path, [(entry, b"/etc/passwd")]))

    assert problem == ("images/a.png", "is a link or a device; put the file itself into the zip")


@pytest.mark.parametrize("name", ["images/more.zip", "masks.tar.gz", "A.RAR"])
def test_archives_within_are_refused(tmp_path, name):
    """
    An archive within the archive has to be unpacked first.
    """
    (problem,) = refused(zipped(tmp_path, [(name, b"")]))

    assert (name, "is an archive within the archive; unpack it first") == problem


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicates_are_refused(tmp_path):
    """
    Of two files under one path nobody knows which is meant.
    """
    (problem,) = refused(zipped(tmp_path, [("a.png", b"1"), ("a.png", b"2")]))

    assert problem == ("a.png", "is in the archive twice; keep one of the two")


def test_other_compressions_are_refused(tmp_path):
    """
    Only methods whose output can be had in small pieces are read.
    """
    (problem,) = refused(zipped(tmp_path, [("a.png", b"1")], zipfile.ZIP_LZMA))

    assert problem == ("a.png", "is compressed by method 14; use deflate or store")


def test_encryption_is_refused(tmp_path):
    """
    There is no way to tell us a password.
    """
    path = zipped(tmp_path, [("a.png", b"1")])
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)

    assert refused(path) == (("a.png", "is encrypted; pack it without a password"),)


def test_all_problems_are_told_at_once(tmp_path):
    """
    A user hears of every bad entry with one upload.
    """
    path = zipped(tmp_path, [("../a", b""), ("ok.png", b""), ("b.zip", b"")])

    assert [file for file, _ in refused(path)] == ["../a", "b.zip"]


@pytest.mark.parametrize("data", [b"", b"not a zip", b"PK\3\4" + bytes(100)])
def test_other_files_are_refused(tmp_path, data):
    """
    What is no zip is called by the name the archive was given.
    """
    path = tmp_path / "a.zip"
    path.write_bytes(data)

    ((file, problem),) = refused(path)

    assert file == "archive"
    assert problem.startswith("is not a readable zip (")


class TestLimits:
    def test_too_many_entries(self, tmp_path):
        """
        The number of entries is limited, junk and folders included.
        """
        path = zipped(tmp_path, [(f"__MACOSX/{n}", b"") for n in range(4)])

        ((_, problem),) = refused(path, ArchiveLimits(members=3))

        assert problem == "holds more than 3 entries; split the dataset"

    def test_a_huge_table_of_contents_is_not_read(self, tmp_path):
        """
        A table of contents is refused by its size, before it takes any memory.
        """
        path = zipped(tmp_path, [(f"{n:0200}", b"") for n in range(100)])

        ((_, problem),) = refused(path, ArchiveLimits(directory_bytes=20_000))

        assert "its table of contents takes 24,600 bytes, over 20,000" in problem

    def test_a_large_file(self, tmp_path):
        """
        A file is read up to its limit and no further; others can still be read.
        """
        path = zipped(tmp_path, [("a", bytes(1001)), ("b", bytes(1000))])

        with Archive(path, limits=ArchiveLimits(file_bytes=1000)) as archive:
            with pytest.raises(InvalidImage, match="a: is larger than 1,000 bytes"):
                archive.read("a")
            assert bytes(1000) == archive.read("b")

    def test_a_bomb(self, tmp_path):
        """
        A file that unpacks to a thousand times its size is stopped by the ratio.
        """
        path = zipped(tmp_path, [("a", bytes(3 * 2**20))])

        with (
            Archive(path) as archive,
            pytest.raises(InvalidImage, match="over 200 times its size"),
        ):
            archive.read("a")

    def test_small_files_may_compress_well(self, tmp_path):
        """
        Flat masks are no bombs.
        """
        path = zipped(tmp_path, [("a", bytes(2**20))])

        with Archive(path) as archive:
            assert len(archive.read("a")) == 2**20

    def test_all_files_together(self, tmp_path):
        """
        The sum of all that was read is limited, whoever it was read for.
        """
        path = zipped(tmp_path, [("a", bytes(600)), ("b", bytes(600))])

        with Archive(path, limits=ArchiveLimits(total_bytes=1000)) as archive:
            archive.read("a")
            with pytest.raises(InvalidDataset, match=r"more than 1,000 bytes"):
                archive.read("b")

    def test_a_size_that_lies_is_found_out(self, tmp_path):
        """
        A header that claims fewer bytes than there are makes the file damaged.
        """
        path = zipped(tmp_path, [("a", bytes(5000))])
        data = path.read_bytes()
        path.write_bytes(data.replace(struct.pack("<I", 5000), struct.pack("<I", 10)))

        with (
            Archive(path) as archive,
            pytest.raises(InvalidImage, match=r"a: is damaged in the zip \(Bad CRC"),
        ):
            archive.read("a")


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6))
def test_damage_anywhere_is_files_or_one_of_our_errors(tmp_path_factory, changes):
    """
    Whatever bytes of a zip are changed, it is read or refused, and never breaks the reader.
    """
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images/a.png", bytes(range(256)))
        archive.writestr("masks/a.png", bytes(64))
    data = bytearray(target.getvalue())
    for position, value in changes:
        data[position % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.zip"
    path.write_bytes(data)

    try:
        with Archive(path) as opened:
            contents = [opened.read(name) for name in opened.names]
    except (InvalidDataset, InvalidImage):
        return
    assert all(len(content) <= 256 for content in contents)
