"""The parts of an audit that read rows: do they meet the registered schema, and do new ones look like poison?"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

from hauberk.core.findings import Finding, Kind, Place, Severity
from hauberk.core.progress import Task
from hauberk.data.manifest import Change, File, Manifest, compare
from hauberk.data.manifest.places import is_remote
from hauberk.lifecycle.controls._audited import Look, State

_LISTED = 50


def verify_schema(look: Look) -> str:
    """Verify each place against the registered schema; return a note when there is none."""
    from hauberk.data.verification.opening import opened
    from hauberk.data.verification.schema import parse_schema
    from hauberk.data.verification.verifying import verify

    text = look.of.schema
    if text is None:
        return "No schema file is registered: hauberk data import ... --schema FILE."
    schema = parse_schema(text, where="the registered schema")
    look.metrics |= {"rows": 0.0, "rules": 0.0, "rules_broken": 0.0}
    for place in look.of.places:
        with opened(place) as table:
            verified = verify(table, schema)
        broken = verified.findings()
        look.findings += broken
        look.metrics["rows"] += verified.rows
        look.metrics["rules"] += len(verified.results)
        look.metrics["rules_broken"] += len(broken)
    return ""


def screen_new(look: Look, base: State | None, *, seed: int, task: Task) -> str:
    """Screen all rows, because poison shows beside honest rows, and report the rows in parts that are new since `base`.

    base: the state before; None when everything is new. Returns a note when nothing is screened.
    """
    from hauberk.data.poison.detectors import Rows
    from hauberk.data.poison.screening import screen_rows
    from hauberk.data.reading.loading import DataSpec, load_whole

    assert look.now is not None
    known, now, places = look.of, look.now, look.of.places
    new = None if base is None else compare(base.manifest, now)
    target = known.target
    kind = known.kind or ("table" if target else "")
    if not kind:
        return "No target is registered, so new rows are not screened: hauberk data import ... --target COLUMN."
    if any(is_remote(place) for place in places):
        return "Screening reads local files: this set is elsewhere."
    files = _files(now, places) if kind == "table" else dict.fromkeys(places)
    whole = load_whole(DataSpec("image" if kind == "image" else "table", tuple(files), target=target), seed=seed)
    side = whole.side
    found = screen_rows(Rows(side.kind, side, side.sources, (), seed), task=task)
    fresh = _fresh(list(files.values()), now, new, whole.locate)
    rows = [entry for entry in found.listed() if fresh(int(side.rows[entry["row"]]))]
    look.metrics |= {"screened": float(len(side)), "flagged": float(len(rows))}
    if not rows or not found.found:
        return f"{len(rows)} new rows look odd, no more than honest data would show." if rows else ""
    look.findings.append(
        Finding(
            f"{len(rows):,} new rows look like poison, more than honest data would show",
            Place(Kind.SET, known.name),
            Severity.HIGH,
            "Look at them before anything is trained on this state: hauberk data screen.",
            threat="poisoning",
            value=float(len(rows)),
            unit="rows",
        )
    )
    look.findings += [
        Finding(
            entry["reason"] or f"suspect by {entry['detector']}",
            _place(whole.locate(int(side.rows[entry["row"]]))),
            Severity.MEDIUM,
            "Compare the row with its source.",
            threat="poisoning",
            value=float(entry["score"]),
        )
        for entry in rows[:_LISTED]
    ]
    return ""


def _place(located: str) -> Place:
    """Return the place of a row, from the words of a source: "FILE, row NUMBER", or a picture's file."""
    name, _, number = located.rpartition(", row ")
    return Place(Kind.ROW, name, int(number)) if name and number.isdecimal() else Place(Kind.PICTURE, located)


def _files(now: Manifest, places: Sequence[str]) -> dict[str, File | None]:
    """Return the files of a table in the order of their rows, each with its manifest entry, None where it is uncertain."""
    if len(places) == 1 and Path(places[0]).is_dir():
        return {f"{places[0]}/{file.name}": file for file in now.files}
    return {place: now.by_name.get(Path(place).name) for place in places}


def _fresh(
    files: Sequence[File | None], now: Manifest, new: Sequence[Change] | None, locate: Callable[[int], str]
) -> Callable[[int], bool]:
    """Return a function that says whether a row, by its number, lies in a new part.

    Exact for row groups of Parquet and for pictures in folders; in other formats all rows count as new.
    """
    if new is None:
        return lambda _row: True
    if all(file is not None and file.rows is not None for file in files):
        parts = [(file.name, part) for file in files if file for part in file.parts if part.rows is not None]
        ends = list(accumulate(part.rows or 0 for _, part in parts))
        named = {(change.file, change.part) for change in new}
        is_new = [(name, "") in named or (name, part.name) in named for name, part in parts]
        return lambda row: row >= ends[-1] or is_new[bisect_right(ends, row)]
    if len(now.files) > 1 and all(len(file.parts) == 1 for file in now.files):
        pictures = {change.file for change in new if change.how != "removed"}
        return lambda row: any(locate(row) == name or locate(row).endswith(f"/{name}") for name in pictures)
    return lambda _row: True
