"""`hauberk seal` and `hauberk open`: files, folders or columns encrypted at rest, and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hauberk.cli._output import Output, counted, json_option
from hauberk.cli._sealing import (
    ENDING,
    KEY,
    associated_option,
    erased,
    open_service,
    output_option,
    plain,
)
from hauberk.cli.keys import keys_option

if TYPE_CHECKING:
    from hauberk.core.progress import Task
    from hauberk.custody.keys.port import KeyService


_SHOWN = 5


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@output_option
@keys_option
@associated_option
@click.option("--key", help=f"Name of the key-encryption key.  [default: {KEY}]")
@click.option(
    "--make-key", is_flag=True, help="Make the key when it is not there: one a data set can be erased by."
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
    help="With --columns: plaintext lets anybody read the columns that are left open.",
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
    footer: str,
    json: bool,
) -> None:
    """Encrypt SOURCE to SOURCE.sealed, under a fresh data key that the key NAME wraps.

    A folder becomes SOURCE.sealed with a sealed file for each of its own; hidden files, links and what is sealed
    already are passed over, and named. The source is left as it is: delete it yourself once the sealed file is where it should
    be. With --columns a Parquet file stays a Parquet file, which pyarrow reads with the keys.
    """
    out = Output(json)
    plan = _check_seal(source, output, columns)
    keys = open_service(uri, create=True)
    key = key or KEY
    made = _make(keys, key, allowed=make_key or key == KEY)
    if made:
        out.console.print(
            f"Made the key [bold]{plain(key)}[/] in {plain(uri)}: without it no file opens. Back it up."
        )
    if columns is not None:
        document = _seal_columns(out, plan[0], keys, key, columns, footer, associated)
    else:
        document = _seal_files(out, source, plan, keys, key, associated)
    out.document(document | {"key": key, "key_made": made})


def _check_seal(source: Path, output: Path | None, columns: str | None) -> list[tuple[Path, Path]]:
    """Return from where to where. Before a key is made or a passphrase asked for: a slip should cost nothing."""
    from hauberk.core.errors import InvalidInput
    from hauberk.core.extras import need
    from hauberk.custody.folders import files_of, is_sealed

    if columns is not None:
        need("pyarrow.parquet")
    if source.is_file():
        name = f"{source.stem}{ENDING}{source.suffix}" if columns is not None else source.name + ENDING
        return [(source, output or source.with_name(name))]
    if not source.is_dir() or columns is not None:
        raise InvalidInput(f"there is no file {source}. Check the path.")
    folder = output or source.with_name(source.resolve().name + ENDING)
    files = [file for file in files_of(source) if not is_sealed(file) and folder not in file.parents]
    if not files:
        raise InvalidInput(f"the folder {source} holds no file to seal (hidden files and links are passed over).")
    return [(file, folder / file.relative_to(source).with_name(file.name + ENDING)) for file in files]


def _make(keys: KeyService, key: str, *, allowed: bool) -> bool:
    # Only the usual key is made unasked: under any other name a slip would make a key that nobody looks for.
    from hauberk.custody.keys import AES_256

    if not allowed or key in keys.names():
        return False
    keys.create(key, AES_256)
    return True


def _seal_files(  # noqa: PLR0913, PLR0917 - what, where, under which key
    out: Output, source: Path, plan: list[tuple[Path, Path]], keys: KeyService, key: str, associated: str
) -> dict[str, Any]:
    from hauberk.core.progress import Progress
    from hauberk.custody.sealing import seal_file

    rows: list[dict[str, Any]] = []
    with Progress(visible=False if out.json else None).task(f"Sealing {source.name}") as task:
        for at, (file, target) in enumerate(plan):
            part = _Part(task, at, len(plan))
            digest = seal_file(file, target, keys, key, associated=associated.encode(), task=part)
            rows.append({"sealed": str(target), "sha256": digest, "plain_size": file.stat().st_size})
    if source.is_file():
        out.console.print(f"Sealed [bold]{plain(rows[0]['sealed'])}[/] under the key {plain(key)}")
        out.console.print(f"sha256 {rows[0]['sha256']}")
        return rows[0]
    size = sum(int(row["plain_size"]) for row in rows)
    left = _left_open(source, plan)
    out.console.print(
        f"Sealed {counted(len(rows), 'file')}, {size:,} bytes, below {plain(source)} under the key {plain(key)}"
    )
    if left:
        some = ", ".join(str(path) for path in left[:_SHOWN]) + (", ..." if len(left) > _SHOWN else "")
        out.console.print(
            f"[yellow]Not in it: {len(left):,} hidden files, links or files that are sealed already[/]: {plain(some)}",
            soft_wrap=True,
        )
    return {"files": rows, "plain_size": size, "passed_over": [str(path) for path in left]}


def _left_open(source: Path, plan: list[tuple[Path, Path]]) -> list[Path]:
    """Return what lies in the folder and was not sealed: whoever deletes the folder afterwards should know."""
    from hauberk.custody.folders import others_of

    sealed = {path for pair in plan for path in pair}
    return others_of(source, sealed)


def _seal_columns(  # noqa: PLR0913, PLR0917 - as above
    out: Output, plan: tuple[Path, Path], keys: KeyService, key: str, columns: str, footer: str, associated: str
) -> dict[str, Any]:
    from hauberk.core.errors import InvalidInput
    from hauberk.core.progress import Progress
    from hauberk.custody.parquet import seal_columns

    if associated:
        raise InvalidInput(
            "--associated is for whole files: Parquet has no place for it. Leave one of the two out."
        )
    source, target = plan
    under = {}
    for part in filter(None, (part.strip() for part in columns.split(","))):
        name, _, own = part.partition("=")
        under[name] = own or key
    with Progress(visible=False if out.json else None).task(f"Sealing columns of {source.name}") as task:
        leaves = seal_columns(source, target, keys, under, footer_key=key, footer=footer, task=task)  # type: ignore[arg-type]
    out.console.print(f"Sealed {len(leaves)} columns in [bold]{plain(target)}[/], compared with {plain(source)}")
    out.console.print(f"columns {plain(', '.join(leaves))}; the footer is {footer}", soft_wrap=True)
    return {"sealed": str(target), "columns": list(leaves), "footer": footer}


@click.command("open")
@click.argument("source", type=click.Path(path_type=Path))
@output_option
@keys_option
@associated_option
@click.option("--key", help="The key it must be sealed under.  [default: the one that the file names]")
@json_option
def open_(  # noqa: PLR0913 - click's arguments
    *, source: Path, output: Path | None, uri: str, associated: str, key: str | None, json: bool
) -> None:
    """Decrypt SOURCE, and write the plaintext only after the whole of it has verified.

    SOURCE is a sealed file, a folder of them, or a Parquet file with sealed columns. A file whose key was erased is
    said to be so, with the receipt, when the ledger is in .hauberk here.
    """
    from hauberk.core.progress import Progress

    plan = [(file, target, _names(file)) for file, target in _check_open(source, output)]
    keys = open_service(uri)
    out, rows = Output(json), []
    with Progress(visible=False if json else None).task(f"Opening {source.name}") as task:
        for at, (file, target, names) in enumerate(plan):
            part = _Part(task, at, len(plan))
            open_one = _open_columns if names else _open_file
            rows.append(open_one(file, target, keys, key, associated, part))
    if source.is_dir():
        size = sum(row["plain_size"] for row in rows)
        out.console.print(
            f"Opened {counted(len(rows), 'file')}, {size:,} bytes, all verified, below {plain(source)}"
        )
        out.document({"files": rows, "plain_size": size})
    else:
        out.console.print(
            f"Opened [bold]{plain(rows[0]['opened'])}[/], {rows[0]['plain_size']:,} bytes, all verified"
        )
        out.document(rows[0])


def _check_open(source: Path, output: Path | None) -> Iterator[tuple[Path, Path]]:
    from hauberk.core.errors import InvalidInput
    from hauberk.custody.folders import sealed_files

    if source.is_dir():
        found, kept = sealed_files((source,))
        folder = output or (source.with_suffix("") if source.suffix == ENDING else source)
        if not found and not kept:
            raise InvalidInput(f"the folder {source} holds no sealed file. Check the path.")
        for file in (*found, *kept):
            yield file, folder / file.relative_to(source).with_name(file.name.removesuffix(ENDING))
    elif output is not None:
        yield source, output
    elif source.suffix == ENDING:
        yield source, source.with_suffix("")
    elif source.name.endswith(f"{ENDING}.parquet"):
        yield source, source.with_name(source.name.removesuffix(f"{ENDING}.parquet") + ".parquet")
    else:
        raise InvalidInput(f"{source} does not end in {ENDING}, so the plaintext needs a name: give --output.")


def _names(file: Path) -> tuple[str, ...]:
    """Return the keys of a Parquet file with sealed columns; none for a sealed file. Before any passphrase."""
    from hauberk.custody import parquet
    from hauberk.custody.sealing import read_header

    names = parquet.key_names(file)
    if not names:
        read_header(file)
    return names


def _open_columns(  # noqa: PLR0913, PLR0917 - as above
    file: Path, target: Path, keys: KeyService, key: str | None, associated: str, task: Task
) -> dict[str, Any]:
    from hauberk.core.errors import InvalidInput, NotProven
    from hauberk.custody import parquet

    names = parquet.key_names(file)
    if associated or (key is not None and key not in names):
        raise InvalidInput(
            f"{file} has columns sealed under {', '.join(names)}, without associated data: name one of these keys."
        )
    try:
        parquet.open_columns(file, target, keys, task=task)
    except (InvalidInput, NotProven) as error:
        raise erased(error, next((name for name in names if name not in keys.names()), names[0])) from error
    return {"opened": str(target), "key": ", ".join(names), "plain_size": target.stat().st_size}


def _open_file(  # noqa: PLR0913, PLR0917 - as above
    file: Path, target: Path, keys: KeyService, key: str | None, associated: str, task: Task
) -> dict[str, Any]:
    from hauberk.core.errors import InvalidInput, NotProven
    from hauberk.custody.sealing import read_header, unseal_file

    header = read_header(file)
    try:
        unseal_file(file, target, keys, key, associated=associated.encode(), task=task)
    except (InvalidInput, NotProven) as error:
        raise erased(error, header.key, _digest(file)) from error
    return {"opened": str(target), "key": header.key, "plain_size": header.plain_size}


def _digest(file: Path) -> str:
    import hashlib

    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


class _Part:
    """One file's share of a bar over many."""

    def __init__(self, task: Task, at: int, of: int) -> None:
        self._task, self._at, self._of = task, at, of

    def update(self, done: float, *, text: str = "") -> None:
        """Pass the share on."""
        self._task.update((self._at + done) / self._of, text=text or f"{self._at + 1} of {self._of}")
