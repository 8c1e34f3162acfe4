"""Sanity: rules that any table should meet, used by `verify` without a schema.

The rules: no NaN or infinity in float columns; no control or bidirectional characters in text and column names; no column
that is null in every row; at least one row; in a text file, no value of another type than 99 % of its column's values; no
picture that cannot be decoded. Nulls are allowed, because nothing says where they are wrong. Lists and structs are not
inspected. Does not answer: wrong ranges, categories, keys and relations, which need a schema (`infer` proposes one).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import cast

from hauberk.core.extras import need
from hauberk.core.progress import Task
from hauberk.data.verification.kinds import family
from hauberk.data.verification.opening import Table
from hauberk.data.verification.rules import MARKS
from hauberk.data.verification.schema import Column, Rows, Rule, Schema, Type
from hauberk.data.verification.summary import guessed
from hauberk.data.verification.verifying import SAMPLES, Result, Status, Verified, verify

STATED = (
    "no NaN or infinity, no control or bidirectional characters, no column without any value, no text where a column "
    "holds numbers or times, no broken picture; nulls are allowed, and lists and structures are not looked into"
)


def sane(table: Table) -> Schema:
    """Return the schema with the sanity rules for this table's columns."""
    kinds = {name: column.type for name, column in guessed(table).columns.items()}
    columns = {}
    for name, dtype in table.schema.items():
        kind = kinds.get(name, cast("Type", family(dtype)))
        columns[name] = Column(type=kind, nullable=True, marks=kind != "text")
    # `path` is in the expression so that samples show it.
    whole = Rule(name="pictures: whole", expression="problem IS NULL AND path IS NOT NULL")
    rules = (whole,) if table.pictures else ()
    return Schema(version=1, table=Rows(other_columns="allow"), columns=columns, rules=rules)


def verify_sanity(
    table: Table, schema: Schema, *, now: datetime | None = None, samples: int = SAMPLES, task: Task | None = None
) -> Verified:
    """Verify a table against `sane(table)`, and that no column is null in every row. Cost: two passes."""
    verified = verify(table, schema, now=now, samples=samples, task=task)
    polars = need("polars")
    names = polars.Series(list(table.schema), dtype=polars.String)
    judged = [
        Result(
            f"{name}: name",
            name,
            Status.VIOLATED,
            1,
            "the column's name holds control or bidirectional characters",
            "The name is not what it looks like: find out who wrote it, then rename the column.",
        )
        for name in names.filter(names.str.contains(MARKS))
    ]
    nulls = table.collect(table.scan().select(polars.all().null_count())).row(0) if verified.rows else ()
    judged += [
        Result(
            f"{name}: some value",
            name,
            Status.VIOLATED,
            1,
            "the column is null in every row",
            "Find out where the values were lost, or leave the column out.",
        )
        for name, count in zip(table.schema, nulls, strict=False)
        # Pictures may lie in no folder (no label), and intact ones have no problem.
        if count == verified.rows and not (table.pictures and name in ("label", "problem"))
    ]
    return replace(verified, results=(*verified.results, *judged))
