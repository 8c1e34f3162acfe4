"""`hauberk rollback [DIR]`: serve an earlier release's model again, verified first, in one step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hauberk.cli._output import Output, json_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hauberk.lifecycle.releasing.releases import Made


@click.command("rollback")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option("--to", type=click.IntRange(min=1), help="The number of the release; default: the one before.")
@click.option("--reason", default="", help="Why; it is signed, and every verifier sees it.")
@click.option("--list", "listed", is_flag=True, help="Only list the releases on record.")
@json_option
def rollback(folder: Path, *, to: int | None, reason: str, listed: bool, json: bool) -> None:
    """Return to the model of an earlier release of the project in DIR.

    The earlier model and its evidence are verified and written to a release with a new checkpoint and a signed record of the
    return: verifiers refuse an old release folder, and accept this one. At every moment the served release is the earlier
    one or the new one. --list needs neither lock nor passphrase.
    """
    from hauberk.cli._principal import principal
    from hauberk.lifecycle.releasing.rollback import past
    from hauberk.lifecycle.releasing.rollback import rollback as run

    out = Output(json)
    if listed:
        known, now = past(folder)
        out.document({"served": now, "releases": [made.to_json() for made in known]})
        _table(out, known, now)
        return
    done = run(folder, to=to, reason=reason, by=principal())
    out.document(done.to_json())
    out.console.print(
        f"[green]release {done.made.number}[/] serves the model of release {done.target.number} again "
        f"[dim]({done.seconds:.2f} s)[/]"
    )
    out.console.print(f"verify   hauberk verify {done.release} --key {done.key_id}", markup=False, soft_wrap=True)


def _table(out: Output, known: Sequence[Made], now: int | None) -> None:
    from rich.table import Table

    table = Table()
    for heading in ("release", "made", "model", "by", ""):
        table.add_column(heading)
    for made in known:
        by = "rollback" if made.restores else made.made_by
        note = f"to release {made.restores}" if made.restores else ""
        mark = "[green]served[/]" if made.number == now else ""
        table.add_row(str(made.number), made.time, made.model[:12], f"{by} {note}".strip(), mark)
    out.console.print(table)
