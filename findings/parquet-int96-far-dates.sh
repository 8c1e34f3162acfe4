#!/usr/bin/env bash
# One Parquet file with INT96 time stamps has two contents: pyarrow wraps dates that 64-bit nanoseconds cannot hold.
# Seen with: pyarrow 26.0.1, polars 2.1.0, Python 3.11.
set -euo pipefail
place=$(mktemp -d); trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check pyarrow==26.0.1 polars==2.1.0
cd "$place"
"$place/venv/bin/python" - <<'PY'
from datetime import datetime

import polars
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# Guess before the run: a reader that cannot hold a date raises; two readers never return two dates.
dates = [datetime(3000, 1, 1), datetime(1600, 5, 5), datetime(2020, 1, 1)]
pq.write_table(pa.table({"t": pa.array(dates, pa.timestamp("us"))}), "dates.parquet", use_deprecated_int96_timestamps=True)
wrapped = pc.year(pq.read_table("dates.parquet")["t"]).to_pylist()
whole = pc.year(pq.read_table("dates.parquet", coerce_int96_timestamp_unit="us")["t"]).to_pylist()
other = polars.read_parquet("dates.parquet")["t"].dt.year().to_list()
print(f"written: years 3000, 1600, 2020; pyarrow reads {wrapped}, with coerce_int96_timestamp_unit='us' {whole}; polars reads {other}")
assert whole == other == [3000, 1600, 2020]
assert wrapped != whole, "the behaviour changed: pyarrow raises or keeps the dates"
PY
