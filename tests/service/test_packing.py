import os
import zipfile
from contextlib import suppress

import pytest

from models.data.admission import ArchiveLimits
from models.data.folders import Folder
from models.data.opening import open_files
from service.client import Misused
from service.client._packing import packed


def written(folder, contents):
    """
    A folder of the given contents by name.
    """
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def read(folder, only=()):
    """
    What the service finds in a folder that was packed, by name.
    """
    with packed(folder, only) as file, open_files(file) as files:
        return {name: files.read(name) for name in files.names}


def refused(folder, only=()):
    """
    What a folder is refused with.
    """
    with pytest.raises(Misused) as caught, packed(folder, only):
        raise AssertionError("it was packed")
    return str(caught.value)


class TestPacked:
    def test_the_service_finds_what_a_folder_held(self, tmp_path):
        """
        Files of any depth and name come out whole, and nothing but files.
        """
        contents = {"images/a b.png": bytes(3_000_000), "masks/ü.png": b"2", "a/b/c/d.txt": b""}
        written(tmp_path, contents)
        (tmp_path / "empty").mkdir()

        assert read(tmp_path) == contents

    def test_agrees_with_how_folders_are_read(self, tmp_path):
        """
        Packing takes the files that reading the folder itself would take, links within it too.
        """
        written(tmp_path, {"a.png": b"1", "b/c.png": b"2", "b/Thumbs.db": b"", "__MACOSX/x": b""})
        (tmp_path / "link.png").symlink_to("b/c.png")
        folder = Folder(tmp_path)

        assert read(tmp_path) == {name: folder.read(name) for name in folder.names}
        assert folder.names == ("a.png", "b/c.png", "link.png")

    def test_hidden_files_stay_at_home(self, tmp_path):
        """
        Nobody means to send what programs hide in a folder, least of all keys.
        """
        written(tmp_path, {".env": b"secret", ".git/config": b"", "a/.cache/x": b"", "a/b": b"1"})

        assert read(tmp_path) == {"a/b": b"1"}

    def test_equal_files_make_equal_zips(self, tmp_path):
        """
        Neither times nor the order in which a folder lists its files change a byte.
        """
        names = [f"{number}.png" for number in range(20)]
        first = written(tmp_path / "1" / "set", dict.fromkeys(names, b"x"))
        second = written(tmp_path / "2" / "set", dict.fromkeys(reversed(names), b"x"))
        os.utime(second / names[0], (0, 0))

        with packed(first) as one, packed(second) as two:
            assert one.name == two.name == "set.zip"
            assert one.read_bytes() == two.read_bytes()

    def test_nothing_is_compressed_and_nothing_stays(self, tmp_path):
        """
        Pictures do not shrink; the zip is gone afterwards, after an error too.
        """
        written(tmp_path, {"a.txt": bytes(1000)})

        with suppress(ZeroDivisionError), packed(tmp_path) as file:
            with zipfile.ZipFile(file) as archive:
                (entry,) = archive.infolist()
            raise ZeroDivisionError

        assert entry.compress_size == entry.file_size == 1000
        assert not file.parent.exists()

    def test_tells_how_far_it_is(self, tmp_path):
        """
        After each file: the bytes so far, and all.
        """
        written(tmp_path, {"a": bytes(3), "b": bytes(5)})
        told = []

        with packed(tmp_path, on_bytes=lambda *bytes_: told.append(bytes_)):
            pass

        assert told == [(3, 8), (8, 8)]


class TestOnly:
    FACES = (
        *(f"CelebA-HQ-img/{face}.jpg" for face in (1, 9, 10, 11, 19, 100, 110)),
        *(f"CelebAMask-HQ-mask-anno/0/{face:05}_hair.png" for face in (1, 10, 11, 19, 110)),
        "CelebAMask-HQ-mask-anno/0/00010_l_eye.png",
    )

    @pytest.fixture
    def faces(self, tmp_path):
        """
        A folder of faces and their parts.
        """
        return written(tmp_path / "faces", dict.fromkeys(self.FACES, b"1"))

    def test_chooses_by_path(self, faces):
        """
        Pictures and parts of the faces 10 to 19, as the command's help has it.
        """
        only = ["CelebA-HQ-img/1?.jpg", "CelebAMask-HQ-mask-anno/0/0001?_*"]

        found = read(faces, only)

        assert sorted(found) == [
            *(f"CelebA-HQ-img/{face}.jpg" for face in (10, 11, 19)),
            "CelebAMask-HQ-mask-anno/0/00010_hair.png",
            "CelebAMask-HQ-mask-anno/0/00010_l_eye.png",
            "CelebAMask-HQ-mask-anno/0/00011_hair.png",
            "CelebAMask-HQ-mask-anno/0/00019_hair.png",
        ]

    @pytest.mark.parametrize(
        ("pattern", "count"),
        [("*", 13), ("*.jpg", 7), ("*/0/*", 6), ("*/[1-9].jpg", 2), ("CelebA-HQ-img/9.jpg", 1)],
    )
    def test_a_star_goes_through_folders(self, faces, pattern, count):
        """
        A pattern is of the whole path; a path itself is one.
        """
        assert len(read(faces, [pattern])) == count

    @pytest.mark.parametrize("pattern", ["1?.jpg", "celeba-hq-img/*", "CelebA-HQ-img"])
    def test_a_pattern_without_files_is_a_mistake(self, faces, pattern):
        """
        It is named beside what there is, for it was meant to match something.
        """
        message = refused(faces, ["*.png", pattern])

        assert f"is called {pattern}; it holds CelebA-HQ-img/1.jpg, " in message

    def test_what_is_not_chosen_is_not_judged(self, faces):
        """
        Links elsewhere are no matter among the files that stay.
        """
        (faces / "elsewhere").symlink_to("/etc/hostname")

        assert len(read(faces, ["*.jpg"])) == 7


class TestRefusals:
    def test_a_folder_of_nothing(self, tmp_path):
        """
        Without a file that would be sent there is no dataset.
        """
        written(tmp_path, {".hidden": b"", "a/.DS_Store": b""})

        assert refused(tmp_path) == f"{tmp_path} holds no files to send"

    @pytest.mark.parametrize(
        ("target", "problem"),
        [
            ("../secret.txt", "is a link out of the folder"),
            ("..", "is a link out of the folder"),
            ("a", "is a device, or a link to a folder"),
            ("nowhere", "is a link to nothing"),
            ("link", "is a link to nothing"),
        ],
    )
    def test_links_that_lead_elsewhere(self, tmp_path, target, problem):
        """
        Nothing outside of the folder is sent, and no folder twice.
        """
        written(tmp_path, {"data/a/c.txt": b"1", "secret.txt": b"2"})
        (tmp_path / "data" / "link").symlink_to(target)

        assert f"data/link {problem}" in refused(tmp_path / "data")

    def test_devices(self, tmp_path):
        """
        Reading a pipe might never end.
        """
        os.mkfifo(tmp_path / "pipe")

        assert "pipe is a device" in refused(tmp_path)

    def test_names_that_no_zip_can_hold(self, tmp_path):
        """
        The file is told by what can be shown of its name.
        """
        written(tmp_path, {os.fsdecode(b"a\xff.png"): b"1"})

        assert "'a\\udcff.png' has characters in its name" in refused(tmp_path)

    def test_more_files_than_the_service_takes(self, tmp_path):
        """
        They are counted before anything is packed; a choice of them may fit.
        """
        for number in range(ArchiveLimits().members + 1):
            (tmp_path / f"{number}.png").touch()

        assert "holds 20,001 files, and a dataset may have 20,000; choose some" in refused(tmp_path)
        assert len(read(tmp_path, ["1?.png"])) == 10

    def test_more_bytes_than_the_service_takes(self, tmp_path):
        """
        Sizes are added up before anything is packed; a choice of the files may fit.
        """
        written(tmp_path, {"a.jpg": b"", "b.png": b"1"})
        os.truncate(tmp_path / "a.jpg", ArchiveLimits().total_bytes)

        assert "holds 17,179,869,185 bytes, and a dataset may have 17," in refused(tmp_path)
        assert read(tmp_path, ["*.png"]) == {"b.png": b"1"}
