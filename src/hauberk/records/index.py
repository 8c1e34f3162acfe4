"""An index over all evidence: which ledger entries answer a question, without reading the whole ledger.

The index is a cache that can be rebuilt: an SQLite database in memory, computed from entries that the ledger verified and
from envelopes whose digest the entries name. `_index_file` keeps a copy between processes.

1. the kept file carries this user's authentication code   (a row added, changed or removed in the file)
2. its origin and root are the ledger's at that size       (an index of another ledger, or of a history rolled back)
3. entries from there to the ledger's present size are read and added   (a stale index)

When 1 or 2 does not hold the index is built again, from the first entry. Its answers are candidates: the reader opens
each one's envelope, checks its signature and its entry under the signed checkpoint, and asks the question again
(`reader.Records.find`), so a wrong row could not add an answer even if 1 were broken.

Entries are indexed by kind, control, practice, role, principal, time, subject and envelope. Metrics and subjects beyond
the 16 of an entry are in the envelopes, which are read the first time a question needs them.
Cost at 100,000 entries of 3 metrics each, on two busy cores (benchmarks/index.py): 7 s to build from entries and 29 s from
envelopes, once; 0.2 s for the first question after opening; then about 1 ms a search, up to 6 ms where thousands of
entries are sorted. Conditions that each match more than 10,000 entries, none of them recent, cost up to one pass over
the table.
"""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hauberk.custody import dsse, statements
from hauberk.custody.artifacts import Artifacts
from hauberk.custody.entries import Entry, read_entry
from hauberk.custody.ledger import Ledger
from hauberk.custody.statements import Statement
from hauberk.records._index_file import IndexFile

_SELECTIVE = 10_000  # a condition with at most so many matches decides where the search begins
_WRITE_AFTER = 256  # entries and envelopes that the copy may lack; a larger one is written when it lacks 2 %
_TABLES = """
CREATE TABLE state (name TEXT PRIMARY KEY, value);
CREATE TABLE labels (id INTEGER PRIMARY KEY, type TEXT, kind TEXT, control TEXT, practice TEXT, role TEXT,
    UNIQUE (type, kind, control, practice, role));
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE entries (entry INTEGER PRIMARY KEY, label INTEGER, by INTEGER, time INTEGER, envelope INTEGER);
CREATE INDEX entries_by ON entries (by);
CREATE INDEX entries_time ON entries (label, time);
CREATE INDEX entries_label ON entries (label);
CREATE INDEX entries_envelope ON entries (envelope);
CREATE TABLE subjects (key INTEGER, entry INTEGER, PRIMARY KEY (key, entry)) WITHOUT ROWID;
CREATE TABLE metrics (name INTEGER, label INTEGER, entry INTEGER, value REAL, PRIMARY KEY (name, label, entry))
    WITHOUT ROWID;
CREATE INDEX metrics_value ON metrics (name, label, value);
"""
_LABELS = ("control", "practice", "role")


@dataclass(frozen=True, slots=True)
class Question:
    """Conditions on a ledger entry, all of which must hold; one that is left out holds for every entry.

    kinds, types: one of these kinds (`entries.kind_of`), predicate types. control, practice, role: of evidence. by: id of
    the principal. subject: SHA-256 (hex) of a subject. envelopes: one of these SHA-256. metric: name of a metric with a
    value in [least, most]. since, until: time in this closed range; an entry without a time is in none. first: index of
    the first entry that counts.
    """

    kinds: Collection[str] = ()
    types: Collection[str] = ()
    control: str = ""
    practice: str = ""
    role: str = ""
    by: str = ""
    subject: str = ""
    envelopes: Collection[str] = ()
    metric: str = ""
    least: float = -math.inf
    most: float = math.inf
    since: datetime | None = None
    until: datetime | None = None
    first: int = 0

    @property
    def timed(self) -> bool:
        """Whether it asks about the time."""
        return self.since is not None or self.until is not None

    def holds(self, index: int, entry: Entry, statement: Statement) -> bool:
        """Whether every condition holds for a verified entry and its statement."""
        value = metrics_of(statement).get(self.metric, math.nan) if self.metric else 0.0
        moment = _microseconds(entry.time) if self.timed else 0
        since, until = _range(self)
        return (
            index >= self.first
            and (not self.kinds or entry.kind in self.kinds)
            and (not self.types or entry.predicate_type in self.types)
            and all(getattr(self, name) in {"", getattr(entry, name)} for name in (*_LABELS, "by"))
            and (not self.subject or self.subject in {subject.sha256 for subject in statement.subjects})
            and (not self.envelopes or entry.envelope in self.envelopes)
            and (not self.metric or self.least <= value <= self.most)
            and (not self.timed or (moment is not None and since <= moment <= until))
        )


def metrics_of(statement: Statement) -> dict[str, float]:
    """Return the finite metrics of a statement of evidence by name; those of other statements are none."""
    found = statement.predicate.get("metrics") if statement.predicate_type == statements.EVIDENCE else None
    if not isinstance(found, dict):
        return {}
    return {
        name: float(value)
        for name, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


class Index:
    """The index of one ledger. Safe to share between threads. file: where a copy is kept; None keeps none."""

    def __init__(self, artifacts: Artifacts, file: IndexFile | None = None) -> None:
        self._artifacts, self._file = artifacts, file
        self._lock = threading.Lock()
        self._base: sqlite3.Connection | None = None
        self._kept = 0  # entries and envelopes in the copy

    def candidates(self, ledger: Ledger, question: Question) -> Iterator[int]:
        """Yield the entries of `ledger` that may answer the question, the newest first, none left out.

        Raises NotProven when the ledger was altered, InvalidInput when it has an entry of another version, or when an
        envelope that the question needs is not in the store.
        """
        with self._lock:
            base = self._current(ledger, envelopes=bool(question.metric or question.subject))
            text, values = _search(base, question)
            found = base.execute(text, values)
        while rows := self._next(found):
            yield from (entry for (entry,) in rows)

    def _next(self, found: sqlite3.Cursor) -> list[tuple[int]]:
        with self._lock:
            return found.fetchmany(64)

    def _current(self, ledger: Ledger, *, envelopes: bool) -> sqlite3.Connection:
        """Return the database, brought up to the ledger's size."""
        base = self._base
        if base is None or not _belongs(base, ledger):
            base = self._opened(ledger)
        # Read once: the ledger may grow meanwhile, and both parts have to be complete up to one size.
        size = ledger.size
        with base:
            if _state(base, "size") < size:
                _add_entries(base, ledger, size)
            if envelopes and _state(base, "read") < size:
                _add_envelopes(base, self._artifacts, ledger, size)
        self._base = base
        self._keep(base)
        return base

    def _keep(self, base: sqlite3.Connection) -> None:
        """Write the copy when it lacks enough: each write costs as much as the whole index is large."""
        done = _state(base, "size") + _state(base, "read")
        if self._file is not None and done - self._kept >= max(_WRITE_AFTER, self._kept // 50):
            self._kept = done
            self._file.write(base.serialize())

    def _opened(self, ledger: Ledger) -> sqlite3.Connection:
        data = None if self._file is None else self._file.read()
        if data is not None:
            base = sqlite3.connect(":memory:", check_same_thread=False)
            base.deserialize(data)
            if _belongs(base, ledger):
                self._kept = _state(base, "size") + _state(base, "read")
                return base
        self._kept = 0
        base = sqlite3.connect(":memory:", check_same_thread=False)
        base.executescript(_TABLES)
        base.executemany("INSERT INTO state VALUES (?, ?)", [("origin", ledger.origin), ("size", 0), ("read", 0)])
        base.execute("INSERT INTO state VALUES ('root', ?)", [ledger.root(0)])
        return base


def _belongs(base: sqlite3.Connection, ledger: Ledger) -> bool:
    """Whether this is an index of this ledger's beginning: the same log, the same root at the index's size."""
    size: int = _state(base, "size")
    same: bool = _state(base, "origin") == ledger.origin and size <= ledger.size
    return same and bytes(_state(base, "root")) == ledger.root(size)


def _state(base: sqlite3.Connection, name: str) -> Any:  # noqa: ANN401 - text, number or bytes
    return base.execute("SELECT value FROM state WHERE name = ?", [name]).fetchone()[0]


def _set(base: sqlite3.Connection, name: str, value: object) -> None:
    base.execute("UPDATE state SET value = ? WHERE name = ?", [value, name])


# -- building -------------------------------------------------------------------------------------------------


def _add_entries(base: sqlite3.Connection, ledger: Ledger, size: int) -> None:
    start = _state(base, "size")
    labels = {tuple(row): key for key, *row in base.execute("SELECT * FROM labels")}
    named = _names(base)
    rows, subjects = [], []
    for index, data in enumerate(ledger.entries(start, size), start):
        entry = read_entry(data, what=f"ledger entry {index}")
        label = (entry.predicate_type, entry.kind, *(getattr(entry, name) for name in _LABELS))
        if label not in labels:
            labels[label] = base.execute("INSERT INTO labels VALUES (NULL, ?, ?, ?, ?, ?)", label).lastrowid
        by = named(entry.by) if entry.by else None
        rows.append((index, labels[label], by, _microseconds(entry.time), _key(entry.envelope)))
        subjects += [(_key(subject.sha256), index) for subject in entry.subjects]
    base.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", rows)
    base.executemany("INSERT OR IGNORE INTO subjects VALUES (?, ?)", sorted(subjects))
    _set(base, "size", size)
    _set(base, "root", ledger.root(size))


def _add_envelopes(base: sqlite3.Connection, artifacts: Artifacts, ledger: Ledger, size: int) -> None:
    """Add what only envelopes hold: metrics, and the subjects that an entry does not show."""
    named, start = _names(base), _state(base, "read")
    metrics, subjects = [], []
    for index, data in enumerate(ledger.entries(start, size), start):
        entry = read_entry(data, what=f"ledger entry {index}")
        if entry.complete and entry.predicate_type != statements.EVIDENCE:
            continue
        # The entry is under the signed root and names these bytes; the signature is checked when they answer a question.
        envelope = dsse.decode(artifacts.get(entry.envelope), what=f"attestation {index}")
        statement = statements.parse(envelope.payload)
        metrics += [(named(name), index, value, index) for name, value in metrics_of(statement).items()]
        if not entry.complete:
            subjects += [(_key(subject.sha256), index) for subject in statement.subjects]
    base.executemany("INSERT INTO metrics SELECT ?, label, ?, ? FROM entries WHERE entry = ?", sorted(metrics))
    base.executemany("INSERT OR IGNORE INTO subjects VALUES (?, ?)", sorted(subjects))
    _set(base, "read", size)


def _names(base: sqlite3.Connection) -> Callable[[str], int | None]:
    """Return the function that gives the number of a name, a new one for a name that has none yet."""
    known: dict[str, int | None] = dict(base.execute("SELECT name, id FROM names"))

    def number(name: str) -> int | None:
        if name not in known:
            known[name] = base.execute("INSERT INTO names VALUES (NULL, ?)", [name]).lastrowid
        return known[name]

    return number


def _key(digest: str) -> int:
    # Eight bytes of a digest find its rows; another digest with the same eight is turned away when the hit is verified.
    return int.from_bytes(bytes.fromhex(digest)[:8], "big", signed=True)


def _microseconds(time: str) -> int | None:
    """Return an RFC 3339 time as microseconds since 1970, or None for a text of another form."""
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return None
    return _since_1970(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _since_1970(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


# -- searching ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Condition:
    """One condition in two forms: as a list of the entries that meet it, and as a check of the entry `e`."""

    listed: str
    check: str
    values: tuple[Any, ...]


def _search(base: sqlite3.Connection, question: Question) -> tuple[str, tuple[Any, ...]]:
    """Return the query for the entries that meet the question, the newest first.

    It begins with the list of the condition that the fewest entries meet; SQLite would choose by averages.
    """
    conditions = list(_conditions(question))
    counts = {one: _count(base, one) for one in conditions}
    best = min(conditions, key=counts.__getitem__, default=None)
    text, values = "SELECT e.entry FROM entries e WHERE e.entry >= ?", (question.first,)
    for one in conditions:
        if one is best and counts[one] <= _SELECTIVE:
            text += f" AND e.entry IN ({one.listed})"  # the texts are this module's own; every value is bound
        else:
            text += f" AND {one.check}"
        values += one.values
    return f"{text} ORDER BY e.entry DESC", values


def _count(base: sqlite3.Connection, condition: _Condition) -> int:
    text = f"SELECT count(*) FROM ({condition.listed} LIMIT {_SELECTIVE + 1})"  # noqa: S608 - as in _search
    return int(base.execute(text, condition.values).fetchone()[0])


def _conditions(question: Question) -> Iterator[_Condition]:
    labels, told = _labels(question)
    if told:
        # The unary plus keeps SQLite from choosing an index by averages: the walk from the newest entry ends early.
        yield _Condition(
            f"SELECT entry FROM entries WHERE label IN ({labels})",  # noqa: S608 - as in _search
            f"+e.label IN ({labels})",
            told,
        )
    if question.timed:
        yield _Condition(
            f"SELECT entry FROM entries WHERE label IN ({labels}) AND time BETWEEN ? AND ?",  # noqa: S608 - as in _search
            f"+e.label IN ({labels}) AND +e.time BETWEEN ? AND ?",
            (*told, *_range(question)),
        )
    name = "(SELECT id FROM names WHERE name = ?)"
    if question.by:
        yield _Condition(f"SELECT entry FROM entries WHERE by = {name}", f"+e.by = {name}", (question.by,))  # noqa: S608 - as in _search
    if question.subject:
        yield _Condition(
            "SELECT entry FROM subjects WHERE key = ?",
            "EXISTS (SELECT 1 FROM subjects s WHERE s.key = ? AND s.entry = e.entry)",
            (_key(question.subject),),
        )
    if question.envelopes:
        keys = tuple(map(_key, question.envelopes))
        marks = _marks(keys)
        yield _Condition(
            f"SELECT entry FROM entries WHERE envelope IN ({marks})",  # noqa: S608 - as in _search
            f"+e.envelope IN ({marks})",
            keys,
        )
    if question.metric:
        listed = f"SELECT entry FROM metrics WHERE label IN ({labels}) AND name = {name} AND value BETWEEN ? AND ?"  # noqa: S608 - as in _search
        same = f"m.name = {name} AND m.label = e.label AND m.entry = e.entry"
        check = f"EXISTS (SELECT 1 FROM metrics m WHERE {same} AND m.value BETWEEN ? AND ?)"  # noqa: S608 - as in _search
        yield _Condition(
            listed, f"+e.label IN ({labels}) AND {check}", (*told, question.metric, question.least, question.most)
        )


def _labels(question: Question) -> tuple[str, tuple[str, ...]]:
    """Return the query for the labels that the question allows, and its values; no values when it allows all."""
    text, values = "SELECT id FROM labels", list[str]()
    wanted = [("kind", tuple(question.kinds)), ("type", tuple(question.types))]
    wanted += [(name, (getattr(question, name),)) for name in _LABELS if getattr(question, name)]
    for column, some in wanted:
        if some:
            text += f"{' AND' if values else ' WHERE'} {column} IN ({_marks(some)})"
            values += some
    return text, tuple(values)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _range(question: Question) -> tuple[int, int]:
    """Return the time range in microseconds, open ends as the largest numbers that SQLite holds."""
    since = -(2**63) if question.since is None else _since_1970(question.since)
    until = 2**63 - 1 if question.until is None else _since_1970(question.until)
    return since, until
