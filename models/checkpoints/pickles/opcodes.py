"""Every operation of pickle protocols 0 to 5: its price, and what it does to a `Machine`.

Codes and meanings are those of Python's `pickletools`, which documents each. What differs: no
attribute is ever looked up, and out-of-band buffers do not exist.
"""

from collections.abc import Callable, Mapping
from typing import Any

from models.checkpoints.pickles.budget import CONTAINER, ITEM, OPERATION
from models.checkpoints.pickles.literals import DIGITS, LITERALS, Make
from models.checkpoints.pickles.machine import Machine
from models.checkpoints.pickles.stand_ins import shown
from models.errors import UnsafeCheckpoint

Operation = Callable[[Machine], object]

_LONGEST_NAME = 1024
_HIGHEST_PROTOCOL = 5


def execute(machine: Machine) -> Any:
    """The object of the pickle that `machine` stands at.

    Raises:
        UnsafeCheckpoint: damaged, too dear, or it asks for what is never given.
    """
    read, spend = machine.window.read, machine.budget.spend
    while (code := read(1)) != b".":
        known = OPERATIONS.get(code)
        if known is None:
            raise UnsafeCheckpoint(f"damaged pickle: there is no operation {code!r}")
        price, act = known
        spend(price)
        act(machine)
    return machine.pop()


# --- containers ------------------------------------------------------------------------------


def _short_tuple(machine: Machine, count: int) -> tuple[Any, ...]:
    return tuple([machine.pop() for _ in range(count)][::-1])


def _new_list(machine: Machine) -> list[Any]:
    items = machine.since_mark()
    machine.budget.spend(16 * len(items))
    return items


def _new_dict(machine: Machine) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    machine.put_pairs(made, machine.since_mark())
    return made


def _append(machine: Machine) -> None:
    item = machine.pop()
    machine.put_items(machine.top(), [item])


def _extend(machine: Machine) -> None:
    items = machine.since_mark()
    machine.put_items(machine.top(), items)


def _put_pair(machine: Machine) -> None:
    value, key = machine.pop(), machine.pop()
    machine.put_pairs(machine.top(), [key, value])


def _put_pairs(machine: Machine) -> None:
    items = machine.since_mark()
    machine.put_pairs(machine.top(), items)


def _add_members(machine: Machine) -> None:
    members = machine.members(machine.since_mark())
    target = machine.top()
    if not isinstance(target, set):
        raise UnsafeCheckpoint(f"the file adds members to a {shown(target)}")
    target.update(members)


# --- names, calls, references ----------------------------------------------------------------


def _name(machine: Machine) -> str:
    return machine.window.line(_LONGEST_NAME).decode("utf-8", errors="replace")


def _global(machine: Machine) -> Any:
    module, name = _name(machine), _name(machine)
    return machine.world.find(module, name)


def _stacked_global(machine: Machine) -> Any:
    name, module = machine.pop(), machine.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise UnsafeCheckpoint(f"the file names {shown(module)}.{shown(name)}")
    return machine.world.find(module, name)


def _reduce(machine: Machine) -> Any:
    arguments, function = machine.pop(), machine.pop()
    return machine.call(function, arguments)


def _new_with_keywords(machine: Machine) -> Any:
    named, arguments, cls = machine.pop(), machine.pop(), machine.pop()
    if not isinstance(named, dict):
        raise UnsafeCheckpoint(f"the file calls with {shown(named)} as keywords")
    return machine.call(cls, arguments, named)


def _instance(machine: Machine) -> Any:
    return machine.call(_global(machine), tuple(machine.since_mark()))


def _object(machine: Machine) -> Any:
    items = machine.since_mark()
    if not items:
        raise UnsafeCheckpoint("damaged pickle: an object without a class")
    return machine.call(items[0], tuple(items[1:]))


def _extension(count: int) -> Make:
    """A class by its number in copyreg's registry, which is not consulted."""
    return lambda machine: machine.world.find("copyreg", f"extension {machine.number(count)}")


# --- the stream itself -----------------------------------------------------------------------


def _protocol(machine: Machine) -> None:
    version = machine.number(1)
    if version > _HIGHEST_PROTOCOL:
        raise UnsafeCheckpoint(f"pickle protocol {version} is not known: damaged, or newer")


def _frame(machine: Machine) -> None:
    count = machine.number(8)
    if count > machine.window.remaining:
        raise UnsafeCheckpoint(
            f"a frame of {count} bytes, {machine.window.remaining} are left: cut off or damaged"
        )


def _outside_buffer(_: Machine) -> None:
    raise UnsafeCheckpoint("the pickle refers to buffers outside it")


# --- the tables ------------------------------------------------------------------------------


_PUSHES: Mapping[bytes, tuple[int, Make]] = {
    **LITERALS,
    b")": (OPERATION, lambda _: ()),
    b"]": (CONTAINER, lambda _: []),
    b"}": (CONTAINER, lambda _: {}),
    b"\x8f": (CONTAINER, lambda _: set()),
    b"\x85": (CONTAINER, lambda m: _short_tuple(m, 1)),
    b"\x86": (CONTAINER, lambda m: _short_tuple(m, 2)),
    b"\x87": (CONTAINER, lambda m: _short_tuple(m, 3)),
    b"t": (CONTAINER, lambda m: tuple(_new_list(m))),
    b"l": (CONTAINER, _new_list),
    b"d": (CONTAINER, _new_dict),
    b"\x91": (CONTAINER, lambda m: frozenset(m.members(m.since_mark()))),
    b"2": (OPERATION, lambda m: m.top()),
    b"h": (OPERATION, lambda m: m.memo[m.number(1)]),
    b"j": (OPERATION, lambda m: m.memo[m.number(4)]),
    b"g": (OPERATION, lambda m: m.memo[int(m.window.line(DIGITS))]),
    b"c": (CONTAINER, _global),
    b"\x93": (CONTAINER, _stacked_global),
    b"R": (OPERATION, _reduce),
    b"\x81": (OPERATION, _reduce),  # NEWOBJ: with stand-ins for classes, the same
    b"\x92": (OPERATION, _new_with_keywords),
    b"i": (CONTAINER, _instance),
    b"o": (OPERATION, _object),
    b"\x82": (CONTAINER, _extension(1)),
    b"\x83": (CONTAINER, _extension(2)),
    b"\x84": (CONTAINER, _extension(4)),
    b"Q": (CONTAINER, lambda m: m.world.refer(m.pop())),
    b"P": (CONTAINER, lambda m: m.world.refer(_name(m))),
}

_ACTS: Mapping[bytes, tuple[int, Operation]] = {
    b"a": (OPERATION, _append),
    b"e": (OPERATION, _extend),
    b"s": (OPERATION, _put_pair),
    b"u": (OPERATION, _put_pairs),
    b"\x90": (OPERATION, _add_members),
    b"(": (OPERATION, lambda m: m.mark()),
    b"0": (OPERATION, lambda m: m.pop()),
    b"1": (OPERATION, lambda m: m.since_mark()),
    b"q": (ITEM, lambda m: m.remember(m.number(1))),
    b"r": (ITEM, lambda m: m.remember(m.number(4))),
    b"p": (ITEM + DIGITS, lambda m: m.remember(int(m.window.line(DIGITS)))),
    b"\x94": (ITEM, lambda m: m.remember(len(m.memo))),
    b"b": (OPERATION, lambda m: m.build(m.pop())),
    b"\x80": (OPERATION, _protocol),
    b"\x95": (OPERATION, _frame),
    b"\x97": (OPERATION, _outside_buffer),
    b"\x98": (OPERATION, _outside_buffer),
}


def _pushing(make: Make) -> Operation:
    """The operation that pushes what `make` makes."""
    return lambda machine: machine.stack.append(make(machine))


OPERATIONS: Mapping[bytes, tuple[int, Operation]] = {
    **{code: (price, _pushing(make)) for code, (price, make) in _PUSHES.items()},
    **_ACTS,
}
"""Of each code, the price in bytes and the deed. The code "." is not here: it ends a pickle."""
