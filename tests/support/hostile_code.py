"""Files that try to run code, or to change the objects of the program that reads them."""

import pickle

from support.hostile import (
    COMMAND,
    SYSTEM_INFO,
    Case,
    array,
    bad,
    call,
    name,
    octets,
    part,
    reference,
    stacked,
    storage,
    stream,
    tame,
    tensor,
    torch_zip,
    whole,
    zipped,
)

SYSTEM = name("os", "system")
EVIL = call(SYSTEM, COMMAND)
PERSISTENT = name("torch_utils.persistence", "_reconstruct_persistent_obj")
ONE = tensor(storage(1.0), 0, (1,), (1,))


def _npy_of_objects() -> bytes:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }".ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + whole(EVIL)


def _network(**more: object) -> bytes:
    meta = {"type": "class", "class_name": "G", "state": {"a": 1}} | more
    return call(PERSISTENT, meta)


def running() -> list[Case]:
    """Files that call what must not be called."""
    loads = call(name("pickle", "loads"), bytearray(octets(whole(EVIL))))
    load = name("torch.storage", "_load_from_bytes")
    imported = call(name("importlib", "import_module"), "os")
    get = call(name("builtins", "getattr"), bytearray(imported), "system")
    dotted = stacked("os", "path.os.system")
    partial = call(name("functools", "partial"), bytearray(SYSTEM), COMMAND)
    source = {"module_src": f"import os; os.system({COMMAND!r})"}
    return [
        tame("reduce", "calls os.system", whole(EVIL), "os.system"),
        tame(
            "dotted", "calls it by a dotted name", whole(call(dotted, COMMAND)), "os.path.os.system"
        ),
        tame(
            "eval",
            "evaluates a text",
            whole(call(name("builtins", "eval"), "1/0")),
            "builtins.eval",
        ),
        tame(
            "exec",
            "runs a text",
            whole(call(name("__builtin__", "exec"), "1/0")),
            "__builtin__.exec",
        ),
        tame(
            "getattr",
            "takes system off os",
            whole(call(get, COMMAND)),
            "builtins.getattr",
            "importlib.import_module",
        ),
        tame(
            "partial",
            "calls a partial function",
            whole(call(partial)),
            "functools.partial",
            "os.system",
        ),
        tame(
            "extension",
            "uses copyreg's registry",
            whole(call(b"\x82\1", COMMAND)),
            "copyreg.extension 1",
        ),
        tame(
            "extension-4",
            "uses a wide number of it",
            whole(b"\x84\1\2\3\4)R"),
            "copyreg.extension 67305985",
        ),
        tame(
            "reconstructor",
            "makes an object by copyreg",
            whole(
                call(name("copy_reg", "_reconstructor"), bytearray(SYSTEM), bytearray(SYSTEM), 1)
            ),
            "copy_reg._reconstructor",
            "os.system",
        ),
        tame(
            "register",
            "adds an extension",
            whole(call(name("copyreg", "add_extension"), "os", "system", 1)),
            "copyreg.add_extension",
        ),
        tame(
            "inst",
            "calls with the oldest operation",
            whole(b"(" + part(COMMAND) + b"ios\nsystem\n"),
            "os.system",
        ),
        tame(
            "obj",
            "calls with the second oldest",
            whole(b"(" + SYSTEM + part(COMMAND) + b"o"),
            "os.system",
        ),
        tame(
            "newobj",
            "makes a process object",
            whole(name("subprocess", "Popen") + part(([COMMAND],)) + b"\x81"),
            "subprocess.Popen",
        ),
        tame(
            "newobj-ex",
            "starts a process by keywords",
            whole(
                name("subprocess", "Popen")
                + b")"
                + part({"args": COMMAND, "shell": True})
                + b"\x92"
            ),
            "subprocess.Popen",
        ),
        tame(
            "protocol-0",
            "is written by hand in text",
            b"cos\nsystem\n(S'" + COMMAND.encode() + b"'\ntR.",
            "os.system",
        ),
        tame("loads", "unpickles bytes of its own", whole(loads), "pickle.loads"),
        tame(
            "torch-load",
            "loads a file by torch",
            whole(call(name("torch", "load"), "x")),
            "torch.load",
        ),
        tame(
            "hub",
            "fetches code",
            whole(call(name("torch.hub", "load"), "a/b", "c")),
            "torch.hub.load",
        ),
        tame(
            "runstring",
            "runs a text through numpy",
            whole(call(name("numpy.testing._private.utils", "runstring"), COMMAND, {})),
            "numpy.testing._private.utils.runstring",
        ),
        tame(
            "code",
            "builds a code object",
            whole(call(name("types", "CodeType"), 0)),
            "types.CodeType",
        ),
        tame(
            "unknown-module",
            "imports what is not there",
            whole(call(name("nowhere", "f"))),
            "nowhere.f",
        ),
        bad(
            "nested",
            "hides a call in a tensor's bytes",
            whole(load + octets(stream(whole(EVIL))) + b"\x85R"),
            "a tensor's bytes hold a os.system",
        ),
        bad(
            "nested-plain",
            "hides a bare pickle there",
            whole(load + octets(whole(EVIL)) + b"\x85R"),
            "ends too early",
        ),
        bad(
            "nested-zip",
            "hides a torch zip there",
            whole(load + octets(torch_zip(EVIL)) + b"\x85R"),
            "refers to data outside it",
        ),
        bad(
            "nested-twice",
            "nests a tensor's bytes in a tensor's bytes",
            whole(load + octets(stream(whole(storage(1.0), 2))) + b"\x85R"),
            r"a tensor's bytes hold a torch\.storage\._load_from_bytes",
        ),
        bad(
            "nested-keys",
            "calls in the list of storages",
            stream(whole(part([1]), 2))[: -len(pickle.dumps([], 2))] + whole(EVIL),
            "the list of storages is os.system",
        ),
        tame(
            "system-info",
            "calls where a stream describes the machine",
            stream(whole(part(1), 2)).replace(pickle.dumps(SYSTEM_INFO, 2), whole(EVIL), 1),
            "os.system",
        ),
        bad(
            "reference", "calls in a reference to data", torch_zip(EVIL + b"Q"), "unknown reference"
        ),
        bad(
            "plain-reference",
            "refers to data from a plain pickle",
            whole(EVIL + b"Q"),
            "outside it",
        ),
        bad(
            "text-reference",
            "refers to data by a line of text",
            b"\x80\2Pos.system\n.",
            "outside it",
        ),
        bad("buffer", "takes a buffer from outside", whole(b"\x97", 5), "buffers outside"),
        tame("zip", "calls inside a torch zip", torch_zip(EVIL), "os.system"),
        tame("legacy", "calls inside a legacy stream", stream(whole(EVIL)), "os.system"),
        tame("npy", "calls inside an array of objects", _npy_of_objects(), "os.system"),
        tame(
            "npz", "calls inside a zip of arrays", zipped({"a.npy": _npy_of_objects()}), "os.system"
        ),
        tame("source", "carries source that runs", whole(_network(**source))),
        bad("stateless", "has a network without a state", whole(_network(state=3)), "has no state"),
        bad(
            "nameless",
            "has a network called by a dict",
            whole(_network(class_name={})),
            "the class of",
        ),
        tame(
            "escape",
            "writes to the terminal in a name",
            whole(call(stacked("\x1b[31mos", "sys\ntem"))),
            r"\x1b[31mos.sys\ntem",
        ),
    ]


def changing() -> list[Case]:
    """Files that change what is not theirs."""
    easy = name("dnnlib.util", "EasyDict")
    objects = call(name("collections", "OrderedDict"))
    state = part({"__class__": 1, "items": 2, "name": 3})
    slots = b"N" + state + b"\x86"
    filled = array("f4", (1,), octets(bytes(4)))
    return [
        bad(
            "build-class",
            "fills an admitted class",
            whole(easy + state + b"b"),
            "change dnnlib.util.EasyDict",
        ),
        bad(
            "build-function",
            "fills an admitted function",
            whole(PERSISTENT + slots + b"b"),
            "tries to change torch",
        ),
        bad(
            "build-inert-class",
            "fills a class that is not imported",
            whole(SYSTEM + state + b"b"),
            "change os.system",
        ),
        bad(
            "build-dtype",
            "fills torch's dtype",
            whole(name("torch", "FloatStorage") + slots + b"b"),
            "change a dtype",
        ),
        bad(
            "build-tensor",
            "sets a tensor's memory",
            whole(ONE + part((0, 0, 0, 0)) + b"b"),
            "change a Tensor",
        ),
        bad(
            "build-array", "fills an array twice", whole(filled + slots + b"b"), "change a ndarray"
        ),
        bad("build-list", "fills a list", whole(b"]" + state + b"b"), "change a list"),
        bad(
            "build-storage",
            "fills a storage",
            whole(storage(1.0) + state + b"b"),
            "change a Storage",
        ),
        tame("build-dict", "sets methods of a dictionary", whole(objects + state + b"b")),
        tame("build-slots", "sets slots of a stand-in", whole(EVIL + slots + b"b"), "os.system"),
        bad("setitem-list", "writes into a list", whole(b"]K\0K\1s"), "entries into a list"),
        bad(
            "setitem-tensor",
            "writes into a tensor",
            whole(ONE + b"K\0K\1s"),
            "entries into a Tensor",
        ),
        bad(
            "setitem-array",
            "writes into an array",
            whole(filled + b"K\0K\1s"),
            "entries into a ndarray",
        ),
        bad(
            "setitem-class",
            "writes into an admitted class",
            whole(easy + b"K\0K\1s"),
            "entries into a dnnlib",
        ),
        bad("append-dict", "appends to a dictionary", whole(b"}K\1a"), "appends to a dict"),
        bad("append-tuple", "appends to a tuple", whole(b")(K\1e"), "appends to a tuple"),
        bad("add-list", "adds members to a list", whole(b"](K\1\x90"), "members to a list"),
        bad("call-dict", "calls a dictionary", whole(b"})R"), "calls a dict"),
        bad("call-tensor", "calls a tensor", whole(ONE + b")R"), "calls a Tensor"),
        bad("call-list", "calls with a list", whole(SYSTEM + b"]R"), "list as arguments"),
        bad(
            "keywords",
            "gives an admitted function keywords",
            whole(easy + b")" + part({"a": 1}) + b"\x92"),
            "unknown arguments",
        ),
        bad(
            "arguments",
            "gives it 100",
            whole(easy + part(tuple(range(100))) + b"R"),
            "unknown arguments",
        ),
        bad("number-name", "names a number", whole(b"K\1K\2\x93"), "names 1.2"),
        bad(
            "parameter",
            "makes a parameter of a call",
            whole(call(name("torch._utils", "_rebuild_parameter"), bytearray(EVIL))),
            "made of os.system",
        ),
        bad(
            "storage",
            "makes a tensor of a call",
            whole(tensor(EVIL, 0, (1,), (1,))),
            "storage is a os.system",
        ),
        bad(
            "encode",
            "encodes by a codec",
            whole(call(name("_codecs", "encode"), "x", "rot13")),
            "encoded as 'rot13'",
        ),
        bad(
            "legacy-reference",
            "refers to half a storage",
            stream(whole(reference("0", 1).replace(b"Nt", b"K\1t"), 2)),
            "unknown reference",
        ),
    ]
