"""The lowest floor: shared types, the error tree, the registry, canonical bytes and progress.

Imports no other room of Hauberk and no array library. Start with `errors` for what can go wrong, `evidence` for what a
control returns, `threats` for what a project declares, `registry` for how an algorithm is added.

The names in `__all__` are the public surface of the room; each is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hauberk.core.lifting import lifted

if TYPE_CHECKING:
    from hauberk.core.columns import Column as Column
    from hauberk.core.columns import ColumnKind as ColumnKind
    from hauberk.core.control import Algorithm as Algorithm
    from hauberk.core.control import Guard as Guard
    from hauberk.core.control import Observation as Observation
    from hauberk.core.errors import HauberkError as HauberkError
    from hauberk.core.errors import HauberkWarning as HauberkWarning
    from hauberk.core.errors import InvalidInput as InvalidInput
    from hauberk.core.errors import MissingExtra as MissingExtra
    from hauberk.core.errors import NotProven as NotProven
    from hauberk.core.errors import Refused as Refused
    from hauberk.core.errors import Unavailable as Unavailable
    from hauberk.core.evidence import Evidence as Evidence
    from hauberk.core.evidence import Measurement as Measurement
    from hauberk.core.evidence import Subject as Subject
    from hauberk.core.findings import Finding as Finding
    from hauberk.core.findings import Place as Place
    from hauberk.core.findings import Severity as Severity
    from hauberk.core.practices import Practice as Practice
    from hauberk.core.principal import Principal as Principal
    from hauberk.core.progress import Progress as Progress
    from hauberk.core.progress import Quiet as Quiet
    from hauberk.core.progress import Task as Task
    from hauberk.core.registry import Entry as Entry
    from hauberk.core.registry import NoParams as NoParams
    from hauberk.core.registry import Registry as Registry
    from hauberk.core.threats import ColumnBudget as ColumnBudget
    from hauberk.core.threats import Direction as Direction
    from hauberk.core.threats import Evasion as Evasion
    from hauberk.core.threats import Extraction as Extraction
    from hauberk.core.threats import Inference as Inference
    from hauberk.core.threats import Norm as Norm
    from hauberk.core.threats import Poisoning as Poisoning

_HOMES = {
    "Algorithm": "control",
    "Column": "columns",
    "ColumnBudget": "threats",
    "ColumnKind": "columns",
    "Direction": "threats",
    "Entry": "registry",
    "Evasion": "threats",
    "Evidence": "evidence",
    "Extraction": "threats",
    "Finding": "findings",
    "Guard": "control",
    "HauberkError": "errors",
    "HauberkWarning": "errors",
    "Inference": "threats",
    "InvalidInput": "errors",
    "Measurement": "evidence",
    "MissingExtra": "errors",
    "NoParams": "registry",
    "Norm": "threats",
    "NotProven": "errors",
    "Observation": "control",
    "Place": "findings",
    "Poisoning": "threats",
    "Practice": "practices",
    "Principal": "principal",
    "Progress": "progress",
    "Quiet": "progress",
    "Refused": "errors",
    "Registry": "registry",
    "Severity": "findings",
    "Subject": "evidence",
    "Task": "progress",
    "Unavailable": "errors",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605 - the table is the list


def __getattr__(name: str) -> Any:  # noqa: ANN401 - one of the names above
    return lifted(__name__, _HOMES, name)
