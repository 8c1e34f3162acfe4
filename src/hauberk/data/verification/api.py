"""`verify`, `infer` and `profile` for Python users, on files, URLs and Polars frames.

    from hauberk.data import infer, profile, verify

    Path("orders.toml").write_text(infer("orders/*.parquet"))
    result = verify("orders/*.parquet", "orders.toml", against="last-month.parquet")
    if not result.ok:
        for finding in result.findings(): ...

A LazyFrame is evaluated on every row: verification never looks at names and types only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Union

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.findings import Finding, Kind, Place, Severity
from hauberk.core.progress import Task
from hauberk.data.verification import inferring, profiling
from hauberk.data.verification.drift import Drifted, drift
from hauberk.data.verification.opening import Table, from_frame, opened
from hauberk.data.verification.sanity import sane, verify_sanity
from hauberk.data.verification.schema import Schema, load_schema
from hauberk.data.verification.splitting import Split, split
from hauberk.data.verification.verifying import SAMPLES, Verified
from hauberk.data.verification.verifying import verify as verify_table

if TYPE_CHECKING:
    import polars as pl

Source = Union[str, Path, "pl.DataFrame", "pl.LazyFrame"]


@dataclass(frozen=True, slots=True)
class Verification:
    """The whole verdict. rules: the result of each rule. drift: None without a reference. split: counts of written rows."""

    rules: Verified
    drift: Drifted | None = None
    split: Split | None = None

    @property
    def ok(self) -> bool:
        """Whether every rule was evaluated and held, and nothing drifted."""
        return self.rules.ok and (self.drift is None or self.drift.ok)

    def findings(self) -> tuple[Finding, ...]:
        """Return what a person has to act on: violated rules first, then drifted columns."""
        moved = () if self.drift is None else tuple(one for one in self.drift.measures if one.drifted)
        return self.rules.findings() + tuple(
            Finding(
                f"{one.column}: {one.name} moved against the reference {one.note}".rstrip(),
                Place(Kind.COLUMN, one.column),
                Severity.HIGH,
                "Find out what changed at the source before training on it.",
                value=one.effect,
                limit=one.limit,
            )
            for one in moved
        )


def verify(  # noqa: PLR0913 - two inputs, two outputs, a clock
    source: Source,
    schema: Schema | str | Path | None = None,
    *,
    against: Source | None = None,
    quarantine: str | Path | None = None,
    clean: str | Path | None = None,
    samples: int = SAMPLES,
    now: datetime | None = None,
    task: Task | None = None,
) -> Verification:
    """Verify a table against a schema (without one: against `sanity`'s rules), and optionally against a reference for drift.

    source, against: a file, a pattern, a folder, an fsspec URL, or a Polars frame. quarantine, clean: files for the rows
    that break a rule and for the other rows. samples: rows shown for each broken rule. now: the clock for freshness, with a
    time zone; None: the present. Raises InvalidInput for sources that cannot be read or that change while they are read. A
    rule that cannot be evaluated is a finding, and `ok` is False.
    """
    with _table(source) as table:
        if schema is None:
            rules = sane(table)
            verified = verify_sanity(table, rules, now=now, samples=samples, task=task)
        else:
            rules = schema if isinstance(schema, Schema) else load_schema(Path(schema))
            verified = verify_table(table, rules, now=now, samples=samples, task=task)
        halves = drifted = None
        if quarantine is not None or clean is not None:
            targets = [None if one is None else Path(one) for one in (quarantine, clean)]
            halves = split(table, rules, verified, quarantine=targets[0], clean=targets[1])
        if against is not None:
            with _table(against) as reference:
                drifted = drift(table, reference, rules if schema is not None else Schema(version=1), task=task)
    return Verification(verified, drifted, halves)


def infer(source: Source, *, task: Task | None = None) -> str:
    """Return the text of a schema file that accepts this table, to be saved, read and corrected."""
    with _table(source) as table:
        return inferring.infer(table, task=task)


def profile(source: Source, *, target: str = "", task: Task | None = None) -> profiling.Profile:
    """Describe a table: its columns, which columns determine the target, and what looks suspicious."""
    with _table(source) as table:
        return profiling.profile(table, target=target, task=task)


@contextmanager
def _table(source: Source) -> Iterator[Table]:
    if isinstance(source, str | Path):
        with opened(str(source)) as table:
            yield table
        return
    polars = need("polars")
    if not isinstance(source, polars.DataFrame | polars.LazyFrame):
        raise InvalidInput(
            f"a {type(source).__name__} is not a supported table: pass a path, a URL or a Polars frame (convert with "
            "polars.from_pandas, polars.from_arrow or polars.DataFrame)."
        )
    yield from_frame(source)
