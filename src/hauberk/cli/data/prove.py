"""`hauberk data prove`: that a row was, or was not, among those a model was trained on; and the check of such a proof."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hauberk.cli._output import Output, OutputPath, json_option
from hauberk.cli._sealing import HOME
from hauberk.cli.data._project import project_option

if TYPE_CHECKING:
    from hauberk.custody.rows import Schema
    from hauberk.lifecycle.datasets.checking import Checked
    from hauberk.lifecycle.datasets.proving import Row


@click.command("prove")
@click.option("--data", "files", multiple=True, help="The file that the row stands in; again for an idx pair.")
@click.option("--row", "number", type=click.IntRange(min=0), help="Its number in the file, from 0.")
@click.option("--values", help='The row itself, as JSON: \'{"age": 39, "job": "clerk", "paid": "no"}\'.')
@click.option("--label", default="", help="The row's class; without one, every class is asked about.")
@click.option("--model", default="", help="A role, a ledger entry or a digest; default: the newest training.")
@click.option("--side", type=click.Choice(["train", "test"]), default="train", show_default=True)
@click.option("--output", type=OutputPath(), default=Path("proof.json"), show_default=True)
@click.option(
    "--check", "proof", type=click.Path(path_type=Path, dir_okay=False), help="Verify this proof, offline."
)
@click.option("--release", type=click.Path(path_type=Path, file_okay=False), help="Verify it against a release.")
@click.option(
    "--ledger", type=click.Path(path_type=Path, file_okay=False), help="Verify it against a .hauberk folder."
)
@click.option("--key", help="The signer's key id, from somebody you trust.")
@project_option
@json_option
@click.pass_context
def prove(  # noqa: PLR0913 - click's options
    ctx: click.Context,
    *,
    files: tuple[str, ...],
    number: int | None,
    values: str | None,
    label: str,
    model: str,
    side: str,
    output: Path,
    proof: Path | None,
    release: Path | None,
    ledger: Path | None,
    key: str | None,
    folder: Path,
    json: bool,
) -> None:
    """Write a proof that a row was, or was not, in the set a model was trained on; or --check one.

    Name the row by --data FILE --row N, or give it with --values. A proof that the row was there tells nothing of
    other rows; one that it was not lets its reader test guesses against two rows of the set.
    """
    from rich.markup import escape

    from hauberk.core.errors import InvalidInput
    from hauberk.core.progress import Progress

    out, progress = Output(json), Progress(visible=False if json else None)
    if proof is not None:
        from hauberk.lifecycle.datasets.checking import check_proof

        with progress.task("Checking"):
            checked = check_proof(proof, ledger=ledger, release=release, key=key)
        out.document(checked.to_json())
        _show(out, checked)
        if not checked.ok:
            ctx.exit(1)
        return
    if (values is None) == (not files) or (files and number is None):
        raise InvalidInput("name a row: --data FILE --row N, or --values JSON.")
    from hauberk.core import canonical, outputs
    from hauberk.lifecycle.datasets import proving
    from hauberk.project.opening import open_workshop

    with progress.task("Proving"), open_workshop(folder) as workshop:
        event = proving.chosen(proving.trainings(workshop), model)
        schema = proving.tree_of(workshop, event, side).schema
        asked = _asked(schema, files, number, values, label)
        document = proving.prove(workshop, asked, event=event, side=side)
    outputs.write(output, canonical.encode(document))
    claims = {claim["label"]: claim["claim"] for claim in document["claims"]}
    present = "present" in claims.values()
    everywhere = document["unknown"] is not None or claims.keys() == set(schema.classes)
    out.document(
        {
            "present": present,
            "everywhere": everywhere,
            "claims": claims,
            "unknown": document["unknown"],
            "entry": event.index,
            "role": event.details["role"],
            "side": side,
            "output": str(output),
        }
    )
    word = "[bold]was[/]" if present else "[bold]was not[/]"
    out.console.print(
        f"The row {word} among the {side} rows of the {event.details['role']} model (ledger entry {event.index})"
        + (
            "."
            if present or everywhere
            else f" as {escape(', '.join(map(repr, claims)))}; other labels were not asked."
        )
    )
    out.console.print(
        f"The proof is in {output}. Check it: hauberk data prove --check {output} --ledger {folder / HOME}",
        markup=False,
        soft_wrap=True,
    )


def _asked(schema: Schema, files: tuple[str, ...], number: int | None, values: str | None, label: str) -> Row:
    from hauberk.core.errors import InvalidInput
    from hauberk.data.reading.onerow import one_row
    from hauberk.lifecycle.datasets.proving import Row

    told, target = schema.value, schema.value["target"]
    if values is None:
        assert number is not None
        columns = [column["name"] for column in told["columns"]]
        row, found = one_row(files, number, kind=told["kind"], shape=told["shape"], target=target, columns=columns)
        return Row(row, label or found)
    try:
        given: Any = json_module.loads(values)
    except ValueError as error:
        raise InvalidInput(f"--values is not JSON: {error}.") from error
    if not isinstance(given, dict):
        raise InvalidInput("--values is an object of columns and values, such as '{\"age\": 39}'.")
    named = given.get(target)
    return Row(given, label or ("" if named is None else str(named)))


def _show(out: Output, checked: Checked) -> None:
    from rich.markup import escape
    from rich.table import Column, Table

    table = Table("", "step", "held", Column("what was seen", overflow="fold"))
    marks = {True: "[green]yes[/]", False: "[bold red]no[/]", None: "[dim]not reached[/]"}
    for step in checked.steps:
        table.add_row(str(step.number), step.name, marks[step.ok], escape(step.detail))
    out.console.print(table)
    for warning in checked.warnings:
        out.console.print(f"note: {warning}", style="yellow", markup=False, soft_wrap=True)
    if not checked.ok:
        out.console.print("[bold red]Not proven.[/]")
        return
    where = f"the {checked.side} rows of the {checked.role} model"
    if checked.present:
        times = ", ".join(
            f"{'once' if count == 1 else f'{count:,} times'} as {label!r}"
            for label, count in checked.found.items()
            if count
        )
        out.console.print(f"[bold green]Proven[/]: the row was in {where}, {escape(times)}.")
    else:
        told = escape(", ".join(map(repr, checked.found)))
        under = "" if checked.everywhere else f" as {told}. [yellow]The proof says nothing of other labels[/]"
        out.console.print(f"[bold green]Proven[/]: the row was not in {where}{under}.")
