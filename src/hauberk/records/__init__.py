"""Records: the one place that signs, logs, and reads evidence back.

`workshop` signs and logs for every control; `steps` runs work once and remembers it; `lineage` records what happened to
data; `erasure` proves that a key is gone; `view` and `last_run` read evidence back.

The names in `__all__` are the public surface of the room; each is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hauberk.core.lifting import lifted

if TYPE_CHECKING:
    from hauberk.records.erasure import Receipt as Receipt
    from hauberk.records.erasure import erase as erase
    from hauberk.records.erasure import receipts_of as receipts_of
    from hauberk.records.index import Index as Index
    from hauberk.records.index import Question as Question
    from hauberk.records.last_run import read_source as read_source
    from hauberk.records.lineage import Transaction as Transaction
    from hauberk.records.lineage import transactions as transactions
    from hauberk.records.model import Attested as Attested
    from hauberk.records.model import Source as Source
    from hauberk.records.reader import Records as Records
    from hauberk.records.reader import open_records as open_records
    from hauberk.records.running import Measured as Measured
    from hauberk.records.running import Ran as Ran
    from hauberk.records.running import measure as measure
    from hauberk.records.running import run as run
    from hauberk.records.spool import Spool as Spool
    from hauberk.records.steps import Done as Done
    from hauberk.records.steps import Product as Product
    from hauberk.records.steps import Steps as Steps
    from hauberk.records.workshop import Logged as Logged
    from hauberk.records.workshop import Workshop as Workshop

_HOMES = {
    "Attested": "model",
    "Done": "steps",
    "Index": "index",
    "Logged": "workshop",
    "Measured": "running",
    "Product": "steps",
    "Question": "index",
    "Ran": "running",
    "Receipt": "erasure",
    "Records": "reader",
    "Source": "model",
    "Spool": "spool",
    "Steps": "steps",
    "Transaction": "lineage",
    "Workshop": "workshop",
    "erase": "erasure",
    "measure": "running",
    "open_records": "reader",
    "read_source": "last_run",
    "receipts_of": "erasure",
    "run": "running",
    "transactions": "lineage",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605 - the table is the list


def __getattr__(name: str) -> Any:  # noqa: ANN401 - one of the names above
    return lifted(__name__, _HOMES, name)
