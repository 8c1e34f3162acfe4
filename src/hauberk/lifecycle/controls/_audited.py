"""What an audit works on and gathers: a registered set, what was recorded about it, and what this audit found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from hauberk.core.findings import Finding
from hauberk.data.manifest import Change, Manifest
from hauberk.data.manifest.sampling import TableSample


@dataclass(frozen=True, slots=True)
class State:
    """A recorded state of a set. entry: the ledger entry of the transaction that recorded it."""

    manifest: Manifest
    entry: int


class Memory(Protocol):
    """What the ledger knows about one set."""

    def recorded(self, root: str) -> int | None:
        """Return the last entry that recorded the state with this root, or None."""

    def standing(self, part: str, root: str) -> tuple[int, tuple[Finding, ...]] | None:
        """Return the entry and the findings of the last audit that evaluated this part, if it was of this very state."""

    def base(self, part: str, root: str) -> State | None:
        """Return the state that a part compares with: the one of its last evaluation, else the last that differs."""

    def sample(self, state: State) -> TableSample | None:
        """Return the rows that were kept of a state, or None."""


@dataclass(frozen=True, slots=True, eq=False)
class Audited:
    """A registered set. places: paths or URLs of its files. schema: text of its schema file, None without one.

    target, kind: as registered, "" where they were not. scratch: a folder for files that live as long as the audit.
    """

    name: str
    places: Sequence[str]
    state: State
    memory: Memory
    schema: str | None
    target: str
    kind: str
    scratch: Path


@dataclass
class Look:
    """What one audit has found so far. now: the set as it was read. standing: the findings by part that was evaluated."""

    of: Audited
    now: Manifest | None = None
    changes: tuple[Change, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    standing: dict[str, list[Finding]] = field(default_factory=dict)
