"""`hauberk data infer`: propose a schema file for a table, to review and edit."""

from __future__ import annotations

from pathlib import Path

import click

from hauberk.cli._output import Output, OutputPath, json_option


@click.command("infer")
@click.argument("place", metavar="FILE")
@click.option("-o", "--output", type=OutputPath(), help="Write the schema here instead of to standard output.")
@click.option("--force", is_flag=True, help="Replace an existing file.")
@json_option
def infer_schema(place: str, *, output: Path | None, force: bool, json: bool) -> None:
    """Propose a schema file for FILE: TOML with comments, which accepts FILE as it is.

    Review it: bounds and categories are those of FILE, not necessarily right. Then verify other tables against it
    with `hauberk data verify FILE --schema SCHEMA`.
    """
    from hauberk.core import outputs
    from hauberk.core.errors import InvalidInput
    from hauberk.core.progress import Progress
    from hauberk.data.verification.inferring import infer
    from hauberk.data.verification.opening import opened

    if output is not None and not force and outputs.resolve(output).mode is not None:
        raise InvalidInput(
            f"{output} exists, and may have been edited. Name another file, or use --force to replace it."
        )
    out = Output(json)
    with opened(place) as table, Progress().task("Looking at every row") as task:
        text = infer(table, task=task)
    if output is not None:
        outputs.write(output, text.encode("utf-8"))
    out.document({"type": "hauberk/data-schema", "version": 1, "file": place, "schema": text})
    if json:
        return
    if output is None:
        click.echo(text, nl=False)
    else:
        out.console.print(f"{output} is written. Read it, correct it, then:", soft_wrap=True)
        out.console.print(f"  hauberk data verify FILE --schema {output}", soft_wrap=True, markup=False)
