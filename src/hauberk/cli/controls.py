"""`hauberk controls`: what is registered, derived from the registries and never written down twice."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from hauberk.cli._output import Output, json_option


@click.command("controls")
@json_option
def controls(json: bool) -> None:  # noqa: FBT001 - a flag of the command line
    """List every control, attack and method, with its parameters."""
    from rich.table import Table

    from hauberk.lifecycle.families import FAMILIES

    out = Output(json)
    rows: list[dict[str, Any]] = []
    table = Table(title="Controls and algorithms", title_justify="left")
    for heading in ("family", "name", "practice", "for", "what it does", "parameters"):
        table.add_column(heading, overflow="fold")
    for registry in FAMILIES:
        for entry in registry:
            params = {field.name: _default(field) for field in dataclasses.fields(entry.params)}
            rows.append(
                {
                    "family": registry.family,
                    "name": entry.name,
                    "practice": entry.practice,
                    "kinds": list(entry.kinds),
                    "threats": list(entry.threats),
                    "summary": entry.summary,
                    "parameters": params,
                }
            )
            shown = ", ".join(f"{name}={value}" for name, value in params.items())
            table.add_row(registry.family, entry.name, entry.practice, ", ".join(entry.kinds), entry.summary, shown)
    out.document({"controls": rows})
    out.console.print(table)


def _default(field: dataclasses.Field[Any]) -> Any:  # noqa: ANN401 - a JSON value
    value = field.default
    if value is dataclasses.MISSING:
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)
