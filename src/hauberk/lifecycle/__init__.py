"""Lifecycle: the main job and what surrounds it.

`project` reads hauberk.toml, `init` writes one; `protect` runs the `stages` as `steps` in a `workshop`, which signs and
logs for all of them; `reporting` reads the ledger back and `report` renders it.

The names in `__all__` are the public surface of the room; each is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hauberk.core.lifting import lifted

if TYPE_CHECKING:
    from hauberk.lifecycle.attacking.command import Request as Request
    from hauberk.lifecycle.attacking.command import attack as attack
    from hauberk.lifecycle.datasets.auditing import Audited as Audited
    from hauberk.lifecycle.datasets.auditing import audit as audit
    from hauberk.lifecycle.datasets.checking import Checked as Checked
    from hauberk.lifecycle.datasets.checking import check_proof as check_proof
    from hauberk.lifecycle.datasets.proving import Proof as Proof
    from hauberk.lifecycle.datasets.proving import prove_row as prove_row
    from hauberk.lifecycle.datasets.sets import Registered as Registered
    from hauberk.lifecycle.datasets.sets import register as register
    from hauberk.lifecycle.datasets.sets import registered as registered
    from hauberk.lifecycle.main.protect import Result as Result
    from hauberk.lifecycle.main.protect import protect as protect
    from hauberk.lifecycle.releasing.releases import Made as Made
    from hauberk.lifecycle.releasing.releases import releases as releases
    from hauberk.lifecycle.releasing.rollback import Returned as Returned
    from hauberk.lifecycle.releasing.rollback import rollback as rollback
    from hauberk.lifecycle.reporting import write_report as write_report
    from hauberk.lifecycle.updating.update import Updated as Updated
    from hauberk.lifecycle.updating.update import trust as trust
    from hauberk.lifecycle.updating.update import update as update

_HOMES = {
    "Audited": "datasets.auditing",
    "Checked": "datasets.checking",
    "Made": "releasing.releases",
    "Proof": "datasets.proving",
    "Registered": "datasets.sets",
    "Request": "attacking.command",
    "Result": "main.protect",
    "Returned": "releasing.rollback",
    "Updated": "updating.update",
    "attack": "attacking.command",
    "audit": "datasets.auditing",
    "check_proof": "datasets.checking",
    "protect": "main.protect",
    "prove_row": "datasets.proving",
    "register": "datasets.sets",
    "registered": "datasets.sets",
    "releases": "releasing.releases",
    "rollback": "releasing.rollback",
    "trust": "updating.update",
    "update": "updating.update",
    "write_report": "reporting",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605 - the table is the list


def __getattr__(name: str) -> Any:  # noqa: ANN401 - one of the names above
    return lifted(__name__, _HOMES, name)
