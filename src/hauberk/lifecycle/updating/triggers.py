"""When an update is due: by schedule, by the number of new rows, by drift, or by an incident.

New files match `[update] data` and no finished update has processed them, compared by digest. An incident is a file
`.hauberk/incidents/NAME.json` with {"id": "...", "what": "..."}, written by another process. It requests one update and is
answered once an update lists it among its reasons, whatever the verdict. Reads the ledger; needs no secret key.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hauberk.core.errors import InvalidInput
from hauberk.data.reading.loading import DataSpec, fingerprint, load
from hauberk.lifecycle.controls.drift import drifted
from hauberk.lifecycle.updating.batches import read_new
from hauberk.lifecycle.updating.update import PROMOTED, REFUSED
from hauberk.project import Project, scheduling
from hauberk.project.opening import HOME
from hauberk.records import lineage
from hauberk.records.index import Question
from hauberk.records.reader import open_records

INCIDENTS = "incidents"
POLL = "* * * * *"  # each minute, as a watching process looks
_LARGEST = 1 << 20  # bytes of an incident's file


@dataclass(frozen=True, slots=True)
class Due:
    """Whether an update is due. files: the new files. rows: how many rows they have, when they were counted.

    reasons: "schedule", "new rows: 1,204", "drift: age", "incident:ID"; () when none is due.
    """

    reasons: tuple[str, ...]
    files: tuple[str, ...]
    rows: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"due": bool(self.reasons)} | asdict(self)


@dataclass(frozen=True, slots=True)
class _Past:
    """Earlier updates. last: the end of the last one. taken: digests of processed files. answered: reasons already acted on."""

    last: datetime | None
    taken: frozenset[str]
    answered: frozenset[str]


def due(project: Project, *, now: datetime) -> Due:
    """Return what is due at `now` (with a time zone), and the new files. Raises InvalidInput without a release.

    Cost: schedule and incidents read the ledger; counting rows reads the new files; drift reads the declared data too.
    """
    past = _past(project)
    files = _new_files(project, past)
    reasons = [f"incident:{name}" for name in _incidents(project) if f"incident:{name}" not in past.answered]
    asked, rows = project.update, None
    if asked.schedule and files and scheduling.is_due(asked.schedule, past.last, now):
        reasons.append("schedule")
    if files and (asked.new_rows is not None or asked.drift):
        spec = project.data
        base = load(spec, seed=project.seed)
        new = read_new(spec, files, base.train).side
        rows = len(new)
        if asked.new_rows is not None and rows >= asked.new_rows:
            reasons.append(f"new rows: {rows:,}")
        if asked.drift:
            moved = dict.fromkeys(one.column for one in drifted(new, base.train).measures if one.drifted)
            reasons += [f"drift: {', '.join(list(moved)[:5])}"] if moved else []
    return Due(tuple(reasons), tuple(files), rows)


def watch(
    look: Callable[[], None],
    *,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    rounds: int | None = None,
) -> None:
    """Call `look` each minute until interrupted. rounds: stop after this number of calls."""
    scheduling.watch(POLL, look, clock=clock, sleep=sleep, rounds=rounds)


def _past(project: Project) -> _Past:
    home = project.folder / HOME
    if not (home / "ledger" / "checkpoint").is_file():
        raise InvalidInput(f"there is no release in {project.folder} yet. Run `hauberk protect` first.")
    records = open_records(home)
    last, batches, answered = None, set[str](), set[str]()
    for one in records.find(Question(kinds=(PROMOTED, REFUSED, lineage.RELEASED))):
        last = datetime.fromisoformat(one.time).astimezone()
        batches.add(str(one.predicate["details"].get("batch")))
        answered |= {str(reason) for reason in one.predicate["details"].get("reasons", [])}
    offered = lineage.transactions(records, lineage.OFFERED)
    taken = {file.sha256 for one in offered if one.outputs[0].sha256 in batches for file in one.inputs}
    return _Past(last, frozenset(taken), frozenset(answered))


def _new_files(project: Project, past: _Past) -> list[str]:
    found = []
    for pattern in project.update.data:
        for name in sorted(glob.glob(str(project.folder / pattern), recursive=True)):  # noqa: PTH207 - patterns may be absolute
            if Path(name).name.startswith(".") or name in found:
                continue
            (subject,) = fingerprint(DataSpec(project.data.kind, (name,)))
            if subject.sha256 not in past.taken:
                found.append(name)
    return found


def _incidents(project: Project) -> Sequence[str]:
    found = []
    for path in sorted((project.folder / HOME / INCIDENTS).glob("*.json")):
        told = _incident(path)
        found.append(str(told["id"]))
    return found


def _incident(path: Path) -> Mapping[str, Any]:
    expected = 'expected {"id": "...", "what": "..."}'
    try:
        with path.open("rb") as file:
            told = json.loads(file.read(_LARGEST))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} is not an incident: {error}; {expected}. Correct or remove it.") from error
    if not isinstance(told, dict) or not isinstance(told.get("id"), str) or not told["id"].strip():
        raise InvalidInput(f"{path} is not an incident: {expected}. Correct or remove it.")
    return told
