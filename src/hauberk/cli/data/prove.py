"""`hauberk data prove`: prove that a row was, or was not, in the training set of a model; check such a proof."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hauberk.cli._output import Output, OutputPath, json_option
from hauberk.cli._sealing import HOME
from hauberk.cli.data._project import project_option

if TYPE_CHECKING:
    from hauberk.lifecycle.datasets.checking import Checked


@click.command("prove")
@click.option("--data", "files", multiple=True, help="The file with the row; repeat it for an idx pair.")
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

    Name the row by --data FILE --row N, or give it with --values. A proof of presence discloses nothing about other
    rows; a proof of absence lets its reader test guesses against two rows of the set. Needs the project's keys, because
    the tree of rows is sealed; --check needs none. Takes no lock: other commands may run meanwhile.
    """
    from rich.markup import escape

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
    from hauberk.core import canonical, outputs
    from hauberk.lifecycle.datasets.proving import Asked, prove_row

    asked = Asked(files, number, _values(values), label)
    with progress.task("Proving"):
        found = prove_row(folder, asked, model=model, side=side)
    outputs.write(output, canonical.encode(dict(found.document)))
    out.document(found.to_json() | {"output": str(output)})
    role, entry = found.event.details["role"], found.event.index
    word = "[bold]was[/]" if found.present else "[bold]was not[/]"
    some = "" if found.present or found.everywhere else f" as {', '.join(map(repr, found.claims))}"
    rest = "; other labels were not asked about" if some else ""
    out.console.print(
        f"The row {word} among the {side} rows of the {role} model (ledger entry {entry}){escape(some)}{rest}."
    )
    out.console.print(
        f"The proof is in {output}. Check it: hauberk data prove --check {output} --ledger {folder / HOME}",
        markup=False,
        soft_wrap=True,
    )


def _values(text: str | None) -> dict[str, Any] | None:
    from hauberk.core.errors import InvalidInput

    if text is None:
        return None
    try:
        given: Any = json_module.loads(text)
    except ValueError as error:
        raise InvalidInput(f"--values is not JSON: {error}.") from error
    if not isinstance(given, dict):
        raise InvalidInput("--values is an object of columns and values, such as '{\"age\": 39}'.")
    return given


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
