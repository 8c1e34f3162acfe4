"""Names of files and columns are data of others: none of them steers the terminal."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from hauberk.cli._output import Output
from hauberk.cli.main import run

HOSTILE = "a\x1b[2J\u202eb"


def test_no_string_that_is_printed_steers_the_terminal(capsys):
    console = Output(json=False).console
    table = Table("name")
    table.add_row(escape(HOSTILE))
    console.print(f"[bold]{escape(HOSTILE)}[/]", table)
    console.print(HOSTILE, markup=False)
    out = capsys.readouterr().out
    assert "\x1b[2J" not in out
    assert "\u202e" not in out
    assert out.count("a\\u001b[2J\\u202eb") == 3


def test_neither_does_an_error(capsys):
    assert run(["verify", HOSTILE]) == 2
    err = capsys.readouterr().err
    assert "\x1b[2J" not in err
    assert "\\u001b[2J" in err
