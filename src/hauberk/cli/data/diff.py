"""`hauberk data diff`: rows added, removed and changed between two tables; files, between two folders of anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hauberk.cli._output import Output, json_option

if TYPE_CHECKING:
    from hauberk.core.progress import Progress
    from hauberk.data.manifest import Change
    from hauberk.data.manifest.diffing import Difference

_SHOWN = 20


@click.command("diff")
@click.argument("a")
@click.argument("b")
@click.option("--key", multiple=True, help="A column that identifies rows; may be repeated. Default: by content.")
@click.option(
    "--samples",
    type=click.IntRange(0, 1000),
    default=5,
    show_default=True,
    help="Number of rows to show of each kind.",
)
@click.option("--files", is_flag=True, help="Compare files and their parts instead of rows.")
@json_option
@click.pass_context
def diff(  # noqa: PLR0913 - click's options
    ctx: click.Context, *, a: str, b: str, key: tuple[str, ...], samples: int, files: bool, json: bool
) -> None:
    """Show the differences between A and B. Exit code 0: none, 1: some.

    Tables (Parquet, Arrow, CSV, JSON Lines; files, patterns, folders or URLs) are compared row by row, folders of
    pictures and everything else file by file.
    """
    from hauberk.core.errors import InvalidInput
    from hauberk.core.progress import Progress

    out, progress = Output(json), Progress(visible=False if json else None)
    if not files:
        from hauberk.data.manifest.diffing import NoRowsError
        from hauberk.data.manifest.diffing import diff as compared

        try:
            with progress.task("Comparing") as task:
                found = compared(a, b, key=key, samples=samples, task=task)
        except InvalidInput as error:
            if key or not (isinstance(error, NoRowsError) or _is_folder(a, b)):
                raise
        else:
            out.document(found.to_json())
            _show(out, found)
            if not found.equal:
                ctx.exit(1)
            return
    changes = _files(a, b, progress)
    document: dict[str, Any] = {"equal": not changes, "by": "files"}
    out.document(document | {"changes": [change.to_json() for change in changes]})
    for change in changes[:_SHOWN]:
        out.console.print(str(change), markup=False, soft_wrap=True)
    if len(changes) > _SHOWN:
        out.console.print(f"and {len(changes) - _SHOWN:,} more; --json lists them")
    if changes:
        ctx.exit(1)
    out.console.print("[green]Equal[/]: the same files, byte for byte.")


def _is_folder(*places: str) -> bool:
    from pathlib import Path

    return all(Path(place).is_dir() for place in places)


def _files(a: str, b: str, progress: Progress) -> tuple[Change, ...]:
    from dataclasses import replace

    from hauberk.data.manifest import build, compare

    with progress.task("Hashing") as task:
        first, second = (build([place], task=task).manifest for place in (a, b))
    if len(first.files) == len(second.files) == 1 and not _is_folder(a, b):
        # Two files are compared whatever their names.
        first = replace(first, files=(replace(first.files[0], name=second.files[0].name),))
    return compare(first, second)


def _show(out: Output, found: Difference) -> None:
    from rich.markup import escape
    from rich.table import Table

    say = out.console.print
    if found.equal:
        say(f"[green]Equal[/]: the same {found.rows_a:,} rows.")
        return
    table = Table("", "rows")
    for name, count, colour in (
        ("added", found.added, "green"),
        ("removed", found.removed, "red"),
        ("changed", found.changed, "yellow"),
    ):
        if name != "changed" or found.key:
            table.add_row(f"[{colour}]{name}[/]" if count else f"[dim]{name}[/]", f"{count:,}")
    say(f"{found.rows_a:,} rows before, {found.rows_b:,} after, by {escape(', '.join(found.key)) or 'content'}")
    say(table)
    for word, names in (("only before", found.columns.only_a), ("only after", found.columns.only_b)):
        if names:
            say(f"columns {word}: {escape(', '.join(names))}", soft_wrap=True)
    for name, (one, other) in found.columns.types.items():
        say(f"column {escape(name)} is {one} before and {other} after", soft_wrap=True)
    if found.by_column:
        told = (
            f"{name} {count:,}" if count >= 0 else name
            for name, count in sorted(found.by_column.items(), key=_most)
        )
        say(f"columns that differ: {escape(', '.join(told))}", soft_wrap=True)
    for how, rows in found.samples.items():
        for row in rows:
            words = ", ".join(_words(name, value) for name, value in row.items())
            say(f"[dim]{how}[/]  {escape(words)}", soft_wrap=True)


def _most(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _words(name: str, value: object) -> str:
    if isinstance(value, list):
        return f"{name} {value[0]} \N{RIGHTWARDS ARROW} {value[1]}"
    return f"{name} {value}"
