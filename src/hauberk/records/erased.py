"""Why a sealed file does not open: its key was erased, if the ledger has a receipt for it."""

from __future__ import annotations

from pathlib import Path

from hauberk.core.errors import HauberkError, InvalidInput
from hauberk.records.erasure import receipts_of


def explained(error: HauberkError, home: Path, key: str, sha256: str | None = None) -> HauberkError:
    """Return the error to show for a file that does not open: one that cites the erasure receipt, if there is one.

    home: the `.hauberk` folder with the ledger. sha256: of the file, hex, to find the receipt that names it; without it
    any receipt for the key counts. Returns `error` itself when the ledger has no receipt for the key.
    """
    receipts = receipts_of(home, key)
    if not receipts:
        return error
    named = [receipt for receipt in receipts if sha256 in {subject.sha256 for subject in receipt.subjects}]
    receipt = (named or receipts)[0]
    gone = (
        f"its holder deletes it {receipt.waiting_days} days after that, and nobody"
        if receipt.waiting_days
        else "nobody"
    )
    certain = "The receipt names this very file." if named else "The receipt does not name this file."
    return InvalidInput(
        f"its key {key!r} was erased on {receipt.time} by {receipt.by}, according to ledger entry {receipt.index}: {gone} can "
        f"open it any more. {certain} `hauberk ledger prove {receipt.index}` proves the entry. (The original error: {error})"
    )
