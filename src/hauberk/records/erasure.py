"""Erasure by destroying a key: every copy of a data set sealed under it becomes unreadable; a receipt is logged.

    1. find what the key opens      the given files and folders, and the project's artifact store
    2. log the intent               so that a kill after step 3 cannot lose the receipt
    3. destroy the key              with whoever holds it
    4. log the receipt              principal, time, key and versions, sealed artifacts

After an interrupted run, run it again: it finds the intent in the ledger and continues. `receipts_of` reads receipts
back, verified, without any secret key.

Answers: data that must be forgotten although copies and backups of its sealed form cannot all be reached (GDPR
art. 17). Does not answer: plaintext that was left anywhere; backups of the key itself (the receipt says which the
holder may have); models that were trained on the data; a principal who acts under another's name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hauberk.core import canonical
from hauberk.core.errors import HauberkError, InvalidInput
from hauberk.core.evidence import Subject
from hauberk.core.principal import Principal
from hauberk.core.progress import Quiet, Task
from hauberk.custody import parquet, sealing
from hauberk.custody.folders import files_of, is_sealed
from hauberk.custody.keys import AES_256, KeyService
from hauberk.custody.statements import Statement
from hauberk.records.index import Question
from hauberk.records.model import Attested
from hauberk.records.reader import open_records
from hauberk.records.workshop import Workshop

ERASING, ERASED = "key.erasing", "key.erased"
_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Receipt:
    """The record of an erasure.

    index: of the entry. key, ids: the destroyed key and its versions. time: RFC 3339. by: the principal that asked.
    waiting_days: 0 when the key is gone; else the days for which its holder keeps it, disabled. remains: what is left to do,
    in words. subjects: the sealed artifacts that can no longer be opened.
    """

    index: int
    key: str
    ids: tuple[str, ...]
    time: str
    by: str
    waiting_days: int
    remains: str
    subjects: tuple[Subject, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the receipt for machines."""
        return {
            "entry": self.index,
            "key": self.key,
            "ids": list(self.ids),
            "time": self.time,
            "by": self.by,
            "waiting_days": self.waiting_days,
            "remains": self.remains,
            "unreadable": [{"name": s.name, "sha256": s.sha256} for s in self.subjects],
        }


def opened_by(
    key: str, paths: Sequence[Path], *, store: Path | None = None, task: Task | None = None
) -> list[Path]:
    """Return the sealed files that name this key, among files and folders and in an artifact store.

    The name in a file is not authenticated. Files that cannot be read as sealed files are skipped.
    """
    task, places = task or Quiet(), [*paths, *([store] if store is not None and store.is_dir() else [])]
    found: dict[Path, None] = {}
    for path in places:
        for file in files_of(path) if path.is_dir() else [path]:
            task.update(0.0, text=file.name)
            if _names(file, key):
                found.setdefault(file)
    return list(found)


def _names(file: Path, key: str) -> bool:
    try:
        if is_sealed(file):
            return sealing.read_header(file).key == key
        return key in parquet.key_names(file)
    except HauberkError:
        return False


def erase(
    workshop: Workshop,
    keys: KeyService,
    key: str,
    *,
    unreadable: Sequence[Path],
    task: Task | None = None,
) -> Receipt:
    """Destroy a data set's key and leave a receipt in the ledger. `unreadable`: as `opened_by` found them.

    Raises InvalidInput for a key that is not there or signs, Unavailable when its holder does not answer; the
    ledger then has at most an intent, and the same call goes on from it.
    """
    intent: Statement | Attested | None = _unfinished(workshop, key)
    algorithm = keys.names().get(key)
    if algorithm is not None:
        if algorithm != AES_256:
            raise InvalidInput(f"key {key!r} is {algorithm}: erasure is for keys that data is sealed under.")
        ids = keys.ids(key)
        subjects = _subjects(key, ids, unreadable, task or Quiet())
        intent = workshop.attest(workshop.event(ERASING, subjects, key=key, ids=list(ids))).statement
    elif intent is None:
        raise InvalidInput(f"no key is named {key[:80]!r}; known: {', '.join(keys.names()) or 'none'}.")
    gone = _destroyed(keys, key, there=algorithm is not None)
    told = {name: intent.predicate["details"][name] for name in ("key", "ids")}
    logged = workshop.attest(workshop.event(ERASED, intent.subjects, **told, **gone))
    return _receipt(logged.index, logged.statement)


def _destroyed(keys: KeyService, key: str, *, there: bool) -> dict[str, Any]:
    try:
        gone = keys.destroy(key)
    except InvalidInput:
        if there:
            raise
        # The run that destroyed it was cut short before its receipt.
        return {"waiting_days": 0, "remains": "This receipt was written by a later run: ask the key's holder."}
    return {"waiting_days": gone.waiting_days, "remains": gone.remains}


def receipts_of(folder: Path, key: str) -> list[Receipt]:
    """Return the receipts of a key's erasures from a project's `.hauberk` folder, the newest first; none without one.

    Raises NotProven when ledger or envelope were changed.
    """
    if not (folder / "ledger" / "checkpoint").is_file() or not (folder / "signing.pub").is_file():
        return []
    found = open_records(folder).find(Question(kinds=(ERASED,)))
    return [_receipt(one.index, one) for one in found[::-1] if _about(one, key)]


def _unfinished(workshop: Workshop, key: str) -> Attested | None:
    """Return the last intent to erase this key when no receipt followed it."""
    found = workshop.records.find(Question(kinds=(ERASING, ERASED)))
    last = next((one for one in reversed(found) if _about(one, key)), None)
    return last if last is not None and last.predicate["event"] == ERASING else None


def _subjects(key: str, ids: Sequence[str], unreadable: Sequence[Path], task: Task) -> tuple[Subject, ...]:
    """Return the key itself first, under a digest of its ids, then each file."""
    subjects = {_name(key): hashlib.sha256(canonical.encode(list(ids))).hexdigest()}
    for at, path in enumerate(unreadable):
        task.update(at / len(unreadable), text=path.name)
        with path.open("rb") as file:
            subjects[str(path)] = hashlib.file_digest(file, "sha256").hexdigest()
    return tuple(Subject(name, digest) for name, digest in subjects.items())


def _name(key: str) -> str:
    return f"key:{key}"


def _about(one: Attested, key: str) -> bool:
    return any(subject.name == _name(key) for subject in one.subjects)


def _receipt(index: int, said: Statement | Attested) -> Receipt:
    details = said.predicate["details"]
    return Receipt(
        index=index,
        key=str(details["key"]),
        ids=tuple(details["ids"]),
        time=str(said.predicate["time"]),
        by=str(Principal.read(said.predicate.get("by"))),
        waiting_days=int(details["waiting_days"]),
        remains=str(details["remains"]),
        subjects=tuple(subject for subject in said.subjects if subject.name != _name(str(details["key"]))),
    )
