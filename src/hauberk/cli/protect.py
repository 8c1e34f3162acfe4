"""`hauberk protect [DIR]`: the main job, with one line per step while it runs, and both models side by side at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hauberk.cli._output import Output, json_option

if TYPE_CHECKING:
    from rich.console import Console

    from hauberk.lifecycle.main.protect import Result
    from hauberk.records.steps import Done


@click.command("protect")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@json_option
@click.pass_context
def protect(ctx: click.Context, folder: Path, json: bool) -> None:  # noqa: FBT001 - a flag of the command line
    """Check the data, train, attack, harden, sign, seal, log, decide, release and report.

    DIR holds hauberk.toml (`hauberk init` writes one). A step whose inputs did not change is not repeated. Exit
    code 3 means that the gate refused: the verdict names the rule, and there is no release.
    """
    from hauberk.cli._principal import principal
    from hauberk.lifecycle.main.protect import protect as run

    out = Output(json)

    def show(done: Done, title: str) -> None:
        mark, spent = ("[dim]=[/]", "unchanged") if done.cached else ("[green]✔[/]", f"{done.seconds:.1f} s")
        out.console.print(f"{mark} {title:<52} [dim]{spent}[/]")

    result = run(folder, by=principal(), listener=show)
    out.document(result.to_json())
    if not json:
        out.console.print()
        out.console.print(result.summary())
        _say_what_next(out.console, result)
    if not result.allowed:
        ctx.exit(3)


def _say_what_next(console: Console, result: Result) -> None:
    def line(label: str, text: object) -> None:
        console.print(f"[dim]{label:<8}[/] ", end="")
        console.print(str(text), markup=False, soft_wrap=True)

    console.print()
    line("report", result.report)
    if result.release is None:
        console.print("[bold red]refused[/]: this run made no release. The report shows what to change.")
        return
    line("release", result.release)
    line("verify", f"hauberk verify {result.release} --key {result.key_id}")
