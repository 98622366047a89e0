"""What every command shares: the service to talk to, and how to talk to people and machines.

For people, results and tables go to stdout, progress and remarks to stderr. With --json, stdout
carries JSON and nothing else, errors included.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Column, Table

if TYPE_CHECKING:  # httpx takes a while to import; `--help` shall not wait for it.
    import httpx

    from service.client import Client

DEFAULT_URL = "http://127.0.0.1:8000"
_WIDTH_OF_FILES = 10_000


@dataclass
class Session:
    """One run of the command line.

    Attributes:
        url: of the service.
        api_key: for it, where it wants one.
        as_json: whether a machine reads stdout.
        transport: in place of the network; for tests.
    """

    url: str = DEFAULT_URL
    api_key: str | None = field(default=None, repr=False)
    as_json: bool = False
    transport: "httpx.BaseTransport | None" = None

    def client(self) -> "Client":
        """A client of the service; close it."""
        from service.client import Client

        return Client(self.url, self.api_key, transport=self.transport)

    @cached_property
    def console(self) -> Console:
        """Where people read results."""
        # A terminal's lines end somewhere; where a program reads nothing is cut.
        width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
        return Console(file=sys.stdout, highlight=False, width=width)

    @cached_property
    def remarks(self) -> Console:
        """Where people read everything else: one console, for bars and lines share a screen."""
        return Console(file=sys.stderr, highlight=False)

    def emit(self, value: Any, show: Callable[[Console], None]) -> None:
        """Print a result: as JSON for a machine, else as `show` does."""
        if self.as_json:
            print(json.dumps(value, ensure_ascii=False, default=str))
        else:
            show(self.console)

    def emit_table(self, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
        """Print rows: as a JSON array of whole rows, else as a table of some columns."""
        listed = list(rows)
        self.emit(listed, lambda console: console.print(table(listed, columns)))

    def remark(self, text: str) -> None:
        """Tell a person something that is not the result."""
        if not self.as_json:
            self.remarks.print(text, markup=False, soft_wrap=True)


def session(context: typer.Context) -> Session:
    """The session of a command's context."""
    assert isinstance(context.obj, Session)
    return context.obj


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    """Rows as a table; a column `a.b` shows field b of field a."""
    # An id that is cut is no id: others make room.
    headers = [Column(name, no_wrap=name.endswith("id")) for name in columns]
    shown = Table(*headers, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        shown.add_row(*(_cell(row, column) for column in columns))
    return shown


def _cell(row: Mapping[str, Any], column: str) -> str:
    value: Any = row
    for part in column.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return "" if value is None else str(value)
