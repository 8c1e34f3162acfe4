"""`hauberk update [DIR]`: train a challenger on new rows, promote it if nothing regressed; once, when due, or watching."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hauberk.cli._output import Output, json_option

if TYPE_CHECKING:
    from hauberk.lifecycle.comparing.paired import Compared
    from hauberk.lifecycle.updating.update import Updated
    from hauberk.records.steps import Done


@click.command("update")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option(
    "--data",
    "data",
    multiple=True,
    metavar="FILE",
    help="New rows, in the format of the declared data; may be repeated.",
)
@click.option("--source", default="", help="The source of the rows, as text; it is signed.")
@click.option("--cold", is_flag=True, help="Train from the beginning, not from the champion's weights.")
@click.option(
    "--reason", "reasons", multiple=True, help='The reason, such as "incident:ID"; it is signed. May be repeated.'
)
@click.option("--due", is_flag=True, help="Do nothing unless a trigger of [update] is due; for any scheduler.")
@click.option("--watch", is_flag=True, help="Keep running: check each minute whether an update is due, and do it.")
@click.option(
    "--trust",
    "vouch",
    is_flag=True,
    help="Declare all rows learned so far trusted; new rows are compared with them.",
)
@json_option
@click.pass_context
def update(  # noqa: PLR0913 - click's options
    ctx: click.Context,
    folder: Path,
    *,
    data: tuple[str, ...],
    source: str,
    cold: bool,
    reasons: tuple[str, ...],
    due: bool,
    watch: bool,
    vouch: bool,
    json: bool,
) -> None:
    """Verify new rows, train a challenger, and release it if the gate passes and nothing got worse.

    Without --data, the new files of [update] data are used. Exit code 3: the champion stays, and the output names the rule,
    metric or alarm that is the reason. The same command continues after a kill.
    """
    from hauberk.core.errors import InvalidInput

    out = Output(json, lines=watch)
    if vouch:
        _trust(out, folder, reasons)
        return
    if (due or watch) and data:
        raise InvalidInput("--due and --watch look for new files themselves ([update] data): leave out --data.")
    if watch:
        _stay(out, folder, source=source, cold=cold)
        return
    if due or not (data or reasons):
        found = _waiting(folder)
        if due and not found["due"]:
            out.document(found)
            out.console.print("no update is due")
            return
        data, reasons = tuple(found["files"]), (*reasons, *found["reasons"])
    done = _once(out, folder, data=data, source=source, cold=cold, reasons=reasons)
    if not done.promoted:
        ctx.exit(3)


def _once(out: Output, folder: Path, **how: Any) -> Updated:  # noqa: ANN401 - the options of an update
    from hauberk.cli._principal import principal
    from hauberk.core.progress import Progress
    from hauberk.lifecycle.updating.update import update as run

    def show(done: Done, title: str) -> None:
        mark, spent = ("[dim]=[/]", "unchanged") if done.cached else ("[green]✔[/]", f"{done.seconds:.1f} s")
        out.console.print(f"{mark} {title:<52} [dim]{spent}[/]")

    done = run(folder, by=principal(), listener=show, progress=Progress(visible=False if out.json else None), **how)
    out.document(done.to_json())
    _show(out, done)
    return done


def _waiting(folder: Path) -> dict[str, Any]:
    from datetime import datetime

    from hauberk import project as projects
    from hauberk.lifecycle.updating.triggers import due

    return due(projects.load(folder), now=datetime.now().astimezone()).to_json()


def _stay(out: Output, folder: Path, **how: Any) -> None:  # noqa: ANN401 - as above
    import time
    from datetime import datetime

    from hauberk.core.errors import HauberkError, NotProven
    from hauberk.lifecycle.updating import triggers

    def look() -> None:
        try:
            found = _waiting(folder)
            if found["due"]:
                _once(out, folder, data=tuple(found["files"]), reasons=tuple(found["reasons"]), **how)
        except NotProven:
            raise  # release or ledger were tampered with: further checks cannot be trusted
        except HauberkError as error:  # poison that stopped an update, or a full disk
            out.document({"ok": False, "error": {"kind": type(error).__name__, "message": str(error)}})
            out.console.print(f"not updated: {error}", style="red", markup=False, soft_wrap=True)

    out.console.print("checking each minute whether an update is due; Ctrl-C ends", style="dim")
    triggers.watch(look, clock=lambda: datetime.now().astimezone(), sleep=time.sleep)


def _trust(out: Output, folder: Path, reasons: tuple[str, ...]) -> None:
    from hauberk.cli._principal import principal
    from hauberk.lifecycle.updating.update import trust

    entry = trust(folder, reason="; ".join(reasons), by=principal())
    out.document({"ok": True, "entry": entry})
    out.console.print(f"all rows learned so far are the trusted state now [dim](entry {entry})[/]")


def _show(out: Output, done: Updated) -> None:
    from rich.markup import escape
    from rich.table import Table

    say = out.console.print
    table = Table(title=f"challenger ({done.start} start) against release {done.champion.number}")
    for heading in ("metric", "rows", "n", "champion", "challenger", "difference", "interval", ""):
        table.add_column(heading, justify="left" if heading in ("metric", "rows", "") else "right")
    for one in done.compared:
        table.add_row(escape(one.metric), escape(one.rows), f"{one.n:,}", *_numbers(one), _verdict(one))
    say(table)
    for alarm in done.alarms:
        say(f"[red]alarm[/] {escape(alarm)}", soft_wrap=True)
    if done.aside:
        say(f"{done.aside:,} rows were set aside before anything learned from them.")
    for note in done.notes:
        say(f"[dim]{escape(note)}[/]", soft_wrap=True)
    for ruling in done.verdict.rulings:
        if not ruling.holds:
            say(f"[red]✘[/] {escape(str(ruling.rule))}: {escape(ruling.reason)}", soft_wrap=True)
    if done.made is not None:
        say(
            f"[bold green]promoted[/]: release {done.made.number}. Back: hauberk rollback --to {done.champion.number}"
        )
        say(f"verify   hauberk verify {done.release} --key {done.key_id}", markup=False, soft_wrap=True)
    else:
        say(f"[bold red]refused[/]: release {done.champion.number} stays.")


def _numbers(one: Compared) -> tuple[str, ...]:
    return (
        f"{one.champion:.4f}",
        f"{one.challenger:.4f}",
        f"{one.difference:+.4f}",
        f"{one.low:+.4f} to {one.high:+.4f}",
    )


def _verdict(one: Compared) -> str:
    return "[bold red]worse[/]" if one.regressed else "[green]better[/]" if one.improved else "[dim]no worse[/]"
