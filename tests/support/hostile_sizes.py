"""Files that claim, repeat or nest until memory, time or the stack runs out."""

import struct
from itertools import product

from support.hostile import (
    Case,
    array,
    bad,
    call,
    name,
    octets,
    part,
    reference,
    storage,
    stream,
    tame,
    tensor,
    torch_zip,
    whole,
)

MANY = 2_000_000
HUGE = 2**62
MERSENNE = 2**61 - 1  # Python hashes integers modulo this


def _count(number: int) -> bytes:
    return struct.pack("<Q", number)


def claiming() -> list[Case]:
    """Files that announce more than they have."""
    return [
        bad(
            "binbytes8",
            "announces 4 exabytes",
            whole(b"\x8e" + _count(HUGE)),
            "announced and 1 left",
        ),
        bad(
            "bytearray8",
            "announces them as a byte array",
            whole(b"\x96" + _count(HUGE), 5),
            "announced",
        ),
        bad(
            "binunicode8",
            "announces as much text",
            whole(b"\x8d" + _count(HUGE)),
            "announced and 1",
        ),
        bad("binbytes", "announces 4 GB", whole(b"B" + b"\xff" * 4), "announced and 1 left"),
        bad(
            "long4",
            "announces an integer of 2 GB",
            whole(b"\x8b\xff\xff\xff\x7f"),
            "integer of 2147483647",
        ),
        bad(
            "long4-negative",
            "announces one of -1 bytes",
            whole(b"\x8b" + b"\xff" * 4),
            "integer of 42949",
        ),
        bad(
            "frame",
            "announces a frame of 4 exabytes",
            whole(b"\x95" + _count(HUGE) + b"N"),
            "a frame of",
        ),
        bad("protocol", "is of protocol 200", whole(b"\x80\xc8N"), "protocol 200 is not known"),
        bad("line", "has a name without an end", whole(b"c" + b"a" * 100_000), "a line is longer"),
        bad(
            "digits",
            "has a number of a million digits",
            b"I" + b"9" * 1_000_000 + b"\n.",
            "line is longer|starts",
        ),
        bad(
            "legacy-storage",
            "announces a storage of 2**62 numbers",
            stream(whole(reference("0", HUGE), 2)),
            "storages claim",
        ),
        bad(
            "zip-storage",
            "announces one in a zip",
            torch_zip(reference("s0", HUGE), s0=bytes(8)),
            "not 46116860184",
        ),
        bad(
            "missing-storage",
            "names one that is not there",
            torch_zip(reference("s1", 1)),
            "has no member",
        ),
        bad(
            "two-sizes",
            "describes a storage in two ways",
            torch_zip(b"(" + reference("s0", 2) + reference("s0", HUGE) + b"t", s0=bytes(8)),
            "described in two ways",
        ),
        bad(
            "many-storages",
            "claims its own size a thousand times",
            stream(whole(b"(" + b"".join(reference(str(i), 5000) for i in range(1000)) + b"t", 2)),
            "storages claim",
        ),
        bad(
            "many-tensors",
            "shows one storage 2,000 times",
            _shown_often(),
            "repeat the same numbers",
        ),
        tame(
            "memo-index",
            "uses the highest place of the memo",
            whole(b"Nr\xff\xff\xff\xff0j\xff\xff\xff\xff"),
        ),
        bad("memo-missing", "takes what was never put into the memo", whole(b"h\7"), "KeyError: 7"),
        bad("marks", "ends a mark that was not set", whole(b"t"), "a mark is missing"),
        bad("stack", "takes from an empty stack", whole(b"0"), "missing on the stack"),
        bad("nothing", "ends at once", whole(b""), "missing on the stack"),
        bad("operation", "uses an operation that does not exist", whole(b"\xff"), "no operation"),
    ]


def viewing() -> list[Case]:
    """Tensors and arrays that are not inside their memory."""
    four = storage(1.0, 2.0, 3.0, 4.0)

    def view(
        title: str, tries: str, offset: object, size: object, stride: object, says: str
    ) -> Case:
        return bad(f"view-{title}", tries, whole(tensor(four, offset, size, stride)), says)

    return [
        view("size", "is larger than the storage", 0, (5,), (1,), "reaches past its 4"),
        view("offset", "begins behind it", HUGE, (1,), (1,), "reaches past"),
        view("offset-negative", "begins before it", -1, (1,), (1,), "impossible"),
        view("stride", "steps over its end", 0, (2, 2), (3, 1), "reaches past"),
        view("stride-negative", "steps backwards", 3, (4,), (-1,), "impossible"),
        view("expanded", "repeats one number 2**40 times", 0, (2**40,), (0,), "reaches past"),
        view(
            "product",
            "has sizes whose product overflows",
            0,
            (2**32, 2**32, 2**32),
            (0, 0, 0),
            "reaches",
        ),
        view("long", "has 100,000 axes", 0, (1,) * 100_000, (1,) * 100_000, "impossible"),
        view("wide", "has a size beyond 64 bits", 0, (2**900,), (0,), "impossible"),
        view("float", "has a size of infinity", 0, (float("inf"),), (1,), "impossible"),
        view("text", "has a size of text", 0, "44", (1, 1), "impossible"),
        view("ranks", "has more sizes than strides", 0, (1, 1), (1,), "impossible"),
        view("empty", "is empty and 2**62 wide", 0, (0, HUGE, HUGE), (1, 1, 1), "."),
        bad(
            "array-shape",
            "claims an array of 8 TB",
            whole(array("f8", (2**40,), octets(bytes(8)))),
            "comes with 8 bytes",
        ),
        bad(
            "array-negative",
            "has a negative shape",
            whole(array("f8", (-1,), octets(b""))),
            "impossible array",
        ),
        bad(
            "array-objects",
            "holds pointers of its own",
            whole(array("O8", (1,), octets(bytes(8)))),
            "objects comes with",
        ),
        bad(
            "array-records",
            "holds records",
            whole(array("V1000000000", (1,), octets(b""))),
            "not a number",
        ),
        bad(
            "array-subarray",
            "has a dtype of 8 TB",
            whole(array("(1000000,1000000)f8", (1,), octets(b""))),
            "not a number",
        ),
        bad(
            "array-commas",
            "has a dtype of a million fields",
            whole(array("f8," * 100_000, (1,), octets(b""))),
            "not a number",
        ),
        bad(
            "array-unicode",
            "holds text",
            whole(array("U4", (1,), octets(bytes(16)))),
            "not a number",
        ),
        bad(
            "scalar-object",
            "is a scalar that points",
            whole(_scalar("O8", bytes(8))),
            "objects comes with",
        ),
        bad(
            "scalar-size",
            "is a scalar of 16 bytes",
            whole(_scalar("f8", bytes(16))),
            "comes with 16 bytes",
        ),
        bad(
            "dtype-state",
            "fills a dtype with a number",
            whole(call(name("numpy", "dtype"), "f8") + b"K\1b"),
            "state of numpy",
        ),
    ]


def _scalar(dtype: str, data: bytes) -> bytes:
    kind = call(name("numpy", "dtype"), dtype, False, True)
    return call(name("numpy.core.multiarray", "scalar"), bytearray(kind), bytearray(octets(data)))


def _shown_often() -> bytes:
    """100 kB, shown 2,000 times as 100 kB more."""
    rows = b"".join(tensor(b"h\1", 0, (25_000,), (1,)) for _ in range(2000))
    made = reference("s0", 25_000) + b"q\1" + b"0" + b"(" + rows + b"t"
    return torch_zip(made, s0=bytes(100_000))


def nesting() -> list[Case]:
    """Objects in objects."""
    deep = 40_000
    twice = b"]q\0" + b"".join(
        b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(60)
    )
    persistent = name("torch_utils.persistence", "_reconstruct_persistent_obj")
    child = persistent + b"}(" + part("class_name") + part("G") + part("state") + b"}" + part("m")
    return [
        bad("deep-tuples", "nests tuples", whole(b")" + b"\x85" * deep), "nested more than 200"),
        bad(
            "deep-lists",
            "nests lists",
            whole(b"]" * deep + b"a" * (deep - 1)),
            "nested more than 200",
        ),
        bad(
            "deep-dicts",
            "nests dictionaries",
            whole(b"}K\0" * deep + b"N" + b"s" * deep),
            "nested more than",
        ),
        bad(
            "deep-calls",
            "nests calls",
            whole(name("a", "b") * deep + b")" + b"R\x85" * (deep - 1) + b"R"),
            "nested|MB",
        ),
        bad(
            "deep-networks",
            "nests networks",
            whole(child * 300 + b"N" + b"su\x85R" * 300),
            "nested more than 200",
        ),
        bad(
            "deep-key",
            "has a key of nested tuples",
            whole(b"}" + b")" + b"\x85" * deep + b"Ns"),
            "tuple as a key",
        ),
        bad("laughs", "unfolds to 2**60 lists", whole(twice), "unfold to more than"),
        bad("self-list", "is a list that contains itself", whole(b"]q\0h\0a"), "contains itself"),
        bad("self-dict", "is a dictionary in itself", whole(b"}q\0K\1h\0s"), "contains itself"),
        bad(
            "self-call",
            "is a stand-in in itself",
            whole(call(name("a", "b")) + b"q\0h\0b"),
            "contains itself",
        ),
        bad(
            "self-network",
            "is a network in itself",
            whole(
                b"}q\xc8"
                + part("m")
                + call(
                    persistent,
                    bytearray(b"}(" + part("class_name") + part("G") + part("state") + b"h\xc8u"),
                )
                + b"s"
            ),
            "contains itself",
        ),
    ]


def multiplying() -> list[Case]:
    """Cheap bytes that make dear objects, or slow ones."""
    text = part("x" * 60_000)
    encode = name("_codecs", "encode")
    big_set = b"(" + b"K\1" * 1_000_000 + b"lq\0"
    longs = b"".join(
        b"\x8a\x10" + (i * MERSENNE).to_bytes(16, "little") + b"N" for i in range(1, 50_000)
    )
    pairs = b"".join(part(key) + b"N" for key in product((-1, -2), repeat=13))
    return [
        bad(
            "sets",
            "makes two million sets",
            whole(b"(" + b"\x8f" * MANY + b"t"),
            "need more than 3. MB",
        ),
        bad(
            "dicts",
            "makes as many dictionaries",
            whole(b"(" + b"}" * MANY + b"t"),
            "need more than",
        ),
        bad(
            "memos",
            "puts a million things into the memo",
            whole(b"N" + b"\x94" * MANY),
            "need more than",
        ),
        bad("marks-open", "sets two million marks", whole(b"(" * MANY), "need more than"),
        bad(
            "duplicates",
            "repeats one object on the stack",
            whole(b"]" + b"2" * MANY),
            "need more than",
        ),
        bad("idle", "pushes and drops for ever", whole(b"N0" * MANY), "need more than"),
        bad("lines", "writes numbers as text", b"(" + b"I1\n" * MANY + b"t.", "need more than"),
        bad(
            "encodings",
            "encodes a text 5,000 times",
            whole(text + b"q\0(" + (encode + b"h\0\x85R") * 5000 + b"t"),
            "need more",
        ),
        bad(
            "copies",
            "makes a set of a long list 1,000 times",
            whole(big_set + (name("builtins", "set") + b"h\0\x85R0") * 1000),
            "need more",
        ),
        bad(
            "characters", "makes text four times its bytes", whole(_wide_texts()), "need more than"
        ),
        bad(
            "names",
            "names a million classes",
            whole(b"(" + b"".join(b"ca\n%d\n" % i for i in range(400_000)) + b"t"),
            "need more",
        ),
        bad(
            "equal-integers", "has 50,000 keys of one hash", whole(b"}(" + longs + b"u"), "as a key"
        ),
        bad(
            "equal-tuples",
            "has 8,192 keys of one hash",
            whole(b"}(" + pairs + b"u"),
            "keys that are tuples",
        ),
        bad("list-key", "has a list as a key", whole(b"}]Ns"), "a list as a key"),
        bad("dict-member", "has a dictionary in a set", whole(b"\x8f(}\x90"), "a dict as a key"),
        bad(
            "tensor-key",
            "has an array as a key",
            whole(b"}" + array("f4", (1,), octets(bytes(4))) + b"Ns"),
            "ndarray as a key",
        ),
        tame("not-utf-8", "has text that is none", whole(b"X\2\0\0\0\xff\xfe")),
        tame("surrogates", "has half a character", whole(b"X\3\0\0\0\xed\xa0\x80")),
    ]


def _wide_texts() -> bytes:
    """Texts of 60 kB with one character that makes them 240 kB in memory."""
    one = ("x" * 60_000 + "\N{PILE OF POO}").encode()
    return b"(" + (b"X" + struct.pack("<I", len(one)) + one) * 400 + b"t"
