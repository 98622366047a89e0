import pytest
from fakes import FakeStore

from models.data.admission import ArchiveLimits
from models.errors import InvalidDataset, InvalidImage
from workers.bucket_files import BucketFiles
from workers.errors import StorageError, StorageUnavailable

PREFIX = "sets/faces/"


def bucket(**contents):
    """
    A bucket of the given contents by key; keys that no store of ours would take may be among them.
    """
    store = FakeStore()
    store.objects.update(contents)
    return store


def folder(store, prefix=PREFIX, **limits):
    """
    The files below a prefix.
    """
    return BucketFiles(store, prefix, "s3://b/faces/", ArchiveLimits(**limits))


def refused(store, prefix=PREFIX, **limits):
    """
    The (file, problem) pairs that a folder is refused with.
    """
    with pytest.raises(InvalidDataset) as caught:
        folder(store, prefix, **limits)
    return caught.value.problems


class TestListing:
    def test_names_are_paths_below_the_prefix(self):
        """
        Objects are files by their keys below the prefix, in order; what lies beside is none.
        """
        store = bucket(
            **{f"{PREFIX}masks/b.png": b"22", f"{PREFIX}images/a.png": b"1", "sets/faces.zip": b""}
        )

        files = folder(store)

        assert files.name == "s3://b/faces/"
        assert files.names == ("images/a.png", "masks/b.png")
        assert files.total_bytes == 3
        assert [files.read(name) for name in files.names] == [b"1", b"22"]

    def test_folders_and_junk_are_left_out(self):
        """
        The empty objects that consoles make for folders are no files, nor is what file managers
        leave; they count for nothing.
        """
        junk = ("", "images/", "__MACOSX/", "__MACOSX/._a.png", ".DS_Store", "images/Thumbs.db")
        store = bucket(**{f"{PREFIX}{key}": b"" for key in junk}, **{f"{PREFIX}a.png": b"1"})

        files = folder(store)

        assert (files.names, files.total_bytes) == (("a.png",), 1)

    def test_a_whole_bucket_is_a_folder(self):
        """
        Without a prefix keys are paths as they are; junk at the top is no fault.
        """
        store = bucket(**{"images/a.png": b"1", ".DS_Store": b"2"})

        assert folder(store, "").names == ("images/a.png",)

    @pytest.mark.parametrize(
        ("key", "problem"),
        [
            ("/a.png", "points outside"),
            ("a/../b.png", "points outside"),
            ("a\nb.png", "control characters"),
            ("a\\b.png", "has a key that cannot be read"),
            ("x" * 201, "has a key that cannot be read"),
            ("full/", "has a key that cannot be read"),
            ("more.zip", "is an archive within the archive"),
        ],
    )
    def test_keys_that_are_no_paths_are_refused(self, key, problem):
        """
        Each is listed, by its key below the prefix.
        """
        store = bucket(**{f"{PREFIX}{key}": b"1", f"{PREFIX}a.png": b"1"})

        ((file, found),) = refused(store)

        assert file == repr(key)[1:-1]
        assert problem in found

    def test_there_is_an_end_to_it(self):
        """
        A folder of too many objects is not listed further than that.
        """
        store = bucket(**{f"{PREFIX}{number}.png": b"" for number in range(4)})

        assert "holds more than 3 entries" in refused(store, members=3)[0][1]
        assert len(folder(store, members=4).names) == 4


class TestReading:
    def test_limits(self):
        """
        An object that is too large is named; all together have a limit too, whatever was listed.
        """
        store = bucket(**{f"{PREFIX}{name}": bytes(600) for name in ("a", "b")})
        files = folder(store, file_bytes=700, total_bytes=1500)
        store.objects[f"{PREFIX}b"] = bytes(701)

        with pytest.raises(InvalidImage, match="b: is larger than 700 bytes"):
            files.read("b")
        files.read("a")
        with pytest.raises(InvalidDataset, match="faces/: unpacks to more than 1,500 bytes"):
            files.read("a")

    def test_an_object_that_is_gone_is_named(self):
        """
        Objects may be deleted between the listing and the reading: a fault of that file alone.
        """
        store = bucket(**{f"{PREFIX}a": b"1", f"{PREFIX}b": b"2"})
        files = folder(store)
        store.delete(f"{PREFIX}a")

        with pytest.raises(InvalidImage, match="a: was deleted after it was listed"):
            files.read("a")
        assert files.read("b") == b"2"

    def test_an_object_that_is_refused_is_named(self):
        """
        One that the server does not give (archived, say, or denied) is a fault of that file.
        """
        store = bucket(**{f"{PREFIX}a": b"1"})
        files = folder(store)
        store.broken = StorageError("access denied")

        with pytest.raises(InvalidImage, match=r"a: cannot be read \(access denied\)"):
            files.read("a")

    def test_a_server_that_is_away_is_nobodys_fault(self):
        """
        It may come back, so the job is tried again.
        """
        store = bucket(**{f"{PREFIX}a": b"1"})
        files = folder(store)
        store.broken = StorageUnavailable("cannot be reached")

        with pytest.raises(StorageUnavailable):
            files.read("a")
