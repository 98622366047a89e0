import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest

from models.data.admission import ArchiveLimits
from models.data.opening import open_files
from models.errors import InvalidDataset


def zipped(prefix=b""):
    """
    A zip with one file, perhaps behind a program that unpacks it.
    """
    target = io.BytesIO()
    target.write(prefix)
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("images/a.png", b"one")
    return target.getvalue()


def tarred(content=b"one"):
    """
    A tar with one file.
    """
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        info = tarfile.TarInfo("images/a.png")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


@pytest.mark.parametrize(
    "data", [zipped(), zipped(b"#!/bin/sh\n"), tarred(), gzip.compress(tarred())]
)
def test_opens_whatever_holds_files(tmp_path, data):
    """
    The content tells what it is, and not the name.
    """
    path = tmp_path / "upload"
    path.write_bytes(data)

    with open_files(path, "my upload") as files:
        assert (files.name, files.names) == ("my upload", ("images/a.png",))
        assert files.read("images/a.png") == b"one"


def test_opens_folders(tmp_path):
    """
    A folder is read as an archive is.
    """
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"one")

    with open_files(tmp_path) as files:
        assert files.read("images/a.png") == b"one"


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path):
    """
    A zip within is found and refused, and not taken for the whole.
    """
    path = tmp_path / "upload"
    path.write_bytes(tarred().rstrip(b"\0") + bytes(2000) + zipped())

    with open_files(path) as files:
        assert files.read("images/a.png") == b"one"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty; pack the dataset as zip, tar or tar.gz"),
        (b"text", "is no archive: it begins with b'text'"),
        (bz2.compress(tarred()), "is packed by bzip2"),
        (lzma.compress(tarred()), "is packed by xz"),
        (b"7z\xbc\xaf\x27\x1c", "is packed by 7z"),
        (zipped()[:40], "is not a readable zip"),
        (tarred()[:700], "is not a readable tar"),
        (gzip.compress(tarred())[:50], "is a damaged gzip file"),
    ],
)
def test_other_files_are_refused(tmp_path, data, problem):
    """
    What is no archive, or a damaged one, is told with what was found.
    """
    path = tmp_path / "upload.zip"
    path.write_bytes(data)

    with pytest.raises(InvalidDataset) as caught:
        open_files(path, "my upload")

    ((file, found),) = caught.value.problems
    assert (file, problem in found) == ("my upload", True)


@pytest.mark.parametrize("data", [zipped(), tarred()])
def test_limits_hold_for_all(tmp_path, data):
    """
    The limits are handed on.
    """
    path = tmp_path / "upload"
    path.write_bytes(data)

    with pytest.raises(InvalidDataset, match="more than 0 entries"):
        open_files(path, limits=ArchiveLimits(members=0))
