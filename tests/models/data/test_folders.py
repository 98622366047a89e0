import os

import pytest

from models.data.admission import ArchiveLimits
from models.data.folders import Folder
from models.errors import InvalidDataset, InvalidImage


def written(path, contents):
    """
    A folder of the given contents by name.
    """
    for name, content in contents.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def refused(path, limits=None):
    """
    The (file, problem) pairs that a folder is refused with.
    """
    with pytest.raises(InvalidDataset) as caught:
        Folder(path, limits=limits)
    return caught.value.problems


def test_gives_the_files_it_holds(tmp_path):
    """
    Files are listed by path, in order, without junk, and read whole.
    """
    written(tmp_path, {"b.txt": b"two", "a/b/c.txt": b"one", "a/.DS_Store": b"", "a/b/._c": b""})

    with Folder(tmp_path) as folder:
        assert folder.names == ("a/b/c.txt", "b.txt")
        assert [folder.read(name) for name in folder.names] == [b"one", b"two"]


def test_follows_links_to_its_own_files(tmp_path):
    """
    A link that stays within is the file that it leads to.
    """
    written(tmp_path, {"a/c.txt": b"one"})
    (tmp_path / "d.txt").symlink_to("a/c.txt")

    with Folder(tmp_path) as folder:
        assert folder.read("d.txt") == b"one"


def test_may_itself_be_reached_by_a_link(tmp_path):
    """
    What counts is the folder that a path leads to.
    """
    written(tmp_path / "real", {"a.txt": b"one"})
    (tmp_path / "link").symlink_to("real")

    assert Folder(tmp_path / "link").read("a.txt") == b"one"


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("../secret.txt", "is a link out of the folder"),
        ("/etc/hostname", "is a link out of the folder"),
        ("..", "is a link out of the folder"),
        ("a", "is a device, or a link to a folder"),
        ("nowhere", "is a link to nothing"),
        ("link", "is a link to nothing"),
    ],
)
def test_links_that_lead_elsewhere_are_refused(tmp_path, target, problem):
    """
    Nothing outside of the folder is read, and no folder twice.
    """
    root = written(tmp_path, {"data/a/c.txt": b"1", "secret.txt": b"2"}) / "data"
    (root / "link").symlink_to(target)

    ((file, found),) = refused(root)

    assert (file, problem in found) == ("link", True)


def test_devices_are_refused(tmp_path):
    """
    Reading a pipe might never end.
    """
    os.mkfifo(tmp_path / "pipe")

    assert refused(tmp_path)[0][0] == "pipe"


def test_links_are_looked_at_again_when_they_are_read(tmp_path):
    """
    A file that becomes a link after it was listed is not followed out of the folder.
    """
    root = written(tmp_path, {"data/a.txt": b"1", "secret.txt": b"2"}) / "data"
    folder = Folder(root)
    (root / "a.txt").unlink()

    with pytest.raises(InvalidImage, match=r"a\.txt: is a link to nothing"):
        folder.read("a.txt")
    (root / "a.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(InvalidImage, match=r"a\.txt: is a link out of the folder"):
        folder.read("a.txt")


def test_limits(tmp_path):
    """
    Number and sizes of files are limited, as in archives.
    """
    written(tmp_path, {"a": bytes(600), "b": bytes(600), "c": bytes(1200)})

    assert "holds more than 2 entries" in refused(tmp_path, ArchiveLimits(members=2))[0][1]
    folder = Folder(tmp_path, limits=ArchiveLimits(file_bytes=1000, total_bytes=1500))
    with pytest.raises(InvalidImage, match="c: is larger than 1,000 bytes"):
        folder.read("c")
    with pytest.raises(InvalidDataset, match="folder: unpacks to more than 1,500 bytes"):
        folder.read("a")
