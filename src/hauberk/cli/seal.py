"""`hauberk seal` and `hauberk open`: files, folders or columns encrypted at rest, and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hauberk.cli._output import Output, counted, json_option
from hauberk.cli._sealing import HOME, KEY, associated_option, open_service, output_option, plain
from hauberk.cli.keys import keys_option

if TYPE_CHECKING:
    from hauberk.custody.keys.port import KeyService
    from hauberk.custody.parquet import Footer
    from hauberk.custody.sealed_paths import Pair


_SHOWN = 5


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@output_option
@keys_option
@associated_option
@click.option("--key", help=f"Name of the key-encryption key.  [default: {KEY}]")
@click.option(
    "--make-key", is_flag=True, help="Make the key if it does not exist, such as one per data set, to erase it by."
)
@click.option(
    "--columns",
    help="Encrypt only these columns of a Parquet file: NAME,... or NAME=KEY,...; * is every column.",
)
@click.option(
    "--footer",
    type=click.Choice(["encrypted", "plaintext"]),
    default="encrypted",
    show_default=True,
    help="With --columns: plaintext lets anybody read the other columns.",
)
@json_option
def seal(  # noqa: PLR0913 - click's arguments
    *,
    source: Path,
    output: Path | None,
    uri: str,
    associated: str,
    key: str | None,
    make_key: bool,
    columns: str | None,
    footer: Footer,
    json: bool,
) -> None:
    """Encrypt SOURCE to SOURCE.sealed, under a fresh data key that the key NAME wraps.

    A folder becomes SOURCE.sealed with a sealed file for each file; hidden files, links and sealed files are left out and
    listed. The source is not deleted: delete it yourself once the sealed file is in its place. With --columns a Parquet
    file stays a Parquet file, which pyarrow reads with the keys.
    """
    from hauberk.custody import sealed_paths

    out, key = Output(json), key or KEY
    # The plan comes first: a mistake in a path should cost neither a passphrase nor a key.
    pairs = (
        sealed_paths.plan_sealing(source, output)
        if columns is None
        else [sealed_paths.plan_column_sealing(source, output)]
    )
    keys = open_service(uri, create=True)
    # Only the default key is made without being asked for: a misspelt name would make a key that nobody looks for.
    made = (make_key or key == KEY) and sealed_paths.make_key(keys, key)
    if made:
        out.console.print(
            f"Made the key [bold]{plain(key)}[/] in {plain(uri)}: without it no file opens. Back it up."
        )
    if columns is None:
        document = _seal_files(out, source, pairs, _How(keys, key, associated))
    else:
        document = _seal_columns(out, pairs[0], columns, footer, _How(keys, key, associated))
    out.document(document | {"key": key, "key_made": made})


@dataclass(frozen=True, slots=True)
class _How:
    """What files are sealed with."""

    keys: KeyService
    key: str
    associated: str


def _seal_files(out: Output, source: Path, pairs: list[Pair], how: _How) -> dict[str, Any]:
    from hauberk.core.progress import Progress
    from hauberk.custody import sealed_paths

    with Progress(visible=False if out.json else None).task(f"Sealing {source.name}") as task:
        sealed = sealed_paths.seal_all(pairs, how.keys, how.key, associated=how.associated.encode(), task=task)
    rows = [{"sealed": str(one.path), "sha256": one.sha256, "plain_size": one.plain_size} for one in sealed]
    if source.is_file():
        out.console.print(f"Sealed [bold]{plain(sealed[0].path)}[/] under the key {plain(how.key)}")
        out.console.print(f"sha256 {sealed[0].sha256}")
        return rows[0]
    size = sum(one.plain_size for one in sealed)
    left = sealed_paths.left_open(source, pairs)
    out.console.print(
        f"Sealed {counted(len(rows), 'file')}, {size:,} bytes, below {plain(source)} under the key {plain(how.key)}"
    )
    if left:
        some = ", ".join(str(path) for path in left[:_SHOWN]) + (", ..." if len(left) > _SHOWN else "")
        out.console.print(
            f"[yellow]Not in it: {len(left):,} hidden files, links or files that are sealed already[/]: {plain(some)}",
            soft_wrap=True,
        )
    return {"files": rows, "plain_size": size, "passed_over": [str(path) for path in left]}


def _seal_columns(out: Output, pair: Pair, columns: str, footer: Footer, how: _How) -> dict[str, Any]:
    from hauberk.core.errors import InvalidInput
    from hauberk.core.progress import Progress
    from hauberk.custody.parquet import seal_columns
    from hauberk.custody.sealed_paths import read_columns

    if how.associated:
        raise InvalidInput(
            "--associated is for whole files: Parquet has no place for it. Leave one of the two out."
        )
    under = read_columns(columns, how.key)
    with Progress(visible=False if out.json else None).task(f"Sealing columns of {pair.source.name}") as task:
        leaves = seal_columns(
            pair.source, pair.target, how.keys, under, footer_key=how.key, footer=footer, task=task
        )
    out.console.print(
        f"Sealed {len(leaves)} columns in [bold]{plain(pair.target)}[/], compared with {plain(pair.source)}"
    )
    out.console.print(f"columns {plain(', '.join(leaves))}; the footer is {footer}", soft_wrap=True)
    return {"sealed": str(pair.target), "columns": list(leaves), "footer": footer}


@click.command("open")
@click.argument("source", type=click.Path(path_type=Path))
@output_option
@keys_option
@associated_option
@click.option("--key", help="The key it must be sealed under.  [default: any key]")
@json_option
def open_(  # noqa: PLR0913 - click's arguments
    *, source: Path, output: Path | None, uri: str, associated: str, key: str | None, json: bool
) -> None:
    """Decrypt SOURCE, and write the plaintext only after the whole of it has verified.

    SOURCE is a sealed file, a folder of them, or a Parquet file with sealed columns. If the key of a file was erased and
    the ledger in .hauberk here has the receipt, the error cites it.
    """
    from hauberk.core.progress import Progress
    from hauberk.custody import sealed_paths
    from hauberk.records.erased import explained

    pairs = sealed_paths.plan_opening(source, output)
    keys, out = open_service(uri), Output(json)
    with Progress(visible=False if json else None).task(f"Opening {source.name}") as task:
        opened = sealed_paths.open_all(
            pairs,
            keys,
            key=key,
            associated=associated.encode(),
            refused=lambda error, name, sha256: explained(error, HOME, name, sha256),
            task=task,
        )
    rows = [{"opened": str(one.path), "key": one.key, "plain_size": one.plain_size} for one in opened]
    if source.is_dir():
        size = sum(one.plain_size for one in opened)
        out.console.print(
            f"Opened {counted(len(rows), 'file')}, {size:,} bytes, all verified, below {plain(source)}"
        )
        out.document({"files": rows, "plain_size": size})
    else:
        out.console.print(f"Opened [bold]{plain(opened[0].path)}[/], {opened[0].plain_size:,} bytes, all verified")
        out.document(rows[0])
