"""Verification compared with peers: types, ranges, nulls and categories of a Parquet table, reading included.

    python benchmarks/verification.py [--rows 5000000] [--rounds 3] [--json]

A table of 20 columns (8 floats, 6 integers, 4 texts of few categories, a boolean, a date) with violations planted in six
columns is written once. Every tool reads it and applies the same 40 checks in its own process, which measures the wall time from
before the tool's first import to the verdict, and the peak of resident memory. The tools run in turn in each round; the output
has the medians of the times and of the ratios within each round. On a shared machine CPU seconds (all threads, kernel included)
are more reliable than wall time. "found": whether the tool counted the planted violations of each column exactly. A peer that is
not installed is left out, with the reason:
`pip install -r benchmarks/requirements-verification.txt`.

hauberk verify          `verify` with row numbers and values of the first five rows that break each rule
Polars by hand          counts alone, as one streaming query written by hand: a lower bound
... and its rows        the same, then a query for the first five rows of each broken rule: the same answer as hauberk's
pandera-polars          lazy validation of the eager table (a LazyFrame's values are not checked by default)
DuckDB                  one SELECT of counts
Great Expectations      pandas engine, one expectation for each check
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CATEGORIES = ["red", "green", "blue", "white", "black"]
FLOATS = [f"f{n}" for n in range(8)]
INTEGERS = [f"i{n}" for n in range(6)]
TEXTS = [f"c{n}" for n in range(4)]
PLANTED = {
    "f0": 7,
    "f1": 3,
    "i0": 11,
    "i1": 5,
    "c0": 9,
    "c1": 4,
}  # out of range, null, out of range, null, unknown, null


def make(path: Path, rows: int) -> None:
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(0)
    columns = {name: pl.Series(rng.random(rows)) for name in FLOATS}
    columns |= {name: pl.Series(rng.integers(0, 1000, rows)) for name in INTEGERS}
    columns |= {name: pl.Series(CATEGORIES).gather(rng.integers(0, 5, rows)) for name in TEXTS}
    columns["b"] = pl.Series(rng.integers(0, 2, rows).astype(bool))
    columns["d"] = pl.Series(rng.integers(18_000, 20_000, rows).astype(np.int32)).cast(pl.Date)
    wrong = {"f0": 1.5, "f1": None, "i0": -4, "i1": None, "c0": "pink", "c1": None}
    for name, count in PLANTED.items():
        at = rng.choice(rows, count, replace=False)
        columns[name] = (
            columns[name]
            .to_frame(name)
            .with_columns(
                pl.when(pl.int_range(pl.len()).is_in(at))
                .then(pl.lit(wrong[name]))
                .otherwise(pl.col(name))
                .alias(name)
            )[name]
        )
    pl.DataFrame(columns).write_parquet(path, row_group_size=250_000)


def hauberk(path: str) -> dict[str, int]:
    from hauberk.data.verification.opening import opened
    from hauberk.data.verification.schema import parse_schema
    from hauberk.data.verification.verifying import Status, verify

    lines = ["version = 1"]
    lines += [f'[columns.{name}]\ntype = "float"\nmin = 0\nmax = 1\nnan = true\ninfinity = true' for name in FLOATS]
    lines += [f'[columns.{name}]\ntype = "integer"\nmin = 0\nmax = 999' for name in INTEGERS]
    lines += [f'[columns.{name}]\ntype = "text"\nallowed = {json.dumps(CATEGORIES)}' for name in TEXTS]
    lines += ['[columns.b]\ntype = "boolean"', '[columns.d]\ntype = "date"\nmin = 2019-01-01\nmax = 2030-01-01']
    with opened(path) as table:
        result = verify(table, parse_schema("\n".join(lines)))
    return {one.column: one.violations for one in result.results if one.status is Status.VIOLATED}


def by_hand(path: str, *, rows: bool = False) -> dict[str, int]:
    import datetime

    import polars as pl

    scan = pl.scan_parquet(path)
    schema = scan.collect_schema()
    assert all(schema[name] == pl.Float64 for name in FLOATS)
    assert all(schema[name] == pl.Int64 for name in INTEGERS)
    assert all(schema[name] == pl.String for name in TEXTS)
    assert schema["b"] == pl.Boolean
    assert schema["d"] == pl.Date
    bad = {}
    for name in schema.names():
        column = pl.col(name)
        bad[f"{name}:null"] = column.is_null()
        if name in FLOATS:
            bad[f"{name}:range"] = (column < 0) | (column > 1)
        elif name in INTEGERS:
            bad[f"{name}:range"] = (column < 0) | (column > 999)
        elif name in TEXTS:
            bad[f"{name}:allowed"] = ~column.is_in(CATEGORIES)
        elif name == "d":
            bad[f"{name}:range"] = (column < datetime.date(2019, 1, 1)) | (column > datetime.date(2030, 1, 1))
    sums = [rule.sum().alias(name) for name, rule in bad.items()]
    line = scan.select(sums).collect(engine="streaming").row(0, named=True)
    if rows:
        numbered = scan.with_row_index("row")
        queries = [
            numbered.filter(bad[name]).select("row", name.partition(":")[0]).head(min(5, count))
            for name, count in line.items()
            if count
        ]
        assert all(one.height for one in pl.collect_all(queries, engine="streaming"))
    found: dict[str, int] = {}
    for name, count in line.items():
        found[name.partition(":")[0]] = found.get(name.partition(":")[0], 0) + count
    return {name: count for name, count in found.items() if count}


def by_hand_with_rows(path: str) -> dict[str, int]:
    return by_hand(path, rows=True)


def pandera(path: str) -> dict[str, int]:
    import datetime

    import pandera.polars as pa
    import polars as pl

    columns = {name: pa.Column(pl.Float64, pa.Check.in_range(0, 1)) for name in FLOATS}
    columns |= {name: pa.Column(pl.Int64, pa.Check.in_range(0, 999)) for name in INTEGERS}
    columns |= {name: pa.Column(pl.String, pa.Check.isin(CATEGORIES)) for name in TEXTS}
    dates = pa.Check.in_range(datetime.date(2019, 1, 1), datetime.date(2030, 1, 1))
    columns |= {"b": pa.Column(pl.Boolean), "d": pa.Column(pl.Date, dates)}
    try:
        pa.DataFrameSchema(columns).validate(pl.read_parquet(path), lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        return {name: cases.filter(pl.col("column") == name).height for name in PLANTED}
    return {}


def duckdb(path: str) -> dict[str, int]:
    import duckdb

    listed = ", ".join(f"'{one}'" for one in CATEGORIES)
    bad = {name: f"{name} IS NULL OR {name} < 0 OR {name} > 1" for name in FLOATS}
    bad |= {name: f"{name} IS NULL OR {name} < 0 OR {name} > 999" for name in INTEGERS}
    bad |= {name: f"{name} IS NULL OR {name} NOT IN ({listed})" for name in TEXTS}
    bad |= {"b": "b IS NULL", "d": "d IS NULL OR d < DATE '2019-01-01' OR d > DATE '2030-01-01'"}
    query = ", ".join(f"count(*) FILTER (WHERE {rule})" for rule in bad.values())
    cursor = duckdb.connect()
    types = {name: kind for name, kind, *_ in cursor.execute(f"DESCRIBE SELECT * FROM '{path}'").fetchall()}
    assert [types[one] for one in ("f0", "i0", "c0", "b", "d")] == [
        "DOUBLE",
        "BIGINT",
        "VARCHAR",
        "BOOLEAN",
        "DATE",
    ]
    line = cursor.execute(f"SELECT {query} FROM '{path}'").fetchone()
    return {name: count for name, count in zip(bad, line, strict=True) if count}


def great_expectations(path: str) -> dict[str, int]:
    import datetime

    import great_expectations as gx
    import pandas as pd

    context = gx.get_context(mode="ephemeral")
    batch = context.data_sources.add_pandas("p").add_dataframe_asset("a").add_batch_definition_whole_dataframe("b")
    suite = gx.ExpectationSuite("s")
    made = gx.expectations
    kinds = {**dict.fromkeys(FLOATS, "float64"), **dict.fromkeys(INTEGERS, "float64"), "b": "bool"}
    frame = pd.read_parquet(path)
    for name in [*FLOATS, *INTEGERS, *TEXTS, "b", "d"]:
        suite.add_expectation(made.ExpectColumnValuesToNotBeNull(column=name))
        if name in kinds:
            suite.add_expectation(made.ExpectColumnValuesToBeOfType(column=name, type_=str(frame[name].dtype)))
        if name in FLOATS:
            suite.add_expectation(made.ExpectColumnValuesToBeBetween(column=name, min_value=0, max_value=1))
        elif name in INTEGERS:
            suite.add_expectation(made.ExpectColumnValuesToBeBetween(column=name, min_value=0, max_value=999))
        elif name in TEXTS:
            suite.add_expectation(made.ExpectColumnValuesToBeInSet(column=name, value_set=CATEGORIES))
        elif name == "d":
            ends = {"min_value": datetime.date(2019, 1, 1), "max_value": datetime.date(2030, 1, 1)}
            suite.add_expectation(made.ExpectColumnValuesToBeBetween(column=name, **ends))
    result = batch.get_batch(batch_parameters={"dataframe": frame}).validate(suite, result_format="BASIC")
    found: dict[str, int] = {}
    for one in result.results:
        name = one.expectation_config.kwargs["column"]
        found[name] = found.get(name, 0) + one.result.get("unexpected_count", 0)
    return {name: count for name, count in found.items() if count}


TOOLS = {
    "hauberk verify": hauberk,
    "Polars by hand": by_hand,
    "... and its rows": by_hand_with_rows,
    "pandera-polars": pandera,
    "DuckDB": duckdb,
    "Great Expectations": great_expectations,
}


def once(name: str, path: str) -> dict[str, object]:
    """Run one tool in this process and return its measurements."""
    start = time.perf_counter()
    try:
        found = TOOLS[name](path)
    except ImportError as error:
        return {"left": f"{error.name} is not installed"}
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime
    return {
        "seconds": seconds,
        "cpu": cpu,
        "peak": used.ru_maxrss / 1024,
        "right": found == PLANTED,
        "found": found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--once", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--make", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.make:
        make(Path(arguments.make), arguments.rows)
        return
    if arguments.once:
        print(json.dumps(once(*arguments.once)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "table.parquet")
        # In a separate process, because a child forked from a large process would inherit its peak memory.
        subprocess.run([sys.executable, __file__, "--make", path, "--rows", str(arguments.rows)], check=True)
        runs: dict[str, list[dict[str, object]]] = {name: [] for name in TOOLS}
        for _ in range(arguments.rounds):
            for name in TOOLS:
                command = [sys.executable, __file__, "--once", name, path]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                lines = done.stdout.strip().splitlines()
                runs[name].append(
                    json.loads(lines[-1]) if lines else {"left": done.stderr.strip().splitlines()[-1][:80]}
                )
    if arguments.json:
        print(json.dumps(runs, indent=2))
        return
    print(f"{arguments.rows:,} rows x 20 columns, median of {arguments.rounds} rounds\n")
    print("| tool | seconds | ratio | CPU seconds | ratio | peak MB | ratio | found |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    floor = runs["Polars by hand"]
    for name, rounds in runs.items():
        if "left" in rounds[0]:
            print(f"| {name} | {rounds[0]['left']} | | | | | | |")
            continue
        cells = []
        for key, form in (("seconds", ".2f"), ("cpu", ".2f"), ("peak", ",.0f")):
            ratio = statistics.median(one[key] / base[key] for one, base in zip(rounds, floor, strict=True))
            cells += [format(statistics.median(one[key] for one in rounds), form), f"{ratio:.2f}"]
        right = "all" if all(one["right"] for one in rounds) else f"not all: {rounds[0]['found']}"
        print(f"| {name} | {' | '.join(cells)} | {right} |")


if __name__ == "__main__":
    main()
