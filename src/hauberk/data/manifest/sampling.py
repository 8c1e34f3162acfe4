"""Draws a sample of a table's rows into a small file, with which later states of the table are compared."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need

_ROWS = ("parquet", "ipc", "csv", "tsv", "jsonl")


@dataclass(frozen=True, slots=True)
class TableSample:
    """Sampled rows in the table's order. ending: ".csv" for a CSV or TSV table, else ".parquet". data: the file's bytes."""

    ending: str
    data: bytes


def sample_table(places: Sequence[str], *, rows: int, seed: int) -> TableSample | None:
    """Return at most `rows` rows drawn at random, or None if the places do not form one table. Reads the table once or twice.

    Raises InvalidInput for a table that is damaged or changes while it is read.
    """
    from hauberk.data.verification import arrays, pictures
    from hauberk.data.verification.opening import opened
    from hauberk.data.verification.places import found

    if len(places) != 1:
        return None
    try:
        with found(places[0]) as parts:
            if pictures.are_pictures(parts) or arrays.kind_of(parts):
                return None  # before any of them is decoded
    except InvalidInput:
        return None
    with ExitStack() as stack:
        try:
            table = stack.enter_context(opened(places[0]))
        except InvalidInput:
            return None  # not a table, so there are no rows to sample
        if table.format not in _ROWS:
            return None
        polars = need("polars")
        index = table.free_name("row")
        count = int(table.collect(table.scan().select(polars.len())).item())
        query = table.rows(index)
        if count > rows:
            chosen = np.random.default_rng(seed).choice(count, rows, replace=False)
            query = query.filter(
                polars.col(index).is_in(polars.Series(np.sort(chosen)).cast(polars.UInt32).implode())
            )
        frame = table.collect(query.drop(index))
        buffer = io.BytesIO()
        if table.textual:
            frame.write_csv(buffer)
        else:
            frame.write_parquet(buffer)
        return TableSample(".csv" if table.textual else ".parquet", buffer.getvalue())
