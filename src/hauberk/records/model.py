"""The input of a report: attestations from the ledger, and a function that reads the artifacts they name.

The caller has verified signatures and proofs; nothing here reads a disk, a clock or a network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hauberk.core.evidence import Subject


@dataclass(frozen=True, slots=True)
class Attested:
    """One verified ledger entry.

    index: its place in the ledger, from 0. digest: SHA-256 (hex) of its envelope; other statements refer to it by that.
    time: RFC 3339 UTC. predicate_type, subjects, predicate: of its in-toto statement.
    """

    index: int
    digest: str
    time: str
    predicate_type: str
    subjects: tuple[Subject, ...]
    predicate: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """The part of a ledger that a report needs.

    project, origin: names of the project and of the log. size, root: of the checkpoint, root in hex. key_ids:
    the keys that signatures were verified with. attestations: in ledger order. get: SHA-256 hex to the
    artifact's bytes; raises a HauberkError when they are absent or damaged.
    """

    project: str
    origin: str
    size: int
    root: str
    key_ids: tuple[str, ...]
    attestations: tuple[Attested, ...]
    get: Callable[[str], bytes]
