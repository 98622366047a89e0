r"""The shard format: a deterministic USTAR archive of samples. Pure but for the file it writes.

A shard is a POSIX.1-1988 (USTAR) tar file that WebDataset, Hugging Face, DALI and `tar` read.
Schema version 1, byte by byte; numbers are of bytes:

    shard  = sample* end
    sample = member+            members of one sample are adjacent and share its key
    member = header content padding
    end    = 1024 zeros         and nothing after it

    header, 512, ASCII, unused bytes zero:
        0   name      100   `{key}.{extension}`, NUL-terminated
        100 mode        8   "0000644\0"
        108 uid         8   "0000000\0"
        116 gid         8   "0000000\0"
        124 size       12   of content: 11 octal digits and NUL, so less than 8 GiB
        136 mtime      12   "00000000000\0"
        148 checksum    8   6 octal digits, NUL, space: the sum of the header's bytes, these
                            eight taken as spaces
        156 type        1   "0", a regular file
        257 magic       8   "ustar\0" and version "00"
    content: as many bytes as size says
    padding: zeros up to the next multiple of 512

Keys are `[a-z0-9_-]+` (readers cut names at the first dot) and increase from sample to sample;
members are sorted by name; all samples of a shard have the same extensions. In a generated shard
key = `{index:09d}`, the sample's number in its generation. A sample has two members, and one for
each kind of label:

    {key}.json            `manifest.SampleInfo`: UTF-8, keys sorted, floats written as floats
    {key}.png             uint8 [H, W, 3] RGB; or .jpg or .webp, one of them in a whole generation
    {key}.mask.png        uint8 [H, W] class ids as an 8-bit grey PNG (one channel, no palette)
    {key}.keypoints.json  x, y, v of each point in COCO's order (see `kinds.keypoints`)
    {key}.depth.npy       float32 [H, W] as NumPy's format 1.0, NaN for none (see `kinds.depth`)

Nothing in a shard tells when, where or by whom it was made: equal samples are equal bytes.
"""

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

SCHEMA_VERSION = 1
"""Of the bytes above; any change of them is a new one."""

END = bytes(1024)
"""What every shard ends with."""

_BLOCK = 512
_MAX_SIZE = 8**11
_KEY = re.compile(r"[a-z0-9_-]+")
_EXTENSION = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")


@dataclass(frozen=True)
class ShardSample:
    """One sample of a shard: its key, and the content of its files by extension, e.g. `png`."""

    key: str
    members: Mapping[str, bytes]


@dataclass(frozen=True)
class ShardInfo:
    """A shard that was written.

    Attributes:
        samples: how many it holds.
        bytes: its size.
        sha256: of the whole file, in hex.
        offsets: (start, end) of each sample in bytes. What lies between, followed by `END`, is
            a shard of that one sample: readable by a range request.
    """

    samples: int
    bytes: int
    sha256: str
    offsets: tuple[tuple[int, int], ...]


def _opened(path: Path) -> BinaryIO:
    return path.open("wb")


def write_shard(
    path: Path, samples: Iterable[ShardSample], open_file: Callable[[Path], BinaryIO] = _opened
) -> ShardInfo:
    """Write a shard; `path` is complete or, if anything fails, not there.

    Args:
        path: where to; a file that is there is replaced.
        samples: in increasing order of keys; taken one by one.
        open_file: opens the file that is written from its beginning to its end, and then renamed
            to `path`; whoever gives one of his own can follow how it grows.

    Raises:
        ValueError: samples are out of order or differ in extensions, or a name cannot be kept.
    """
    partial = path.with_name(f"{path.name}.partial")
    digest, offsets, position = hashlib.sha256(), list[tuple[int, int]](), 0
    try:
        with open_file(partial) as target:
            for content in _in_order(samples):
                digest.update(content)
                target.write(content)
                offsets.append((position, position + len(content)))
                position += len(content)
            digest.update(END)
            target.write(END)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return ShardInfo(len(offsets), position + len(END), digest.hexdigest(), tuple(offsets))


def sample_bytes(sample: ShardSample) -> bytes:
    """A sample as it stands in a shard: its members, sorted by name."""
    if not _KEY.fullmatch(sample.key) or not sample.members:
        raise ValueError(f"a sample has a key of a-z, 0-9, _ and -, and files; got {sample.key!r}")
    names = {f"{sample.key}.{extension}": data for extension, data in sample.members.items()}
    for extension in sample.members:
        if not _EXTENSION.fullmatch(extension):
            raise ValueError(f"extensions are a-z, 0-9, _ and dots between; got {extension!r}")
    return b"".join(_member(name, data) for name, data in sorted(names.items()))


def read_shard(source: BinaryIO) -> Iterator[ShardSample]:
    """The samples of a shard, one by one, from a stream that need not be able to seek.

    Raises:
        tarfile.TarError: the shard is damaged.
    """
    key, members = "", dict[str, bytes]()
    with tarfile.open(fileobj=source, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is None:
                raise tarfile.ReadError(f"{member.name} is no file; this is not a shard of ours")
            stem, _, extension = member.name.partition(".")
            if members and stem != key:
                yield ShardSample(key, members)
                members = {}
            key, members[extension] = stem, content.read()
    if members:
        yield ShardSample(key, members)


def _in_order(samples: Iterable[ShardSample]) -> Iterator[bytes]:
    """The bytes of each sample, once it is known to follow the one before."""
    previous: ShardSample | None = None
    for sample in samples:
        if previous is not None and sample.key <= previous.key:
            raise ValueError(f"keys must increase; {sample.key!r} follows {previous.key!r}")
        if previous is not None and sample.members.keys() != previous.members.keys():
            found = f"{sorted(sample.members)} after {sorted(previous.members)}"
            raise ValueError(f"all samples need the same files; {sample.key!r} has {found}")
        yield sample_bytes(sample)
        previous = sample


def _member(name: str, content: bytes) -> bytes:
    if len(name) > 99:
        raise ValueError(f"names in a shard have at most 99 characters, got {name!r}")
    if len(content) >= _MAX_SIZE:
        raise ValueError(f"{name} has {len(content):,} bytes; a shard's files are under 8 GiB")
    return _header(name, len(content)) + content + bytes(-len(content) % _BLOCK)


def _header(name: str, size: int) -> bytes:
    """The 512 bytes before a member's content, as drawn at the head of this module."""
    before = name.encode("ascii").ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2
    before += b"%011o\0" % size + b"0" * 11 + b"\0"
    after = b"0".ljust(101, b"\0") + b"ustar\x0000"
    checksum = sum(before) + sum(b" " * 8) + sum(after)
    return (before + b"%06o\0 " % checksum + after).ljust(_BLOCK, b"\0")
