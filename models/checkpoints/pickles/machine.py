"""The state of a pickle being read, and the few things that its operations may do to objects.

There is no way to an attribute, a module or a call except through `World`, which answers with
stand-ins and functions of ours.
"""

from typing import Any, Protocol

from models.checkpoints.pickles.arrays import Dtype, PendingArray, array_of_state
from models.checkpoints.pickles.budget import CONTAINER, ITEM, Budget
from models.checkpoints.pickles.keys import fit_key
from models.checkpoints.pickles.stand_ins import Admitted, Inert, shown
from models.checkpoints.pickles.window import Window
from models.errors import UnsafeCheckpoint

_MOST_ARGUMENTS = 16


class World(Protocol):
    """What lies outside the pickle."""

    def find(self, module: str, name: str) -> Any:
        """What `module.name` means: `Admitted`, a dtype, or `Inert`."""

    def refer(self, reference: Any) -> Any:
        """What a persistent reference means."""


class Machine:
    """Stack, marks and memo of one pickle.

    Args:
        window: at the start of the pickle; afterwards at the byte behind it.
        budget: pays for all that is made.
        world: answers names and references.
    """

    def __init__(self, window: Window, budget: Budget, world: World) -> None:
        self.window, self.budget, self.world = window, budget, world
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self._marks: list[int] = []

    def mark(self) -> None:
        """Remembers the height of the stack."""
        self._marks.append(len(self.stack))

    def since_mark(self) -> list[Any]:
        """Takes off everything above the last mark, and the mark."""
        if not self._marks:
            raise UnsafeCheckpoint("damaged pickle: a mark is missing")
        start = self._marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def pop(self) -> Any:
        """Takes off the top of the stack."""
        top = self.top()
        del self.stack[-1]
        return top

    def top(self) -> Any:
        """The top of the stack, left there."""
        if not self.stack:
            raise UnsafeCheckpoint("damaged pickle: something is missing on the stack")
        return self.stack[-1]

    def number(self, count: int) -> int:
        """The next `count` bytes as an unsigned little-endian number."""
        return int.from_bytes(self.window.read(count), "little")

    def remember(self, key: int) -> None:
        """Puts the top of the stack into the memo."""
        top = self.top()
        if type(top) is PendingArray:
            top.places.append(key)
        self.memo[key] = top

    def put_pairs(self, target: Any, items: list[Any]) -> None:
        """target[key] = value for each pair of `items`."""
        keys, values = items[::2], items[1::2]
        self.budget.spend(ITEM * len(items))
        if isinstance(target, Inert):
            target.items += zip(keys, values, strict=True)
        elif isinstance(target, dict):
            for key, value in zip(keys, values, strict=True):
                target[fit_key(key, self.budget)] = value
        else:
            raise UnsafeCheckpoint(f"the file puts entries into a {shown(target)}")

    def put_items(self, target: Any, items: list[Any]) -> None:
        """Appends `items`."""
        self.budget.spend(ITEM * len(items))
        if isinstance(target, Inert):
            target.items += items
        elif isinstance(target, list):
            target += items
        else:
            raise UnsafeCheckpoint(f"the file appends to a {shown(target)}")

    def members(self, items: list[Any]) -> list[Any]:
        """`items`, fit to be in a set."""
        self.budget.spend(ITEM * len(items))
        return [fit_key(item, self.budget) for item in items]

    def call(self, function: Any, arguments: Any, named: Any = None) -> Any:
        """What the file gets for calling something."""
        if not isinstance(arguments, tuple):
            raise UnsafeCheckpoint(f"the file calls with {shown(arguments)} as arguments")
        if isinstance(function, Inert):
            self.budget.spend(CONTAINER)
            return Inert(function.name, arguments, named or {})
        if not isinstance(function, Admitted):
            raise UnsafeCheckpoint(f"the file calls a {shown(function)}")
        if named or len(arguments) > _MOST_ARGUMENTS:
            raise UnsafeCheckpoint(f"the file calls {function.name} with unknown arguments")
        self.budget.spend(CONTAINER)
        return function.function(*arguments)

    def build(self, state: Any) -> None:
        """Fills the object on top of the stack."""
        match self.top():
            case PendingArray() as pending:
                array = array_of_state(state, self.budget)
                self.stack[-1] = array
                self.memo.update(dict.fromkeys(pending.places, array))
            case Dtype() as dtype:
                dtype.build(state)
            case Inert(arguments=None, name=name) | Admitted(name=name):
                raise UnsafeCheckpoint(f"the file tries to change {name}")
            case Inert() as inert:
                inert.state = state
            case dict():  # attributes on a dictionary, as state dicts have: nothing needs them
                pass
            case other:
                raise UnsafeCheckpoint(f"the file tries to change a {shown(other)}")
