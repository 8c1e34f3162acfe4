"""`hauberk ledger`: look at the ledger, take a proof out of it, and audit it without trusting who wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hauberk.cli._output import Output, OutputPath, json_option
from hauberk.core.text import one_line

if TYPE_CHECKING:
    from hauberk.custody.keys.port import PublicKey

_folder_option = click.option(
    "--ledger",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".hauberk/ledger"),
    show_default=True,
    help="The ledger's folder.",
)


@click.group("ledger")
def ledger() -> None:
    """Show, prove and audit what was logged."""


@ledger.command("show")
@_folder_option
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, the newest.")
@json_option
def show(folder: Path, limit: int, json: bool) -> None:  # noqa: FBT001 - click passes options by name
    """List the newest entries: index, time, kind and subject."""
    from rich.table import Table
    from rich.text import Text

    from hauberk.custody.ledger import Ledger

    public = _neighbour(folder)
    log = Ledger.open(folder, publics=() if public is None else (public,))
    first = max(0, log.size - limit)
    rows = [{"index": first + at, **_summary(entry)} for at, entry in enumerate(log.entries(first))]
    out = Output(json)
    out.document(
        {
            "origin": log.origin,
            "size": log.size,
            "root": log.root().hex(),
            "signature_checked": public is not None,
            "entries": rows,
        }
    )
    table = Table("index", "time", "kind", "subject", title=Text(one_line(log.origin)), title_justify="left")
    for row in rows:
        table.add_row(str(row["index"]), *(Text(one_line(str(row[key]))) for key in ("time", "kind", "subject")))
    out.console.print(table)
    out.console.print(f"{log.size:,} entries, root {log.root().hex()}", soft_wrap=True)
    if public is None:
        out.console.print(
            f"The signature was not checked: there is no {_neighbour_file(folder)}.", style="yellow", soft_wrap=True
        )


@ledger.command("prove")
@click.argument("index", type=click.IntRange(min=0))
@_folder_option
@click.option("--output", type=OutputPath(), help="Write here, best as .tlog-proof.")
@json_option
def prove(index: int, folder: Path, output: Path | None, json: bool) -> None:  # noqa: FBT001 - as above
    """Write a proof of entry INDEX that anybody can check offline (c2sp.org/tlog-proof@v1)."""
    from hauberk.core import outputs
    from hauberk.custody.ledger import Ledger, merkle, tlogproof

    public = _neighbour(folder)
    log = Ledger.open(folder, publics=() if public is None else (public,))
    entry = log.entry(index)
    text = log.tlog_proof(index)
    if output is not None:
        outputs.write(output, text)
    out = Output(json)
    out.document(
        {
            "origin": log.origin,
            "index": index,
            "size": log.size,
            "root": log.root().hex(),
            "leaf_hash": merkle.leaf_hash(entry).hex(),
            "hashes": [value.hex() for value in tlogproof.parse(text).hashes],
            "proof": text.decode(),
            "output": None if output is None else str(output),
        }
    )
    if output is not None:
        out.console.print(f"Entry {index} of {log.size:,} proven in {output}", markup=False, soft_wrap=True)
    elif not json:
        click.echo(text, nl=False)


@ledger.command("audit")
@_folder_option
@click.option(
    "--key", metavar="VKEY|PEM-FILE", help="The log's published key. Without it, the ledger's neighbour's."
)
@click.option(
    "--since",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A checkpoint kept from before: detects a roll-back and a fork.",
)
@json_option
def audit(folder: Path, key: str | None, since: Path | None, json: bool) -> None:  # noqa: FBT001 - as above
    """Trace every byte of the ledger to its signed root; exit code 1 when anything was altered."""
    from hauberk.core.progress import Progress
    from hauberk.custody.ledger import Ledger

    public, origin = _key(folder, key)
    log = Ledger.open(folder, publics=(public,))
    with Progress(visible=False if json else None).task("auditing the ledger") as task:
        found = log.audit(public, origin=origin, task=task)
    if since is not None:
        log.check_extends(since.read_bytes(), public)
    pinned = key is not None
    out = Output(json)
    out.document(
        {
            "ok": True,
            "origin": found.origin,
            "size": found.size,
            "root": found.root,
            "files_checked": found.files,
            "files_ignored": found.ignored,
            "key_id": public.key_id,
            "key_pinned": pinned,
            "extends": None if since is None else str(since),
        }
    )
    out.console.print(f"[green]The ledger holds[/green]: {found.size:,} entries, root {found.root}", soft_wrap=True)
    out.console.print(
        f"{found.files:,} files checked, {found.ignored:,} ignored that the checkpoint does not cover.",
        soft_wrap=True,
    )
    out.console.print(
        f"Signed by key {public.key_id[:16]} as {one_line(found.origin)}", markup=False, soft_wrap=True
    )
    if since is not None:
        out.console.print(
            f"It extends the checkpoint in {since}: no roll-back, no fork.", markup=False, soft_wrap=True
        )
    if not pinned:
        out.console.print(
            f"The key is not pinned: it was read from {_neighbour_file(folder)}, which whoever alters the ledger "
            "could alter too. Give the published key with --key.",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )


def _key(folder: Path, key: str | None) -> tuple[PublicKey, str | None]:
    from hauberk.core.errors import InvalidInput
    from hauberk.custody.keys.port import PublicKey
    from hauberk.custody.ledger import parse_vkey

    if key is None:
        public = _neighbour(folder)
        if public is None:
            raise InvalidInput(f"there is no {_neighbour_file(folder)}: give the ledger's key with --key.")
        return public, None
    if Path(key).is_file():
        return PublicKey.from_pem(Path(key).read_bytes()), None
    if "+" not in key:
        raise InvalidInput(f"--key {key!r} is neither a PEM file nor a verifier key `name+id+base64`.")
    found = parse_vkey(key)
    return found.public, found.name


def _neighbour_file(folder: Path) -> Path:
    return folder.parent / "ledger.pub"


def _neighbour(folder: Path) -> PublicKey | None:
    from hauberk.custody.keys.port import PublicKey

    file = _neighbour_file(folder)
    return PublicKey.from_pem(file.read_bytes()) if file.is_file() else None


def _summary(entry: bytes) -> dict[str, Any]:
    from hauberk.core import canonical
    from hauberk.core.errors import InvalidInput

    digest = canonical.sha256(entry)
    try:
        record = canonical.decode(entry, what="entry")
    except InvalidInput:
        record = None
    if not isinstance(record, dict) or not {"time", "kind", "subjects"} <= record.keys():
        return {"time": "", "kind": "bytes", "subject": f"{len(entry)} bytes, sha256 {digest}", "digest": digest}
    return {
        "time": str(record["time"]),
        "kind": str(record["kind"]),
        "subject": _subject(record["subjects"]),
        "digest": digest,
    }


def _subject(value: object) -> str:
    # A name, a record with a name, or several of either.
    if isinstance(value, list):
        return ", ".join(_subject(item) for item in value)
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return str(value["name"])
    return value if isinstance(value, str) else str(value)
