"""The output of commands: one JSON document for machines (JSON Lines while watching), or tables and colours for people."""

from __future__ import annotations

import importlib
import json as json_module
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

F = TypeVar("F", bound=Callable[..., Any])


class OutputPath(click.Path):
    """The type of an option that names a file to write, which goes to `core.outputs`.

    A type of its own, so that a test finds every such option and writes to a pipe and through a link with it.
    """

    def __init__(self) -> None:
        super().__init__(path_type=Path)


def json_option(command: F) -> F:
    """Add `--json` to a command, passed as `json: bool`."""
    return click.option("--json", "json", is_flag=True, help="Print one JSON document and nothing else.")(command)


def document_of(value: dict[str, Any], *, line: bool) -> str:
    """Return the JSON text of a document. line: on one line, for commands that print many (JSON Lines)."""
    return json_module.dumps(value, indent=None if line else 2, ensure_ascii=False, allow_nan=False)


class Output:
    """Standard output of one command. json: for machines. lines: one line per document."""

    def __init__(self, json: bool, *, lines: bool = False) -> None:  # noqa: FBT001 - it is the flag itself
        self.json, self._lines = json, lines

    @cached_property
    def console(self) -> Console:
        """A rich console on standard output; silent under `--json`.

        Every string that it prints, cells of tables included, passes through `visible`: no name of a file or column can
        send control sequences to the terminal.
        """
        from rich.console import Console

        from hauberk.core.text import visible

        class Visible(Console):
            def render_str(self, text: str, **how: Any) -> Text:  # noqa: ANN401 - as the console has it
                return super().render_str(visible(text), **how)

        return Visible(quiet=self.json, highlight=False)

    def document(self, value: dict[str, Any]) -> None:
        """Print the JSON document under `--json`."""
        if self.json:
            click.echo(document_of(value, line=self._lines))


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 file", "1,200 files"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def lazy_group(commands: Mapping[str, tuple[str, str, str]]) -> type[click.Group]:
    """Return a click group class whose commands are imported only when they are called.

    commands: name to (module under `hauberk.cli`, attribute, one line for help), in the order of the help page.
    """

    class Lazy(click.Group):
        def list_commands(self, _ctx: click.Context) -> list[str]:
            return list(commands)

        def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
            if name not in commands:
                return None
            module, attribute, _ = commands[name]
            command: click.Command = getattr(importlib.import_module(f"hauberk.cli.{module}"), attribute)
            return command

        def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
            with formatter.section("Commands"):
                formatter.write_dl([(name, line) for name, (_, _, line) in commands.items()])

    return Lazy
