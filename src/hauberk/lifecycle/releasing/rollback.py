"""Roll back: serve the model of an earlier release again, in a new release that records the return.

    1. find and verify it     the release's event, manifest, model and attestations, from ledger and store
    2. log the return         principal, target, replaced release, reason: a signed event that the new release carries
    3. build                  the same model and evidence under a new manifest and a new checkpoint
    4. verify what was built  all nine steps, as `hauberk verify` does, with the pinned key
    5. log the release        with the size of its checkpoint, before anybody can see it
    6. change places          in one step

The old folder itself is not restored: its checkpoint is older than the one that verifiers remember, so they refuse it. A
kill before step 6 leaves the served release in place; run the same command again.

Answers: a bad release that must be replaced now. Does not answer: the effects of predictions already served.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from hauberk import project as projects
from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.core.evidence import Subject
from hauberk.core.principal import UNKNOWN, Principal
from hauberk.custody import dsse, statements
from hauberk.custody.entries import entry_of
from hauberk.custody.seen import Seen
from hauberk.lifecycle.releasing import releases
from hauberk.lifecycle.releasing.releases import Made
from hauberk.project.opening import HOME, open_workshop
from hauberk.records import lineage
from hauberk.records.reader import open_records
from hauberk.records.workshop import LOGGING, SIGNING, Clock, Workshop, utc_now
from hauberk.release import bundle, verification


@dataclass(frozen=True, slots=True)
class Returned:
    """The result of a rollback. target: the release whose model is served again. left: the replaced one. made: the new release.

    seconds: after the keys were opened.
    """

    target: Made
    left: Made | None
    made: Made
    release: Path
    key_id: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the document of `hauberk rollback --json`."""
        return {
            "ok": True,
            "release": str(self.release),
            "to": self.target.to_json(),
            "from": None if self.left is None else self.left.to_json(),
            "made": self.made.to_json(),
            "key": self.key_id,
            "seconds": self.seconds,
        }


def rollback(  # noqa: PLR0913 - all but folder, number and reason are for tests and other front ends
    folder: Path | str = ".",
    *,
    to: int | None = None,
    reason: str = "",
    by: Principal = UNKNOWN,
    passphrase: Callable[[], bytes] | None = None,
    clock: Clock = utc_now,
    seen: Seen | None = None,
    disk: Disk | None = None,
) -> Returned:
    """Return to release number `to`, or without one to the release before the one that is served. by: who does.

    Raises InvalidInput when there is nothing to return to, NotProven when the target, the ledger or what was built does not
    verify (the served release then stays), Unavailable for a full disk. Cost: well under a second beside opening the keys, and
    the time to seal the model.
    """
    project = projects.load(Path(folder))
    disk = disk or Disk()
    memory = seen or Seen(disk=disk)
    with open_workshop(
        project, passphrase=passphrase, clock=clock, seen=memory, disk=disk, by=by, job="rollback"
    ) as workshop:
        clock_started = monotonic()
        place = project.folder / releases.FOLDER
        known = releases.releases(workshop.records)
        left = _left(workshop, place, known)
        target = chosen(known, left, to)
        _return(workshop, place, known, target, left, reason or "no reason was given", memory, disk)
        made = releases.releases(workshop.records)[-1]
        key_id, seconds = workshop.signer.public.key_id, monotonic() - clock_started
    return Returned(target, left, made, place, key_id, seconds)


def chosen(known: Sequence[Made], left: Made | None, to: int | None) -> Made:
    """Return the target release: by number, or the one before the served release. Raises InvalidInput.

    A release that is itself a rollback counts as the release whose model it restored.
    """
    numbers = ", ".join(str(made.number) for made in known[-20:]) or "none"
    if to is not None:
        found = next((made for made in known if made.number == to), None)
        if found is None:
            raise InvalidInput(f"there is no release {to}; the ledger knows: {numbers}.")
        return _origin(known, found)
    if left is None:
        raise InvalidInput(
            f"the release folder is not on record: name the release to return to with --to ({numbers})."
        )
    now = _origin(known, left)
    before = [
        made for made in known if made.number < now.number and made.restores is None and made.model != now.model
    ]
    if not before:
        raise InvalidInput(f"no release came before release {now.number}. Name one with --to; known: {numbers}.")
    return before[-1]


def _origin(known: Sequence[Made], made: Made) -> Made:
    while made.restores is not None:
        made = known[made.restores - 1]
    return made


def _left(workshop: Workshop, place: Path, known: Sequence[Made]) -> Made | None:
    """Return the served release, or None for a folder that is missing or not on record: a rollback repairs that too."""
    try:
        return releases.served(workshop.records, place, known)
    except (InvalidInput, NotProven):
        if not known:
            raise
        return None


def _return(  # noqa: PLR0913, PLR0917 - what is left, what comes, and where
    workshop: Workshop,
    place: Path,
    known: Sequence[Made],
    target: Made,
    left: Made | None,
    reason: str,
    seen: Seen,
    disk: Disk,
) -> None:
    manifest, files = releases.manifest_of(workshop.records, target)  # 1
    attestations = _attestations(workshop, target, files)
    models = {model.name: workshop.artifacts.get(model.sha256) for model in manifest.models}
    card = workshop.artifacts.get(files["card.md"]).decode("utf-8")
    event = lineage.transaction(
        workshop,
        bundle.ROLLED_BACK,
        inputs=tuple(Subject(model.name, model.sha256) for model in manifest.models),
        outputs=(),
        to=target.number,
        left=None if left is None else left.number,
        reason=reason[:500],
    )
    logged = workshop.attest(event)  # 2
    contents = bundle.Contents(
        project=manifest.project,
        made=workshop.now(),
        models=models,
        attestations=attestations | {logged.index: workshop.artifacts.get(logged.digest)},
        about=manifest.about,
        released=manifest.released,
        verdict=manifest.verdict,
        card=card,
        earlier=releases.sizes(known),
        sealer=releases.sealer(workshop) if any(model.sealed for model in manifest.models) else None,
        restores=logged.index,
    )
    log = releases.announced(
        workshop, restores=target.number, made_by="rollback", sealed=contents.sealer is not None
    )

    def announce(built: Path, data: bytes) -> None:
        _verified(workshop, built, seen)  # 4
        log(built, data)  # 5

    bundle.write(  # 3 and 6
        place,
        contents,
        ledger=workshop.ledger,
        signer=workshop.signer,
        publics=workshop.keys.publics(SIGNING),
        log_key=workshop.keys.signer(LOGGING).public,
        announce=announce,
        disk=disk,
    )


def _attestations(workshop: Workshop, target: Made, files: dict[str, str]) -> dict[int, bytes]:
    """Return the release's envelopes by ledger index, each one compared with its ledger entry."""
    found: dict[int, bytes] = {}
    for name, digest in files.items():
        if not name.startswith("attestations/"):
            continue
        index, envelope = int(Path(name).stem), workshop.artifacts.get(digest)
        statement = statements.parse(dsse.decode(envelope, what=name).payload)
        if index >= workshop.ledger.size or workshop.ledger.entry(index) != entry_of(envelope, statement):
            raise NotProven(f"{name} of release {target.number} is not what the ledger has at {index}.")
        found[index] = envelope
    return found


def _verified(workshop: Workshop, built: Path, seen: Seen) -> None:
    """Verify the built release against a copy of this machine's memory, so that its checkpoint is not remembered yet."""
    with tempfile.TemporaryDirectory() as scratch:
        memory = Seen(Path(scratch) / "seen.json")
        known = seen.get(workshop.ledger.origin)
        if known is not None:
            memory.record(workshop.ledger.origin, known)
        verification.verify(built, key=workshop.signer.public, keys=workshop.keys, seen=memory)


def past(folder: Path | str, *, seen: Seen | None = None) -> tuple[list[Made], int | None]:
    """Return every release on record and the number of the one that is at its place, None when that is not on record.

    Needs neither lock nor passphrase nor write access. seen: this user's memory of checkpoints. Raises InvalidInput where
    there is no ledger, NotProven when it was rolled back behind that memory or a record does not hold.
    """
    project = projects.load(Path(folder))
    known = releases.releases(open_records(project.folder / HOME, seen=seen, check_seen=True))
    now = releases.digest_at(project.folder / releases.FOLDER)
    return known, next((made.number for made in known if made.manifest == now), None)
