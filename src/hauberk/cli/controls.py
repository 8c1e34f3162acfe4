"""`hauberk controls`: what is registered, computed from the registries and never written down twice."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import click

from hauberk.cli._output import Output, json_option

_HEAD = """# Controls and algorithms

What is registered in Hauberk, computed by `hauberk controls --markdown`. Do not edit this page: change the registration,
and run `hauberk controls --markdown > docs/controls.md`. Plug-ins, if some are installed, are listed by `hauberk controls`.
"""


@click.command("controls")
@click.option("--markdown", is_flag=True, help="Print docs/controls.md: Hauberk's own members, no plug-ins.")
@json_option
def controls(json: bool, markdown: bool) -> None:  # noqa: FBT001 - flags of the command line
    """List every control, attack and method, with its parameters."""
    from hauberk.lifecycle.families import members

    rows = members()
    if markdown:
        click.echo(page(rows), nl=False)
        return
    out = Output(json)
    out.document({"controls": rows})
    _print(out, rows)


def page(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return docs/controls.md: the members that are Hauberk's own, with the type, default and help of each parameter."""
    own = [row for row in rows if row["source"].startswith("hauberk.")]
    parts = [_HEAD]
    for family, found in groupby(own, key=lambda row: row["family"]):
        listed = list(found)
        parts.append(f"## {family.capitalize()}\n")
        parts.append(
            _table(
                ("name", "practice", "threats", "data", "what it does"),
                [
                    (f"`{r['name']}`", r["practice"], ", ".join(r["threats"]), ", ".join(r["kinds"]), r["summary"])
                    for r in listed
                ],
            )
        )
        settings = [
            (f"`{row['name']}`", f"`{p['name']}`", p["type"], f"`{_value(p['default'])}`", p["help"])
            for row in listed
            for p in row["parameters"]
        ]
        if settings:
            parts.append(_table(("of", "parameter", "type", "default", "what it sets"), settings))
    return "\n".join(parts)


def _table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heading, ("---",) * len(heading), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _value(value: Any) -> str:  # noqa: ANN401 - a JSON value
    return value if isinstance(value, str) and value else json_module.dumps(value)


def _print(out: Output, rows: Iterable[Mapping[str, Any]]) -> None:
    from rich.table import Table

    table = Table(title="Controls and algorithms", title_justify="left")
    for heading in ("family", "name", "practice", "data", "what it does", "parameters"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        name = row["name"]
        if not row["source"].startswith("hauberk."):
            name += f"\n({row['source']})"
        shown = "\n".join(f"{p['name']} = {_value(p['default'])}: {p['help']}" for p in row["parameters"])
        table.add_row(row["family"], name, row["practice"], ", ".join(row["kinds"]), row["summary"], shown)
    out.console.print(table)
