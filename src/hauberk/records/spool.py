"""Events at a high rate: written durably to segment files, each of which is attested once by a signed Merkle root.

    HOME/spool/NAME.events     a segment: a header line, then one line an event: CRC-32 (8 hex digits), space, RFC 8785 JSON
    HOME/spool/NAME.attested   where the attestation of a closed segment is: ledger index and digest of its envelope

A segment is closed after a second or 10,000 events, whichever comes first, and one event `events.segment` is attested
for it: its name, the number of events and the root over them (RFC 6962 §2.1; an event's JSON bytes are its leaf). An
event is proven by its path to that root, the signed attestation, and the attestation's path to the ledger's signed
checkpoint. The name holds the opening time and a random part, so any number of processes may spool into one project; a
process holds a lock on the segment that it writes.

After a kill, the next `Spool` that is opened takes up segments that nobody holds: lines that are whole are kept, a torn
rest is removed, and the segment is attested; the attestation says that it was recovered, and how many bytes were removed.

Answers: events changed, removed, reordered or inserted in a segment (a running process signs the root over what it was
given, not over what it reads back; a segment is attested once); kills and full disks at any moment. Does not answer: a
recovered segment, which whoever may write the folder could change or invent before the opening that attests it; events
that were never added.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import zlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hauberk.core import canonical
from hauberk.core.disk import Disk, explain
from hauberk.core.errors import HauberkError, InvalidInput, NotProven, Unavailable
from hauberk.core.evidence import Subject
from hauberk.custody import locks, statements
from hauberk.custody.artifacts import Artifacts
from hauberk.custody.entries import entry_of, read_entry
from hauberk.custody.group import GroupCommit
from hauberk.custody.keys.port import PublicKey
from hauberk.custody.ledger import Ledger, VerifierKey, levels, merkle, tlogproof
from hauberk.custody.statements import Statement
from hauberk.records.reader import read_publics
from hauberk.records.workshop import Clock, Logged, Workshop, rfc3339, utc_now

SEGMENT_EVENT = "events.segment"
FOLDER = "spool"
SPAN = timedelta(seconds=1)
MOST_EVENTS = 10_000
LARGEST_EVENT = 65_535

_HEADER, _VERSION = "hauberk.spool", 1
_PROOF, _PROOF_VERSION = "hauberk.spool.proof", 1
_EVENTS, _ATTESTED = ".events", ".attested"
_LOCK, _WAIT_S = ".attesting", 30.0
_MOST_PENDING = 60  # closed segments that could not be attested; then events are refused


@dataclass(frozen=True, slots=True)
class Place:
    """Where an event is: the segment's name and the event's index in it, from 0."""

    segment: str
    index: int


@dataclass(slots=True)
class _Segment:
    """A segment that this process writes and holds the lock of. leaves, digest: over what is durable."""

    path: Path
    descriptor: int
    opened: datetime
    size: int
    digest: Any  # a running hashlib.sha256 over the file
    leaves: list[bytes] = field(default_factory=list)
    broken: bool = False  # the file holds more than was acknowledged


@dataclass(frozen=True, slots=True)
class _Closed:
    """What is attested of a segment: its file's name and SHA-256, the number of events, their root, removed bytes.

    recovered: it was read back from a file that another process left.
    """

    subject: Subject
    events: int
    root: bytes
    torn: int = 0
    recovered: bool = False


class Spool(AbstractContextManager["Spool"]):
    """Writes events of one process; safe to share between threads. Use as a context manager."""

    def __init__(
        self,
        workshop: Workshop,
        *,
        clock: Clock = utc_now,
        span: timedelta = SPAN,
        most: int = MOST_EVENTS,
        disk: Disk | None = None,
    ) -> None:
        """Open the spool of a project, and attest what killed processes left.

        clock: decides when a segment is a `span` old. most: events a segment. Raises Unavailable (disk full, ledger
        locked), NotProven for a ledger that was tampered with, InvalidInput for a segment of an unknown version.
        """
        self._workshop, self._clock, self._span, self._most = workshop, clock, span, most
        self._disk = disk or Disk()
        self._folder = workshop.folder / FOLDER
        self._segment: _Segment | None = None
        self._pending: list[_Segment] = []
        self._untried = False
        self._group: GroupCommit[tuple[bytes, ...], list[Place]] = GroupCommit(self._commit)
        try:
            self._disk.make_folder(self._folder)
        except OSError as error:
            raise explain(error, self._folder) from error
        recover(workshop, disk=self._disk)

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, event: Mapping[str, Any]) -> Place:
        """Write one event, a JSON object of at most 65,535 bytes; return its place once it is durable.

        Threads that call at once share one sync of the disk. Raises InvalidInput for what JSON cannot hold; Unavailable
        when the disk is full, or 60 segments could not be attested; NotProven when the ledger was tampered with.
        """
        return self.add_many((event,))[0]

    def add_many(self, events: Sequence[Mapping[str, Any]]) -> list[Place]:
        """As `add`, for several: one sync of the disk for all of one segment. After an error, a part may be recorded."""
        encoded = tuple(_encoded(event) for event in events)
        return self._group.submit(encoded) if encoded else []

    def tick(self) -> None:
        """Attest the open segment if its time is up. Call it once a second where events may stay away.

        Raises what prevented a closed segment from being attested; its events are durable, and the next call tries again.
        """
        self._group.submit(())

    def close(self) -> None:
        """Attest what is open; no thread may be adding. Raises as `tick`, and then the next opening attests it."""
        try:
            self._roll()
            self._attest()
        finally:
            for segment in self._pending:
                os.close(segment.descriptor)
            self._pending.clear()

    # -- one thread at a time -------------------------------------------------------------------------------

    def _commit(self, batch: Sequence[tuple[bytes, ...]]) -> list[list[Place]]:
        if self._segment is not None and self._clock() - self._segment.opened >= self._span:
            self._roll()
        if not any(batch) or len(self._pending) >= _MOST_PENDING:
            self._attest()
        places = self._write([event for events in batch for event in events])
        if self._segment is not None and len(self._segment.leaves) >= self._most:
            self._roll()
        if self._untried:
            # These events are durable, so a ledger that cannot be written now must not fail them: the next segment tries
            # again, `tick` raises what is wrong, and so does an event when too many segments wait.
            self._untried = False
            with suppress(HauberkError):
                self._attest()
        found, at = [], 0
        for events in batch:
            found.append(places[at : at + len(events)])
            at += len(events)
        return found

    def _write(self, events: Sequence[bytes]) -> list[Place]:
        places: list[Place] = []
        while len(places) < len(events):
            segment = self._segment or self._begin()
            room = self._most - len(segment.leaves)
            some = events[len(places) : len(places) + room]
            data = b"".join([_line(event) for event in some])
            try:
                self._disk.store(segment.descriptor, data)
                self._disk.sync(segment.descriptor)
            except OSError as error:
                self._abandon(segment)
                raise explain(error, segment.path) from error
            first = len(segment.leaves)
            segment.leaves += [merkle.leaf_hash(event) for event in some]
            segment.digest.update(data)
            segment.size += len(data)
            places += [Place(segment.path.stem, first + at) for at in range(len(some))]
            if len(segment.leaves) >= self._most and len(places) < len(events):
                self._roll()
        return places

    def _begin(self) -> _Segment:
        now = self._clock()
        name = f"{now.astimezone(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(8)}"
        path = self._folder / f"{name}{_EVENTS}"
        hidden = self._folder / f".{name}.tmp"
        header = _header(name, now)
        try:
            # It gets its name when it is locked and has a header, so that nobody takes it for one that was left.
            descriptor = locks.take(hidden, wait=0, busy=f"{hidden} is held by another process.")
            self._disk.store(descriptor, header)
            self._disk.sync(descriptor)
            self._disk.rename(hidden, path)
            self._disk.sync_folder(self._folder)
        except OSError as error:
            raise explain(error, path) from error
        self._segment = _Segment(path, descriptor, now, len(header), hashlib.sha256(header))
        return self._segment

    def _abandon(self, segment: _Segment) -> None:
        # Half a batch may be on disk. It is cut off, so that a failed event is not attested; where that fails too, the
        # segment is closed as it is: an event that was not acknowledged may then be recorded, none is lost.
        with suppress(OSError):
            os.ftruncate(segment.descriptor, segment.size)
            os.lseek(segment.descriptor, segment.size, os.SEEK_SET)
            return
        segment.broken = True
        self._roll()

    def _roll(self) -> None:
        if self._segment is not None:
            self._pending.append(self._segment)
            self._segment, self._untried = None, True

    def _attest(self) -> None:
        while self._pending:
            segment = self._pending[0]
            closed = None if segment.broken else _closed(segment)
            _attest(self._workshop, segment.path, closed, self._disk)
            locks.release(segment.descriptor)
            del self._pending[0]


def recover(workshop: Workshop, *, disk: Disk | None = None) -> list[str]:
    """Attest the segments that no process holds and that are not attested yet; return their names.

    A segment that another process is writing is left to it.
    """
    disk = disk or Disk()
    found = []
    for path in sorted((workshop.folder / FOLDER).glob(f"*{_EVENTS}")):
        if path.with_suffix(_ATTESTED).exists():
            continue
        try:
            lock = locks.take(path, wait=0, busy=f"{path} is being written.")
        except Unavailable:
            continue
        try:
            if path.exists() and not path.with_suffix(_ATTESTED).exists():
                _attest(workshop, path, None, disk)
                found.append(path.stem)
        finally:
            locks.release(lock)
    return found


def read_segment(home: Path, name: str) -> list[dict[str, Any]]:
    """Return the events of an attested segment, verified against the signed root. Needs neither lock nor passphrase.

    home: the project's `.hauberk`. Raises NotProven when an event was changed, removed, reordered or inserted, or the
    attestation does not hold; InvalidInput when there is no such segment or it is not attested yet.
    """
    lines, _ = _attested(home, name)
    return [canonical.decode(line, what=f"an event of {name}") for line in lines]


def prove(home: Path, place: Place) -> dict[str, Any]:
    """Return a JSON document that proves one event offline with `verify`. Raises as `read_segment`. O(events)."""
    events, logged = _attested(home, place.segment)
    if not 0 <= place.index < len(events):
        raise InvalidInput(f"segment {place.segment} has {len(events)} events; there is no {place.index}.")
    with _log(home) as ledger:
        proof = ledger.tlog_proof(logged.index)
    tree = levels.levels([merkle.leaf_hash(event) for event in events])
    return {
        "type": _PROOF,
        "version": _PROOF_VERSION,
        "event": canonical.decode(events[place.index], what="the event"),
        "index": place.index,
        "hashes": [value.hex() for value in levels.inclusion(tree, place.index)],
        "envelope": _store(home).get(logged.digest).decode("utf-8"),
        "ledger": proof.decode("utf-8"),
    }


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof shows. event: as added. place: where it is. attested: when, as the signer says. index: in the ledger."""

    event: dict[str, Any]
    place: Place
    attested: str
    index: int


def verify(proof: Mapping[str, Any], *, signers: Sequence[PublicKey], log: Sequence[VerifierKey]) -> Proven:
    """Verify a document of `prove` offline; return what it proves.

    1. one of `signers` signed the attestation        a forged or changed attestation      NotProven
    2. it is the attestation of a segment             another statement of the same key    NotProven
    3. the event leads to the segment's root          another event, index or segment      NotProven
    4. the attestation is in the ledger of `log`      an attestation that was not logged   NotProven

    Raises InvalidInput for a document of another type or version.
    """
    if (proof.get("type"), proof.get("version")) != (_PROOF, _PROOF_VERSION):
        raise InvalidInput(
            f"not a proof of an event: expected type {_PROOF}, version {_PROOF_VERSION}, "
            f"found {str(proof.get('type'))[:80]!r}, {str(proof.get('version'))[:20]!r}."
        )
    try:
        index, event = proof["index"], canonical.encode(proof["event"])
        hashes = [bytes.fromhex(value) for value in proof["hashes"]]
        envelope, logged = proof["envelope"].encode(), proof["ledger"].encode()
        if type(index) is not int:
            raise TypeError
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput("the proof of an event is malformed: ask for a new one.") from error
    statement = statements.open_attestation(envelope, signers, what="the attestation of the segment")  # 1
    name, count, root = _claims(statement)  # 2
    merkle.verify_inclusion(merkle.leaf_hash(event), index, count, hashes, root)  # 3
    opened, _ = tlogproof.open(logged, entry_of(envelope, statement), log)  # 4
    return Proven(proof["event"], Place(name, index), str(statement.predicate.get("time", "")), opened.index)


# -- a segment's bytes ----------------------------------------------------------------------------------------


def _encoded(event: Mapping[str, Any]) -> bytes:
    data = canonical.encode(dict(event))
    if len(data) > LARGEST_EVENT:
        raise InvalidInput(
            f"an event has at most {LARGEST_EVENT} bytes of JSON, found {len(data)}. Store it as an artifact."
        )
    return data


def _line(event: bytes) -> bytes:
    return b"%08x %b\n" % (zlib.crc32(event), event)


def _header(name: str, opened: datetime) -> bytes:
    value = {"type": _HEADER, "version": _VERSION, "segment": name, "opened": rfc3339(opened)}
    return _line(canonical.encode(value))


def _whole(line: bytes) -> bytes | None:
    """Return what a line (without its newline) holds, None when it is torn."""
    event = line[9:]
    return event if line[:9] == b"%08x " % zlib.crc32(event) and event else None


def _parse(data: bytes, path: Path) -> tuple[dict[str, Any] | None, list[bytes], int]:
    """Return a segment's header (None when it is torn), its whole events, and how many bytes are torn."""
    lines = data.split(b"\n")
    rest = lines.pop()
    found = [_whole(line) for line in lines]
    torn = len(rest) + sum(len(line) + 1 for line, event in zip(lines, found, strict=True) if event is None)
    if not found or found[0] is None:
        return None, [], len(data)
    header = canonical.decode(found[0], what=f"the header of {path}")
    if not isinstance(header, dict) or (header.get("type"), header.get("version")) != (_HEADER, _VERSION):
        raise InvalidInput(
            f"{path} is not a segment of version {_VERSION}: open it with the Hauberk that wrote it."
        )
    return header, [event for event in found[1:] if event is not None], torn


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InvalidInput(f"there is no segment {path}. Check its name, or restore it from a backup.") from error
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}.") from error


# -- attesting ------------------------------------------------------------------------------------------------


def _closed(segment: _Segment) -> _Closed:
    subject = Subject(segment.path.name, segment.digest.hexdigest())
    return _Closed(subject, len(segment.leaves), levels.root_of(segment.leaves))


def _attest(workshop: Workshop, path: Path, closed: _Closed | None, disk: Disk) -> None:
    """Attest a segment whose lock is held, and note where. closed: None for one that another process left."""
    lock = path.parent / _LOCK
    busy = f"another process has held {lock} for {_WAIT_S:g} s. Find it with `lslocks`, and end it if it hangs."
    with locks.held(lock, wait=_WAIT_S, busy=busy):
        if path.with_suffix(_ATTESTED).exists():
            return
        try:
            logged = (
                _recovered(workshop, path, disk)
                if closed is None
                else workshop.attest(_statement(workshop, closed))
            )
            if logged is not None:
                value = {"version": 1, "index": logged.index, "envelope": logged.digest}
                disk.write(path.with_suffix(_ATTESTED), canonical.encode(value))
        except OSError as error:
            raise explain(error, path) from error


def _recovered(workshop: Workshop, path: Path, disk: Disk) -> Logged | None:
    """Attest what is whole of a segment that a killed process left. None: it held no event, and was removed."""
    data = _read(path)
    header, events, torn = _parse(data, path)
    if header is None and b"\n" in data:
        # The header is durable before the file gets its name: this is no kill, and events may follow.
        raise NotProven(
            f"{path} has no valid header: it was changed. Keep it as evidence, move it out of the folder, and run this again."
        )
    if header is None or not events:
        disk.remove(path)  # nothing was acknowledged from it
        return None
    if torn:
        data = _line(canonical.encode(header)) + b"".join([_line(event) for event in events])
        disk.write(path, data)
    root = levels.root_of([merkle.leaf_hash(event) for event in events])
    closed = _Closed(Subject(path.name, canonical.sha256(data)), len(events), root, torn, recovered=True)
    return _already(workshop, closed) or workshop.attest(_statement(workshop, closed))


def _statement(workshop: Workshop, closed: _Closed) -> Statement:
    return workshop.event(
        SEGMENT_EVENT,
        (closed.subject,),
        segment=Path(closed.subject.name).stem,
        events=closed.events,
        root=closed.root.hex(),
        torn_bytes=closed.torn,
        recovered=closed.recovered,
    )


def _already(workshop: Workshop, closed: _Closed) -> Logged | None:
    """Return the attestation of a process that was killed between logging it and noting where it is.

    Looks at the whole ledger, as nothing in the file can be trusted to say where to begin. Raises NotProven when the
    segment was attested with other bytes: events were changed after that, and the note of it was removed.
    """
    ledger = workshop.records.ledger
    name = canonical.encode(closed.subject.name)
    for index, data in enumerate(ledger.entries()):
        if name not in data:
            continue
        entry = read_entry(data, what=f"ledger entry {index}")
        if entry.kind != SEGMENT_EVENT or [subject.name for subject in entry.subjects] != [closed.subject.name]:
            continue
        if entry.subjects != (closed.subject,):
            raise NotProven(
                f"segment {closed.subject.name} was attested with other bytes, by ledger entry {index}: it was changed since, "
                "and the note of its attestation was removed. Keep it as evidence and restore it from a backup."
            )
        with suppress(HauberkError):
            return workshop.recall(index, entry.envelope)
    return None


# -- reading --------------------------------------------------------------------------------------------------


def _log(home: Path) -> Ledger:
    return Ledger.open(home / "ledger", publics=read_publics(home / "ledger.pub"))


def _store(home: Path) -> Artifacts:
    return Artifacts(home / "store")


def _attested(home: Path, name: str) -> tuple[list[bytes], Logged]:
    """Return the events and the attestation of a segment, each verified."""
    if "/" in name or name.startswith("."):
        raise InvalidInput(f"{name[:80]!r} is not the name of a segment.")
    path = home / FOLDER / f"{name}{_EVENTS}"
    data = _read(path)
    logged = _attestation(home, path)
    claimed, count, root = _claims(logged.statement)
    header, events, torn = _parse(data, path)
    found = levels.root_of([merkle.leaf_hash(event) for event in events])
    subject = Subject(path.name, canonical.sha256(data))
    intact = not torn and header is not None and logged.statement.subjects == (subject,)
    if not intact or (claimed, count, root) != (name, len(events), found):
        raise NotProven(
            f"{path} is not the segment that was attested: expected {count} events with root {root.hex()[:16]}…, found "
            f"{len(events)} with {found.hex()[:16]}…. Events were changed, removed, reordered or inserted, or the header was "
            "changed. Keep the file as evidence and restore it from a backup."
        )
    return events, logged


def _attestation(home: Path, path: Path) -> Logged:
    note = path.with_suffix(_ATTESTED)
    try:
        value = canonical.decode(note.read_bytes(), what=str(note))
        index, digest = int(value["index"]), str(value["envelope"])
    except FileNotFoundError as error:
        raise InvalidInput(
            f"segment {path.stem} is not attested yet: it is still written, or its process was killed. Wait a second, or open "
            "the spool of the project, which attests it."
        ) from error
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{note} does not say where the attestation is: restore it from a backup.") from error
    envelope = _store(home).get(digest)
    statement = statements.open_attestation(
        envelope, read_publics(home / "signing.pub"), what=f"attestation {index}"
    )
    with _log(home) as ledger:
        if index >= ledger.size or ledger.entry(index) != entry_of(envelope, statement):
            raise NotProven(
                f"ledger entry {index} is not the attestation of segment {path.stem}: {note} was changed."
            )
    return Logged(index, digest, statement)


def _claims(statement: Statement) -> tuple[str, int, bytes]:
    """Return name, number of events and root that a segment's attestation states. Raises NotProven for another one."""
    details = statement.predicate.get("details")
    try:
        if statement.predicate_type != statements.EVENT or statement.predicate.get("event") != SEGMENT_EVENT:
            raise ValueError
        return str(details["segment"]), int(details["events"]), bytes.fromhex(details["root"])  # type: ignore[index] # a mapping, or TypeError
    except (KeyError, TypeError, ValueError) as error:
        raise NotProven(
            "the attestation is not of a segment of events: another one was put in its place."
        ) from error
