"""`hauberk rewrap` and `hauberk rotate`: move sealed files to another key without changing their ciphertext."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hauberk.cli._output import Output, counted, json_option
from hauberk.cli._sealing import KEY, open_service, plain
from hauberk.cli.keys import keys_option

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from hauberk.core.progress import Task
    from hauberk.custody.rotation import Moved

_paths = click.argument("paths", nargs=-1, type=click.Path(path_type=Path))


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@keys_option
@click.option("--to", "to_uri", metavar="URI", help="The key holder to move to.  [default: as --keys]")
@click.option("--key", help="The key to wrap under.  [default: the key of each file]")
@json_option
@click.pass_context
def rewrap(  # noqa: PLR0913 - click's arguments
    ctx: click.Context, *, paths: tuple[Path, ...], uri: str, to_uri: str | None, key: str | None, json: bool
) -> None:
    """Wrap the data keys of sealed files under the current version of their key, or under another key.

    PATHS are sealed files and folders of them. Ciphertext is copied, not decrypted. Files that are current
    are skipped, so the same command continues after an interruption. With --to the files move to another key
    service, such as from the keyring to AWS KMS; --keys then names their present key holder.
    """
    from hauberk.custody.folders import sealed_files
    from hauberk.custody.rotation import rewrap_all

    files, kept = sealed_files(paths)
    held_by = open_service(uri)
    keys = open_service(to_uri, create=True) if to_uri else held_by
    again = _command("rewrap", paths, uri=uri, to=to_uri, key=key)
    with _rewrapping(files, json=json) as task:
        moved = rewrap_all(files, keys, key_name=key, held_by=held_by, task=task)
    _report(ctx, Output(json), _Done(moved, kept, again, {"key": key}))


@click.command()
@_paths
@keys_option
@click.option("--key", help=f"The key to rotate.  [default: {KEY}]")
@json_option
@click.pass_context
def rotate(ctx: click.Context, *, paths: tuple[Path, ...], uri: str, key: str | None, json: bool) -> None:
    """Make a new version of a key, and wrap the data keys of sealed files under it.

    PATHS are sealed files and folders of them; files under other keys are skipped. Data is not encrypted again.
    After an interruption, or when the key service fails, it reports how many files are left, and `hauberk rewrap`
    continues. Older versions still open files that were not moved.
    """
    from hauberk.custody.folders import sealed_files
    from hauberk.custody.rotation import rewrap_all

    files, kept = sealed_files(paths)
    keys = open_service(uri)
    key = key or KEY
    keys.rotate(key)
    out = Output(json)
    out.console.print(
        f"Rotated {plain(key)}: {counted(len(keys.ids(key)), 'version')}, the older ones still open their files"
    )
    again = _command("rewrap", paths or (Path("PATH"),), uri=uri, to=None, key=key)
    if not files:
        out.console.print(
            f"No file was named. To move sealed files to the new version: {plain(again)}", soft_wrap=True
        )
    with _rewrapping(files, json=json) as task:
        moved = rewrap_all(files, keys, key_name=key, only=key, task=task)
    _report(ctx, out, _Done(moved, kept, again, {"key": key, "versions": len(keys.ids(key))}))


def _rewrapping(files: list[Path], *, json: bool) -> AbstractContextManager[Task]:
    from hauberk.core.progress import Progress

    return Progress(visible=False if json else None).task(f"Rewrapping {counted(len(files), 'file')}")


@dataclass(frozen=True, slots=True)
class _Done:
    """What happened. kept: files left alone in signed releases. again: the command that continues."""

    moved: Moved
    kept: list[Path]
    again: str
    about: dict[str, Any]


def _report(ctx: click.Context, out: Output, done: _Done) -> None:
    moved, kept, again = done.moved, done.kept, done.again
    left = [*moved.left, *(path for path, _ in moved.failed)]
    out.document(
        done.about
        | {
            "rewrapped": [str(path) for path in moved.rewrapped],
            "already_current": len(moved.current),
            "other_keys": len(moved.others),
            "kept_in_releases": [str(path) for path in kept],
            "failed": [{"path": str(path), "message": str(error)} for path, error in moved.failed],
            "left": [str(path) for path in left],
            "stopped": None if moved.stopped is None else str(moved.stopped) or "interrupted",
            "go_on": again if left else None,
        }
    )
    say = out.console.print
    counts = f"{counted(len(moved.rewrapped), 'file')} moved, {len(moved.current):,} were current"
    say(counts + (f", {len(moved.others):,} are under other keys" if moved.others else ""))
    if kept:
        say(f"Left unchanged, as part of a signed release: {counted(len(kept), 'file')}")
    for path, error in moved.failed:
        say(f"[red]failed[/] {plain(path)}: {plain(error)}", soft_wrap=True)
    if moved.stopped is not None:
        say(f"[yellow]stopped[/]: {plain(str(moved.stopped) or 'interrupted')}", soft_wrap=True)
    if left:
        say(
            f"[bold]Not moved[/], and open as before: {counted(len(left), 'file')}. To continue: {plain(again)}",
            soft_wrap=True,
        )
        ctx.exit(_code(moved))


def _code(moved: Moved) -> int:
    if isinstance(moved.stopped, KeyboardInterrupt):
        return 130
    return moved.stopped.exit_code if moved.stopped is not None else moved.failed[0][1].exit_code


def _command(verb: str, paths: tuple[Path, ...], *, uri: str, to: str | None, key: str | None) -> str:
    import shlex

    options = [("--keys", uri), ("--to", to), ("--key", key)]
    words = [word for name, value in options if value is not None for word in (name, value)]
    return shlex.join(["hauberk", verb, *map(str, paths), *words])
