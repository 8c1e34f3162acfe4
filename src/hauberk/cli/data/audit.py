"""`hauberk data audit`: check every registered set again, once or on a schedule; each check is attested."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hauberk.cli._output import Output, counted, json_option
from hauberk.cli._sealing import HOME

if TYPE_CHECKING:
    from datetime import datetime

    from hauberk.lifecycle.datasets.auditing import Audited

_COLOURS = {"info": "dim", "low": "cyan", "medium": "yellow", "high": "red", "critical": "bold red"}
_SHOWN = 20


@click.command("audit")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path())
@click.option("--set", "names", multiple=True, help="Audit only this set; may be repeated.")
@click.option(
    "--schedule", metavar="CRON", help='Audit only when due, such as "0 3 * * *"; with --watch, each time.'
)
@click.option(
    "--watch", is_flag=True, help="Keep running and audit at each time of the schedule, until interrupted."
)
@click.option("--no-screening", is_flag=True, help="Do not screen new rows for poison.")
@click.option("--seed", default=0, show_default=True, help="Seed of the fitted models.")
@json_option
@click.pass_context
def audit(  # noqa: PLR0913 - click's options
    ctx: click.Context,
    *,
    folder: Path,
    names: tuple[str, ...],
    schedule: str | None,
    watch: bool,
    no_screening: bool,
    seed: int,
    json: bool,
) -> None:
    """Re-check every registered set of the project in FOLDER: integrity, schema, drift, and poison in new rows.

    Exit code 1 means an alarm: a change that no recorded transaction explains, or another finding of severity high or
    above. A scheduler may run it as it is, or often with --schedule: it then does nothing until it is due.
    """
    from hauberk.core.errors import InvalidInput

    out = Output(json, lines=watch)

    def once() -> list[Audited]:
        from hauberk.cli._principal import principal
        from hauberk.core.progress import Progress
        from hauberk.lifecycle.datasets.auditing import audit as audited
        from hauberk.project.opening import open_workshop

        with open_workshop(folder, by=principal()) as workshop:
            return audited(
                workshop,
                folder=folder,
                names=names,
                screening=not no_screening,
                seed=seed,
                progress=Progress(visible=False if json else None),
                listener=lambda found: _show(out, found),
            )

    if watch:
        if schedule is None:
            raise InvalidInput('--watch needs a schedule: add --schedule "0 3 * * *".')
        _stay(out, schedule, once)
        return
    if schedule is not None and not _due(out, folder, schedule):
        return
    found = once()
    ok = all(one.ok for one in found)
    out.document({"ok": ok, "due": True, "sets": [one.to_json() for one in found]})
    if not ok:
        ctx.exit(1)


def _stay(out: Output, schedule: str, once) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - audits once
    import time
    from datetime import datetime

    from hauberk.core.errors import HauberkError, NotProven
    from hauberk.project import scheduling

    def work() -> None:
        try:
            found = once()
            out.document({"ok": all(one.ok for one in found), "sets": [one.to_json() for one in found]})
        except NotProven:
            raise  # the ledger was tampered with: nothing can be written to it
        except HauberkError as error:  # a full disk may have space at the next time
            out.document({"ok": False, "error": {"kind": type(error).__name__, "message": str(error)}})
            out.console.print(f"not audited: {error}", style="red", markup=False, soft_wrap=True)

    def told(due: datetime) -> None:
        out.console.print(f"next audit {due.isoformat(sep=' ', timespec='seconds')}; Ctrl-C ends", style="dim")

    scheduling.watch(schedule, work, clock=lambda: datetime.now().astimezone(), sleep=time.sleep, told=told)


def _due(out: Output, folder: Path, schedule: str) -> bool:
    from datetime import datetime

    from hauberk.project import scheduling
    from hauberk.records import lineage

    times = [one.time for one in lineage.read(folder / HOME) if one.event == lineage.AUDITED]
    now = datetime.now().astimezone()
    last = datetime.fromisoformat(times[-1]).astimezone() if times else None
    if scheduling.is_due(schedule, last, now):
        return True
    due = scheduling.next_due(schedule, now)
    out.document({"ok": True, "due": False, "next": due.isoformat(), "sets": []})
    out.console.print(
        f"Not due: the last audit was {times[-1]}, the next is {due.isoformat(timespec='minutes')}.", soft_wrap=True
    )
    return False


def _show(out: Output, found: Audited) -> None:
    from rich.markup import escape

    say = out.console.print
    numbers = found.metrics
    read = f"{counted(int(numbers.get('files', 0)), 'file')}, {int(numbers.get('bytes', 0)):,} bytes"
    verdict = (
        "[bold red]ALARM[/]: it changed, and nobody recorded it"
        if found.unexplained
        else "[green]as recorded[/]"
        if found.ok
        else "[red]as recorded, with findings[/]"
    )
    say(f"[bold]{escape(found.name)}[/]  {read}  {verdict}  [dim]entry {found.entry}[/]", soft_wrap=True)
    shown = found.findings[:_SHOWN]
    for finding, later in zip_longest(shown, shown[1:]):
        colour = _COLOURS[str(finding.severity)]
        say(f"  [{colour}]{finding.severity!s:<8}[/] {escape(finding.what)}", soft_wrap=True)
        if later is None or later.advice != finding.advice:  # once for all rows that it concerns
            say(f"           [dim]{escape(finding.advice)}[/]", soft_wrap=True)
    if len(found.findings) > _SHOWN:
        say(f"  [dim]and {len(found.findings) - _SHOWN:,} more; --json lists them[/]")
    for note in found.notes:
        say(f"  [dim]{escape(note)}[/]", soft_wrap=True)
