"""The last run of a project, read back from its ledger: the last verdict and the attestations that it decided on."""

from __future__ import annotations

from pathlib import Path

from hauberk.core.errors import InvalidInput
from hauberk.custody import statements
from hauberk.records.index import Question
from hauberk.records.model import Attested, Source
from hauberk.records.reader import Records, open_records


def read_source(name: str, home: Path) -> Source:
    """Return the input of a report: the last verdict, the attestations that it decided on, and the release.

    name: of the project. home: its `.hauberk` folder. Needs neither lock nor passphrase. Raises InvalidInput where no
    verdict was logged, NotProven when ledger, store or a signature does not hold.
    """
    records = open_records(home)
    ledger, ids = records.ledger, tuple(key.key_id for key in records.signers)
    return Source(
        name, ledger.origin, ledger.size, ledger.root().hex(), ids, _last_run(records), records.artifacts.get
    )


def _last_run(records: Records) -> tuple[Attested, ...]:
    """Return the last verdict, the attestations that it names as its inputs, and everything after it."""
    verdicts = records.find(Question(types=(statements.VSA,)), newest=1)
    if not verdicts:
        raise InvalidInput("the ledger holds no verdict yet: run `hauberk protect` first.")
    (verdict,) = verdicts
    inputs = [given["digest"]["sha256"] for given in verdict.predicate["inputAttestations"]]
    before = records.find(Question(envelopes=inputs)) if inputs else []
    after = records.find(Question(first=verdict.index))
    return tuple({one.index: one for one in sorted((*before, *after), key=lambda one: one.index)}.values())
