import json
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from models.demo import export
from models.demo.renderer import CLASS_NAMES, render, sample_parameters
from models.labels import SegmentationSpec


def files(folder):
    """
    All files below a folder: relative path -> bytes.
    """
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """
    Four faces of seed 3 as a user finds them.
    """
    out = tmp_path_factory.mktemp("faces")
    export.export(out, count=4, seed=3)
    return out


class TestExport:
    def test_files(self, folder):
        """
        One image, mask and depth map per face, one file of keypoints, one of classes.
        """
        names = [f"face_00000{i}" for i in range(4)]

        assert list(files(folder)) == [
            "classes.json",
            *(f"depth/{name}.npy" for name in names),
            *(f"images/{name}.png" for name in names),
            "keypoints.json",
            *(f"masks/{name}.png" for name in names),
        ]

    def test_pictures_are_the_rendered_ones(self, folder):
        """
        The files hold the rendered image to half a grey level, and the exact labels.
        """
        face = render(sample_parameters(1, 3, first=2))

        with Image.open(folder / "images/face_000002.png") as image:
            assert image.mode == "RGB"
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 127.5 - 1
        with Image.open(folder / "masks/face_000002.png") as mask:
            assert mask.mode == "L"
            classes = np.array(mask)
        depth = np.load(folder / "depth/face_000002.npy")
        torch.testing.assert_close(pixels, face.images[0], atol=0.51 / 127.5, rtol=0)
        assert np.array_equal(classes, face.masks[0].numpy())
        assert depth.dtype == np.float32
        assert np.array_equal(depth, face.depth[0].numpy())

    def test_a_face_is_the_same_whatever_the_count(self, folder, tmp_path):
        """
        Face 2 of seed 3 has the same bytes when faces 2 and 3 are written alone.
        """
        export.export(tmp_path, count=2, seed=3, first=2)

        expected, actual = files(folder), files(tmp_path)
        for kind in ("images/face_000002.png", "masks/face_000003.png", "depth/face_000002.npy"):
            assert expected[kind] == actual[kind]
        assert "images/face_000001.png" not in actual

    def test_is_deterministic(self, folder, tmp_path):
        """
        Written again, every byte is the same.
        """
        export.export(tmp_path, count=4, seed=3)

        assert files(folder) == files(tmp_path)

    def test_another_seed_is_another_world(self, folder, tmp_path):
        """
        Seeds share no face.
        """
        export.export(tmp_path, count=1, seed=4)

        image = "images/face_000000.png"
        assert files(folder)[image] != files(tmp_path)[image]

    def test_keypoints_are_coco(self, folder):
        """
        Points are (x, y, visibility), refer to their picture, and lie in the box of the head.
        """
        coco = json.loads((folder / "keypoints.json").read_text())
        face = render(sample_parameters(1, 3, first=1)).keypoints[0]

        annotation, image = coco["annotations"][1], coco["images"][1]
        points = np.array(annotation["keypoints"]).reshape(-1, 3)
        expected = face[:, [1, 0, 2]].numpy()
        assert np.allclose(expected, points, atol=1e-3)
        assert image == {"id": 1, "file_name": "face_000001.png", "height": 64, "width": 64}
        assert annotation["image_id"] == 1
        assert annotation["num_keypoints"] == len(coco["categories"][0]["keypoints"]) == 8
        corner, size = np.array(annotation["bbox"]).reshape(2, 2)
        assert (points[:, :2] > corner).all()
        assert (points[:, :2] < corner + size).all()

    def test_classes_are_a_label_spec(self, folder):
        """
        `classes.json` can be handed to the service as it is.
        """
        spec = SegmentationSpec.model_validate_json((folder / "classes.json").read_text())

        assert spec.classes == CLASS_NAMES

    @pytest.mark.parametrize("count, first", [(0, 0), (3, -1)])
    def test_refuses_an_empty_range(self, tmp_path, count, first):
        """
        No faces, or faces before the first, are refused.
        """
        with pytest.raises(ValueError):
            export.export(tmp_path, count=count, seed=1, first=first)


class TestZip:
    def test_holds_the_same_pictures(self, folder, tmp_path):
        """
        The zip holds the folder's images and masks, byte for byte, and no more.
        """
        export.export_zip(tmp_path / "faces.zip", count=4, seed=3)

        expected = {k: v for k, v in files(folder).items() if k.endswith(".png")}
        with zipfile.ZipFile(tmp_path / "faces.zip") as archive:
            assert expected == {name: archive.read(name) for name in archive.namelist()}

    def test_is_deterministic(self, tmp_path):
        """
        Written twice through the command line, the bytes are equal: no time inside.
        """
        for name in ("a.zip", "b.zip"):
            export.main(["--zip", str(tmp_path / name), "--count", "2", "--seed", "9"])

        assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
        with zipfile.ZipFile(tmp_path / "a.zip") as archive:
            assert {member.date_time[0] for member in archive.infolist()} == {1980}


class TestCommand:
    def test_writes_a_folder(self, folder, tmp_path):
        """
        The command line writes what the function writes.
        """
        export.main(["--out", str(tmp_path), "--count", "4", "--seed", "3"])

        assert files(folder) == files(tmp_path)

    def test_needs_a_place(self, capsys):
        """
        Without --out or --zip it says so and stops.
        """
        with pytest.raises(SystemExit):
            export.main(["--count", "1"])

        assert "--out" in capsys.readouterr().err
