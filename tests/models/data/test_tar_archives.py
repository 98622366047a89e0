import gzip
import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.admission import ArchiveLimits
from models.data.tar_archives import TarArchive
from models.errors import InvalidDataset, InvalidImage

LONG = "/".join(["folder" * 8] * 4) + "/ü.png"


def tarred(members, form=tarfile.GNU_FORMAT):
    """
    A tar of the given (name or TarInfo, content) pairs.
    """
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        for entry, content in members:
            if isinstance(entry, str):
                entry = tarfile.TarInfo(entry)
                entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content) if content else None)
    return target.getvalue()


def entry(name, kind, **more):
    """
    A header of a kind of entry.
    """
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in more.items():
        setattr(info, field, value)
    return info


def opened(tmp_path, data, limits=None):
    """
    An archive of these bytes.
    """
    path = tmp_path / "a.tar"
    path.write_bytes(data)
    return TarArchive(path, limits=limits)


def refused(tmp_path, data, limits=None):
    """
    The (file, problem) pairs that a tar is refused with.
    """
    with pytest.raises(InvalidDataset) as caught:
        opened(tmp_path, data, limits)
    return caught.value.problems


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_gives_the_files_it_holds(tmp_path, form, compress):
    """
    Files are listed by path, in order, and read whole and in any order, from whichever variant
    of tar, plain or gzipped. Long names and those that are not ASCII come as they are.
    """
    members = [("b.txt", b"two"), (LONG, bytes(1025)), ("a/c.txt", b""), (entry("a", b"5"), b"")]

    with opened(tmp_path, compress(tarred(members, form))) as archive:
        assert archive.names == ("a/c.txt", "b.txt", LONG)
        assert archive.read(LONG) == bytes(1025)
        assert archive.read("b.txt") == b"two"
        assert archive.read("a/c.txt") == b""


def test_leaves_nothing_behind(tmp_path):
    """
    What a tar.gz is unpacked to has no name.
    """
    with opened(tmp_path, gzip.compress(tarred([("a", b"1")]))):
        assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_the_folder_that_was_packed_is_no_file(tmp_path):
    """
    `tar -c .` puts `./` before each name, and packs `./` itself.
    """
    data = tarred([(entry("./", b"5"), b""), ("./images/a.png", b"1"), ("./.DS_Store", b"")])

    with opened(tmp_path, data) as archive:
        assert archive.names == ("images/a.png",)


def test_tars_from_before_there_were_folders(tmp_path):
    """
    Old tars tell files by NUL, and folders by the slash at their end.
    """
    data = bytearray(tarred([(entry("old/", b"\0"), b""), (entry("old/a", b"\0", size=1), b"1")]))

    with opened(tmp_path, bytes(data)) as archive:
        assert archive.names == ("old/a",)


def test_sizes_in_binary(tmp_path):
    """
    GNU writes sizes that octal digits do not suffice for in binary.
    """
    data = bytearray(tarred([("a", b"abc")]))
    data[124:136] = b"\x80" + (3).to_bytes(11, "big")
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])

    with opened(tmp_path, bytes(data)) as archive:
        assert archive.read("a") == b"abc"


@pytest.mark.parametrize("name", ["../a.png", "a/../../b.png", "/etc/passwd", "C:/a.png", "a//b"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT])
def test_paths_that_lead_elsewhere_are_refused(tmp_path, name, form):
    """
    Absolute paths, drives and dots are refused by name.
    """
    ((file, problem),) = refused(tmp_path, tarred([(name, b"")], form))

    assert (file, "points outside of the archive" in problem) == (name, True)


@pytest.mark.parametrize(
    ("info", "found"),
    [
        (entry("a", tarfile.SYMTYPE, linkname="/etc/passwd"), "is a link or a device"),
        (entry("a", tarfile.LNKTYPE, linkname="b", size=99), "is a link or a device"),
        (entry("a", tarfile.CHRTYPE), "is a link or a device"),
        (entry("a", tarfile.FIFOTYPE), "is a link or a device"),
        (entry("a.tar.gz", tarfile.REGTYPE), "is an archive within the archive"),
        (entry("a\u202eb", tarfile.REGTYPE), "has control characters"),
    ],
)
def test_what_is_no_plain_file_is_refused(tmp_path, info, found):
    """
    Links, devices, archives and deceiving names are refused, and files behind them still seen.
    """
    problems = refused(tmp_path, tarred([(info, b""), ("../b", b"")]))

    assert [found in problems[0][1], problems[1][0]] == [True, "../b"]


def test_sparse_files_are_refused(tmp_path):
    """
    Nothing needs files with holes, and their sizes are only said.
    """
    by_gnu = tarred([(entry("a", tarfile.GNUTYPE_SPARSE), b"")])
    by_pax = tarred([(entry("a", b"0", pax_headers={"GNU.sparse.major": "1"}), b"")], 2)

    for data in (by_gnu, by_pax):
        ((file, problem),) = refused(tmp_path, data)
        assert (file, "pack it without --sparse" in problem) == ("archive", True)


def test_duplicates_are_refused(tmp_path):
    """
    Of two files under one path nobody knows which is meant.
    """
    assert refused(tmp_path, tarred([("a", b"1"), ("a", b"2")])) == (
        ("a", "is in the archive twice; keep one of the two"),
    )


class TestDamage:
    @pytest.mark.parametrize("length", [0, 100, 511, 512, 1000, 1024, 1536, 2048])
    def test_a_tar_that_breaks_off(self, tmp_path, length):
        """
        A tar without its end is not taken for a smaller dataset.
        """
        ((_, problem),) = refused(tmp_path, tarred([("a", b"1"), ("b", b"2")])[:length])

        assert problem.startswith("is not a readable tar: it breaks off")

    def test_a_damaged_header_in_the_middle(self, tmp_path):
        """
        Nor is one whose second file has lost its header.
        """
        data = bytearray(tarred([("a", b"1"), ("b", b"2")]))
        data[1024] ^= 1

        ((_, problem),) = refused(tmp_path, bytes(data))

        assert problem == "is not a readable tar: it has a damaged header at byte 1,024"

    def test_sizes_that_lie(self, tmp_path):
        """
        A file said to be larger than the tar is no file.
        """
        data = tarred([(entry("a", b"0", size=2**40), b""), ("b", b"")])

        assert "breaks off within the entry at byte 0" in refused(tmp_path, data)[0][1]

    @pytest.mark.parametrize(
        "extension",
        [b"99 path=a\n", b"0 path=a\n", b"x", b"9" * 4000, b"11 path=a\n", b"9 path a\n"],
    )
    def test_extensions_that_lie(self, tmp_path, extension):
        """
        Records of a pax header must have the lengths that they say.
        """
        data = tarred([(entry("x", b"x", size=len(extension)), extension), ("b", b"")])

        assert "has a damaged extension at byte 0" in refused(tmp_path, data)[0][1]

    def test_sizes_in_extensions_that_are_none(self, tmp_path):
        """
        A negative size once made readers run in circles.
        """
        data = tarred([(entry("x", b"x", size=11), b"11 size=-1\n"), ("b", b"")])

        assert "has no size in the extension before byte 1,024" in refused(tmp_path, data)[0][1]

    def test_extensions_that_are_too_large(self, tmp_path):
        """
        Names need no megabytes.
        """
        data = tarred([(entry("x", b"L", size=2**20 + 1), bytes(2**20 + 1)), ("b", b"")])

        assert "has an extension that is too large at byte 0" in refused(tmp_path, data)[0][1]

    def test_a_gzip_file_that_breaks_off(self, tmp_path):
        """
        A tar.gz is read to its end before anything is believed.
        """
        data = gzip.compress(tarred([("a", b"1")]))

        for damaged in (data[:-3], data[:30], data[:-8] + bytes(8)):
            ((_, problem),) = refused(tmp_path, damaged)
            assert problem.startswith("is a damaged gzip file (")

    def test_gzipped_text_is_no_tar(self, tmp_path):
        """
        What a gzip file holds must be a tar.
        """
        ((_, problem),) = refused(tmp_path, gzip.compress(b"text" * 200))

        assert problem == "is not a readable tar: it has a damaged header at byte 0"


class TestLimits:
    def test_too_many_entries(self, tmp_path):
        """
        The number of entries is limited, junk and folders included.
        """
        data = tarred([(f"__MACOSX/{n}", b"") for n in range(4)])

        assert refused(tmp_path, data, ArchiveLimits(members=3)) == (
            ("archive", "holds more than 3 entries; split the dataset"),
        )

    def test_a_large_file(self, tmp_path):
        """
        A file is read up to its limit and no further; others can still be read.
        """
        data = tarred([("a", bytes(1001)), ("b", bytes(1000))])

        with opened(tmp_path, data, ArchiveLimits(file_bytes=1000)) as archive:
            with pytest.raises(InvalidImage, match="a: is larger than 1,000 bytes"):
                archive.read("a")
            assert bytes(1000) == archive.read("b")

    def test_all_files_together(self, tmp_path):
        """
        The sum of all that was read is limited.
        """
        data = tarred([("a", bytes(600)), ("b", bytes(600))])

        with opened(tmp_path, data, ArchiveLimits(total_bytes=1000)) as archive:
            archive.read("a")
            with pytest.raises(InvalidDataset, match=r"more than 1,000 bytes"):
                archive.read("b")

    def test_a_bomb(self, tmp_path):
        """
        A gzip file that unpacks to a thousand times its size is stopped on the way.
        """
        ((_, problem),) = refused(tmp_path, gzip.compress(bytes(3 * 2**20)))

        assert problem == "unpacks to over 200 times its size; send the plain tar"

    def test_a_gzip_file_that_is_too_large(self, tmp_path):
        """
        No more is unpacked than all files together may have.
        """
        data = gzip.compress(tarred([("a", bytes(20_000))]))

        ((_, problem),) = refused(tmp_path, data, ArchiveLimits(total_bytes=10_000))

        assert problem == "unpacks to more than 10,000 bytes; split the dataset"


def test_a_file_that_is_cut_while_it_is_open(tmp_path):
    """
    What was there when the tar was opened may be gone when it is read.
    """
    with opened(tmp_path, tarred([("a", bytes(9000))])) as archive:
        with (tmp_path / "a.tar").open("r+b") as file:
            file.truncate(2000)
        with pytest.raises(InvalidImage, match="a: is cut off in the tar"):
            archive.read("a")


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6))
def test_damage_anywhere_is_files_or_one_of_our_errors(tmp_path_factory, changes):
    """
    Whatever bytes of a tar are changed, it is read or refused, and never breaks the reader.
    """
    data = bytearray(tarred([("ü", bytes(range(256))), (LONG, bytes(64))], tarfile.PAX_FORMAT))
    for position, value in changes:
        data[position % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.tar"
    path.write_bytes(data)

    try:
        with TarArchive(path) as archive:
            contents = [archive.read(name) for name in archive.names]
    except (InvalidDataset, InvalidImage):
        return
    assert all(len(content) <= len(data) for content in contents)
