"""Issue or renew TLS certificates from an authority in a folder, which is made the first time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hauberk.core.errors import InvalidInput
from hauberk.custody.authority import DAYS, Authority, Issued, read_names


@dataclass(frozen=True, slots=True)
class Issuance:
    """What was done. made: whether the authority is new. written: the certificates that were issued or renewed."""

    authority: Authority
    made: bool
    written: tuple[Issued, ...]


def issue(  # noqa: PLR0913 - the authority's terms and the certificates'
    folder: Path,
    names: Sequence[Sequence[str]],
    *,
    now: datetime,
    authority: str,
    client: bool = False,
    days: int = DAYS,
    only: Sequence[str] = (),
) -> Issuance:
    """Issue a certificate for each of `names` (one server's or client's names each); without names renew what is due.

    authority: the name of a new authority. only: domains and networks that limit a new authority. All names are checked
    before anything is made. Raises InvalidInput for names that do not fit, for no authority and no names, and for limits on
    an authority that exists.
    """
    for each in names:
        read_names(each, client=client)
    made = not (folder / "ca.pem").exists()
    if made and not names:
        raise InvalidInput(f"there is no authority in {folder}: name a server, such as localhost, to make one.")
    if only and not made:
        raise InvalidInput(f"there is an authority in {folder} already, and its limits cannot be changed.")
    held = Authority.make(folder, name=authority, now=now, only=only) if made else Authority.open(folder, now=now)
    wanted = [(tuple(each), client) for each in names]
    if not wanted:
        wanted = [(issued.names, issued.client) for issued in held.issued() if issued.due(now)]
    written = tuple(held.issue(which, client=kind, now=now, days=days) for which, kind in wanted)
    return Issuance(held, made, written)
