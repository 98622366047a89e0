"""Domains by name: what pictures of a benchmark are fitted to, and what its labels mean. No torch.

`DOMAINS`, the last lines of this file, is the table; users keep theirs in a JSON file
(`read_domains`). Canvases are what the benchmark's generator draws. The class merges are the
authors' own, read from their released settings; where those say nothing the choice is ours:

    faces-*         CelebAMask-HQ, whose pictures are aligned already. `faces-19` are its own
                    classes; in the others glasses are eyes, and what is worn or below the chin is
                    background, unless the name says otherwise
    face-34-to-8    DatasetGAN's faces of 34 classes, to compare with `faces-8`
    cars-*          Car-Parts v2, stretched to 4:3 between the black bars of LSUN-Car's pictures
    cityscapes-*    as released, the authors' map puts vehicles into void; here they are a class.
                    How they cut the 2:1 pictures is not known: they are stretched
    deepfashion-24  DeepFashion-MultiModal with its own classes. How the authors merged them into
                    8 and 10, and how they cut the pictures, is not known: they are cropped. Its
                    21 keypoints are defined by a drawing, without names, so they are not here
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Self

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from models.configs import Config
from models.data.fitting import Canvas, CentreCrop, Policy, Resize
from models.data.formats import celebamask, cityscapes, deepfashion
from models.labels import ClassName, DepthSpec, LabelSpec, SegmentationSpec

DomainName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Merge = Mapping[str, str]
"""Class -> the dataset's own names of what belongs to it, divided by commas; in order of ids."""


class Domain(Config):
    """What a dataset of one domain looks like.

    Attributes:
        canvas: the generator's picture, and the part of it that holds anything.
        fitting: how pictures are brought onto the canvas.
        labels: what its labels mean, at most one of a kind.
        native: the dataset's own class names in the order of its ids.
        merge: own class name -> class of the segmentation, as `Reading.merge` has it; a name left
            out stays as it is.
    """

    canvas: Canvas
    fitting: Policy
    labels: tuple[LabelSpec, ...] = Field(min_length=1)
    native: tuple[ClassName, ...] = ()
    merge: dict[ClassName, ClassName] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        _check_distinct("kinds of labels", tuple(label.kind for label in self.labels))
        _check_distinct("native names", self.native)
        for name in (*self.native, *self.merge):
            if (target := self.merge.get(name, name)) not in self.classes:
                known = ", ".join(self.classes) or "none, for there is no segmentation"
                raise ValueError(
                    f"{name!r} becomes {target!r}, which is no class; there are {known}"
                )
        return self

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the segmentation's classes by id; none where it has no segmentation."""
        specs = (label for label in self.labels if isinstance(label, SegmentationSpec))
        return next((spec.classes for spec in specs), ())


def domain_of(name: str, own: Mapping[str, Domain] = MappingProxyType({})) -> Domain:
    """The domain called `name`, of the user's `own` or else of `DOMAINS`.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    known = {**DOMAINS, **own}
    if name not in known:
        raise ValueError(f"there is no domain {name!r}; there are {', '.join(sorted(known))}")
    return known[name]


def read_domains(path: Path) -> dict[str, Domain]:
    """A user's own domains, from a JSON file {name: {"canvas": ..., "fitting": ..., ...}, ...}.

    Raises:
        ValueError: it is no such file, a field is unknown or wrong, or a name is in `DOMAINS`
            already; the message names the file and every domain and field with a fault.
    """
    try:
        found = _FILE.validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        raise ValueError(f"{path.name}: {_faults(error)}") from error
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error
    if taken := sorted(found.keys() & DOMAINS.keys()):
        raise ValueError(f"{path.name}: built in already, choose other names: {', '.join(taken)}")
    return found


_FILE: TypeAdapter[dict[DomainName, Domain]] = TypeAdapter(dict[DomainName, Domain])


def _faults(error: ValidationError) -> str:
    """All faults, each with the way to its field."""
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'the whole'}: {fault['msg']}"
        for fault in error.errors()
    )


def _check_distinct(what: str, names: tuple[str, ...]) -> None:
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{what} must differ; repeated: {', '.join(sorted(repeated))}")


def _masks(canvas: Canvas, fitting: Policy, native: Sequence[str], merge: Merge) -> Domain:
    """A domain of masks; `native` are the dataset's own names by id."""
    return Domain(
        canvas=canvas,
        fitting=fitting,
        labels=(SegmentationSpec(classes=tuple(merge)),),
        native=tuple(native),
        merge={own: name for name, owns in merge.items() for own in _names(owns)},
    )


def _unmerged(native: Sequence[str]) -> Merge:
    return {name: name for name in native}


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


# --- What the datasets call their classes, in the order of the ids in their masks; for the others
# their readers know.

_PARTS = celebamask.NATIVE.classes
_LABEL_IDS = cityscapes.NATIVE.classes
_GARMENTS = deepfashion.NATIVE.classes
_FACE_34 = _names(
    "background, head, cheek, chin, ear, helix, lobule, bottom lid, eyelashes, iris, pupil,"
    "sclera, tear duct, top lid, eyebrow, forehead, frown, hair, sideburns, jaw, moustache,"
    "inferior lip, oral commissure, superior lip, teeth, neck, nose, ala, bridge, tip, nostril,"
    "philtrum, temple, wrinkles"
)
_CAR_PARTS = _names(
    "_background_, back_bumper, back_glass, back_left_door, back_left_light, back_right_door,"
    "back_right_light, front_bumper, front_glass, front_left_door, front_left_light,"
    "front_right_door, front_right_light, hood, left_mirror, right_mirror, tailgate, trunk, wheel"
)

# --- Which of them make a class.

_FACES_8 = {
    "background": "background, hat, ear_r, neck_l, neck, cloth",
    "skin": "skin",
    "nose": "nose",
    "eye": "eye_g, l_eye, r_eye",
    "brow": "l_brow, r_brow",
    "ear": "l_ear, r_ear",
    "mouth": "mouth, u_lip, l_lip",
    "hair": "hair",
}
_WITH_HAT = {"background": "background, ear_r, neck_l, neck, cloth", "hat": "hat"}
_WITH_GLASSES = {"eye": "l_eye, r_eye", "glasses": "eye_g"}
_FACE_34_TO_8 = {
    "background": "background, neck",
    "skin": "head, cheek, chin, forehead, frown, jaw, moustache, philtrum, temple, wrinkles",
    "nose": "nose, ala, bridge, tip, nostril",
    "eye": "bottom lid, eyelashes, iris, pupil, sclera, tear duct, top lid",
    "brow": "eyebrow",
    "ear": "ear, helix, lobule",
    "mouth": "inferior lip, oral commissure, superior lip, teeth",
    "hair": "hair, sideburns",
}
_CARS_10 = {
    "background": "_background_",
    "bumper": "back_bumper, front_bumper",
    "back window": "back_glass",
    "door": "back_left_door, back_right_door, front_left_door, front_right_door",
    "light": "back_left_light, back_right_light, front_left_light, front_right_light",
    "windshield": "front_glass",
    "hood": "hood",
    "mirror": "left_mirror, right_mirror",
    "trunk": "tailgate, trunk",
    "wheel": "wheel",
}
# Only the new class has a new id: the front bumper keeps the bumper's.
_CARS_11 = {
    **{"front bumper" if name == "bumper" else name: owns for name, owns in _CARS_10.items()},
    "front bumper": "front_bumper",
    "back bumper": "back_bumper",
}
_CITYSCAPES_8 = {
    "void": "unlabeled, ego vehicle, rectification border, out of roi, static, dynamic, ground,"
    "sidewalk, parking, rail track",
    "road": "road",
    "construction": "building, wall, fence, guard rail, bridge, tunnel",
    "object": "pole, polegroup, traffic light, traffic sign",
    "nature": "vegetation, terrain",
    "sky": "sky",
    "human": "person, rider",
    "vehicle": f"car, truck, bus, caravan, trailer, train, motorcycle, bicycle,{cityscapes.PLATE}",
}
_CITYSCAPES_5 = {
    "background": ",".join(_CITYSCAPES_8[n] for n in ("void", "construction", "object", "nature")),
    **{name: _CITYSCAPES_8[name] for name in ("road", "sky", "human", "vehicle")},
}

# --- What the generators draw.

_FACE = Canvas(height=1024, width=1024)
_CAR = Canvas(height=512, width=512, rows=(64, 448))
_STREET = Canvas(height=512, width=512)
_HUMAN = Canvas(height=1024, width=512)

DOMAINS: Mapping[str, Domain] = MappingProxyType(
    {
        "faces-8": _masks(_FACE, Resize(), _PARTS, _FACES_8),
        "faces-9-hat": _masks(_FACE, Resize(), _PARTS, _FACES_8 | _WITH_HAT),
        "faces-9-glasses": _masks(_FACE, Resize(), _PARTS, _FACES_8 | _WITH_GLASSES),
        "faces-10": _masks(_FACE, Resize(), _PARTS, _FACES_8 | _WITH_HAT | _WITH_GLASSES),
        "faces-19": _masks(_FACE, Resize(), _PARTS, _unmerged(_PARTS)),
        "face-34-to-8": _masks(_FACE, Resize(), _FACE_34, _FACE_34_TO_8),
        "cars-10": _masks(_CAR, Resize(), _CAR_PARTS, _CARS_10),
        "cars-11": _masks(_CAR, Resize(), _CAR_PARTS, _CARS_11),
        "cityscapes-8": _masks(_STREET, Resize(), _LABEL_IDS, _CITYSCAPES_8),
        "cityscapes-5": _masks(_STREET, Resize(), _LABEL_IDS, _CITYSCAPES_5),
        "cityscapes-depth": Domain(canvas=_STREET, fitting=Resize(), labels=(DepthSpec(),)),
        "deepfashion-24": _masks(_HUMAN, CentreCrop(), _GARMENTS, _unmerged(_GARMENTS)),
    }
)
"""Every domain that is built in, by name. A new one is one line."""
