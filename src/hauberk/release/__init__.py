"""Release: a folder that proves itself offline. `bundle` writes it, `verification` proves it, `card` describes it.

The names in `__all__` are the public surface of the room; each is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hauberk.core.lifting import lifted

if TYPE_CHECKING:
    from hauberk.release.bundle import Contents as Contents
    from hauberk.release.bundle import LedgerHead as LedgerHead
    from hauberk.release.bundle import Manifest as Manifest
    from hauberk.release.bundle import Model as Model
    from hauberk.release.bundle import write as write
    from hauberk.release.verification import Step as Step
    from hauberk.release.verification import Verification as Verification
    from hauberk.release.verification import check as check
    from hauberk.release.verification import verify as verify

_HOMES = {
    "Contents": "bundle",
    "LedgerHead": "bundle",
    "Manifest": "bundle",
    "Model": "bundle",
    "Step": "verification",
    "Verification": "verification",
    "check": "verification",
    "verify": "verification",
    "write": "bundle",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605 - the table is the list


def __getattr__(name: str) -> Any:  # noqa: ANN401 - one of the names above
    return lifted(__name__, _HOMES, name)
