"""What the commands about sealed files share: the key service, its default key, and how files are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hauberk.cli._output import OutputPath

if TYPE_CHECKING:
    from hauberk.core.errors import HauberkError
    from hauberk.custody.keys.port import KeyService

F = TypeVar("F", bound=Callable[..., Any])

ENDING = ".sealed"
KEY = "data"
HOME = Path(".hauberk")

associated_option = click.option(
    "--associated", default="", help="What the file is; has to be the same to open it. Not secret."
)
output_option = click.option("--output", type=OutputPath(), help="Where to write; is replaced when it exists.")


def open_service(uri: str, *, create: bool = False) -> KeyService:
    """Open the key holder that a URI names, with this user's passphrase."""
    import os

    from hauberk.custody.keys import open_keys
    from hauberk.custody.keys.standing import standing_passphrase

    return open_keys(uri, passphrase=standing_passphrase(os.environ), create=create)


def plain(text: object) -> str:
    """Return text for rich to print as it is: a file may be called "[red]"."""
    from rich.markup import escape

    return escape(str(text))


def erased(error: HauberkError, key: str, sha256: str | None = None) -> HauberkError:
    """Return what to say of a file that does not open: that its key was erased, if the ledger here says so."""
    from hauberk.core.errors import InvalidInput
    from hauberk.records.erasure import receipts_of

    receipts = receipts_of(HOME, key)
    named = [receipt for receipt in receipts if sha256 in {subject.sha256 for subject in receipt.subjects}]
    if not receipts:
        return error
    receipt = (named or receipts)[0]
    gone = (
        f"its holder deletes it {receipt.waiting_days} days after that, and nobody"
        if receipt.waiting_days
        else "nobody"
    )
    certain = "The receipt names this very file." if named else "The receipt does not name this file."
    return InvalidInput(
        f"its key {key!r} was erased on {receipt.time} by {receipt.by}, as ledger entry {receipt.index} says: {gone} can "
        f"open it any more. {certain} `hauberk ledger prove {receipt.index}` proves the entry. (It said: {error})"
    )
