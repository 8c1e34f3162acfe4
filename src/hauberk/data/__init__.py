"""Data: read untrusted files, verify them, find poison in them, and record exactly which bytes they are.

    from hauberk.data import DataSpec, load, screen, verify

What users of the package need is lifted to this module; each name is imported when it is first used. `reading` turns files
into typed arrays, split into a training and a test side. `verification` checks tables of any size against a schema file,
and profiles them. `poison` screens training rows, repairs them, and tests the screening. `manifest` puts the files of a data
set under one Merkle root (`build`, `compare`) and compares tables. `checks` holds the measured controls of practice 1a.
Nothing here unpickles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hauberk.core.lifting import lifted

if TYPE_CHECKING:
    from hauberk.data.manifest.diffing import Difference, diff
    from hauberk.data.manifest.model import Manifest
    from hauberk.data.poison.drilling import Caught, drill
    from hauberk.data.poison.drip import Drip, drip
    from hauberk.data.poison.repair import Repair, repair
    from hauberk.data.poison.repair_files import write_repaired
    from hauberk.data.poison.screening import Screening, screen
    from hauberk.data.reading.dataset import Dataset, Split
    from hauberk.data.reading.inspection import Guess, inspect
    from hauberk.data.reading.loading import DataSpec, Whole, load, load_whole
    from hauberk.data.verification.api import Verification, infer, profile, verify
    from hauberk.data.verification.schema import Schema, load_schema

__all__ = [
    "Caught",
    "DataSpec",
    "Dataset",
    "Difference",
    "Drip",
    "Guess",
    "Manifest",
    "Repair",
    "Schema",
    "Screening",
    "Split",
    "Verification",
    "Whole",
    "diff",
    "drill",
    "drip",
    "infer",
    "inspect",
    "load",
    "load_schema",
    "load_whole",
    "profile",
    "repair",
    "screen",
    "verify",
    "write_repaired",
]

# Each public name's module, the same as in the imports above, which only type checkers run.
_HOMES = {
    "Caught": "poison.drilling",
    "DataSpec": "reading.loading",
    "Dataset": "reading.dataset",
    "Difference": "manifest.diffing",
    "Drip": "poison.drip",
    "Guess": "reading.inspection",
    "Manifest": "manifest.model",
    "Repair": "poison.repair",
    "Schema": "verification.schema",
    "Screening": "poison.screening",
    "Split": "reading.dataset",
    "Verification": "verification.api",
    "Whole": "reading.loading",
    "diff": "manifest.diffing",
    "drill": "poison.drilling",
    "drip": "poison.drip",
    "infer": "verification.api",
    "inspect": "reading.inspection",
    "load": "reading.loading",
    "load_schema": "verification.schema",
    "load_whole": "reading.loading",
    "profile": "verification.api",
    "repair": "poison.repair",
    "screen": "poison.screening",
    "verify": "verification.api",
    "write_repaired": "poison.repair_files",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a public name of any type
    return lifted(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
