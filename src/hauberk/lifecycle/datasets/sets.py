"""Registered sets: data that a project's ledger knows by name, each state with its manifest.

`register` logs the transaction `data.imported`. The manifest is stored before the event is logged: a kill leaves no event
without its manifest; a manifest without an event wastes a few bytes.

For a table, a sample of rows is kept too, sealed under the data key. Later audits measure drift against it, when the rows of
that time have been overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Subject
from hauberk.core.progress import Task
from hauberk.custody import sealing
from hauberk.custody.artifacts import Artifacts
from hauberk.data.manifest import Change, Manifest, build, compare
from hauberk.data.manifest.places import is_remote
from hauberk.data.manifest.sampling import TableSample, sample_table
from hauberk.records import lineage
from hauberk.records.lineage import Transaction
from hauberk.records.workshop import SEALING, Workshop

_SAMPLED = 20_000


@dataclass(frozen=True, slots=True)
class Registered:
    """A set in its last recorded state. entry: ledger index of the transaction that recorded it."""

    name: str
    manifest: Manifest
    entry: int
    time: str
    by: str
    source: str
    details: Mapping[str, Any]

    def places(self, folder: Path) -> list[str]:
        """Return the paths or URLs of its files, for a project in `folder`."""
        return [place if is_remote(place) else str(folder / place) for place in self.manifest.places]


@dataclass(frozen=True, slots=True)
class Import:
    """The result of an import. entry: None when this state was on record already. changes: since the last state."""

    state: Manifest
    entry: int | None
    changes: tuple[Change, ...]
    hashed: int
    believed: int
    earlier: bool


def register(  # noqa: PLR0913 - what is known of a set
    workshop: Workshop,
    name: str,
    places: Sequence[str],
    *,
    folder: Path,
    source: str = "",
    target: str = "",
    schema: bytes | None = None,
    fast: bool = False,
    task: Task | None = None,
) -> Import:
    """Register files as the set `name`, or as the new state of that set, in the ledger.

    places: paths or URLs. folder: of the project; paths inside are kept relative to it, so that it may be moved.
    source: where they come from, in words. target: the column that is predicted, for audits to screen. schema: a
    schema file's bytes, for audits to verify. fast: see `manifest.building`. Raises as `build` does, and InvalidInput
    for a name that is empty, too long, or not printable.
    """
    if not name or not name.isprintable() or len(name) > 100:
        raise InvalidInput(f"a set's name is 1 to 100 printable characters, found {name[:100]!r}.")
    before = registered(_known(workshop), workshop.artifacts).get(name)
    built = build(places, earlier=before.manifest if before else None, fast=fast and before is not None, task=task)
    manifest = replace(built.manifest, places=tuple(_relative(place, folder) for place in places))
    changes = compare(before.manifest, manifest) if before else ()
    told = {"target": target, "schema": workshop.artifacts.put(schema) if schema is not None else ""}
    if before is not None:
        told = {key: value or before.details.get(key, "") for key, value in told.items()}
        same = all(before.details.get(key, "") == value for key, value in told.items())
        if before.manifest.root == manifest.root and before.manifest.places == manifest.places and same:
            return Import(manifest, None, (), built.hashed, built.believed, earlier=True)
    statement = lineage.transaction(
        workshop,
        lineage.IMPORTED,
        inputs=(Subject(name, before.manifest.root),) if before else (),
        outputs=(Subject(name, manifest.root),),
        source=source,
        set=name,
        manifest=workshop.artifacts.put(manifest.to_bytes()),
        files=len(manifest.files),
        bytes=manifest.size,
        **_sample(workshop, places),
        **told,
    )
    logged = workshop.attest(statement)
    return Import(manifest, logged.index, changes, built.hashed, built.believed, earlier=before is not None)


def registered(transactions: Iterable[Transaction], artifacts: Artifacts) -> dict[str, Registered]:
    """Return the sets by name, each in its last recorded state.

    Raises NotProven when a manifest in the store was changed.
    """
    last = {str(one.details["set"]): one for one in transactions if one.details.get("manifest")}
    return {
        name: Registered(
            name,
            Manifest.read(artifacts.get(str(one.details["manifest"])), what=f"the manifest of entry {one.index}"),
            one.index,
            one.time,
            one.by,
            one.source,
            one.details,
        )
        for name, one in last.items()
    }


def sample_of(workshop: Workshop, known: Registered) -> TableSample | None:
    """Return the sampled rows of a registered state, or None when none were kept."""
    digest = str(known.details.get("sample", ""))
    if not digest:
        return None
    sealed = workshop.artifacts.get(digest)
    data = sealing.unseal_bytes(
        sealed, workshop.keys, SEALING, associated=_CONTEXT, what=f"the sample of {known.name}"
    )
    return TableSample(str(known.details["sample_ending"]), data)


def schema_of(workshop: Workshop, known: Registered) -> str | None:
    """Return the text of the schema file that was registered with a set, or None."""
    digest = str(known.details.get("schema", ""))
    return workshop.artifacts.get(digest).decode("utf-8") if digest else None


_CONTEXT = b"hauberk sample of a registered set"


def _sample(workshop: Workshop, places: Sequence[str]) -> dict[str, str]:
    found = sample_table(places, rows=_SAMPLED, seed=0)
    if found is None:
        return {}
    sealed = sealing.seal_bytes(found.data, workshop.keys, SEALING, associated=_CONTEXT)
    return {"sample": workshop.artifacts.put(sealed), "sample_ending": found.ending}


def _known(workshop: Workshop) -> tuple[Transaction, ...]:
    return lineage.transactions(workshop.records)


def _relative(place: str, folder: Path) -> str:
    if is_remote(place):
        return place
    path = Path(place.removeprefix("file://")).absolute()
    try:
        return str(path.relative_to(folder.absolute()))
    except ValueError:
        return str(path)
