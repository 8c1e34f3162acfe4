"""The `[data]` section: which files, which column is the target, how rows are split, what is done about poison."""

from __future__ import annotations

import pathlib

from hauberk.data.reading.loading import DataSpec
from hauberk.project.paths import existing
from hauberk.project.reading import Table
from hauberk.project.values import POLICIES

BUILT_IN = "sklearn:"


def read_data(root: Table, folder: pathlib.Path) -> tuple[DataSpec | None, str]:
    """Return what to load, with absolute paths, and the policy for poison that is found.

    Unset variables and absent files are noted by name and line; there is nothing to load then.
    """
    table = root.child("data")
    before = len(table.problems.found)
    kind = table.choice("kind", ("image", "table"), needed='write kind = "image" or kind = "table".')
    files = _files(table, "files", folder)
    if not table.values.get("files"):
        table.wrong("files", 'is missing: name the data files, such as files = ["data.csv"].')
    test_files = _files(table, "test_files", folder)
    target, group = table.text("target"), table.text("group")
    test_share = table.number("test_share", 0.2, low=0.01, high=0.9, why="It is a share of all rows.")
    if test_files and table.has("test_share"):
        table.wrong("test_share", "has no effect when `test_files` are given: leave out one of the two.")
    drop, labels = table.texts("drop"), table.texts("labels")
    limit = table.whole("limit", 1, low=1) if table.has("limit") else None
    source = table.text("source")
    poison = table.choice("poison", POLICIES, default=POLICIES[0])
    _check_roles(table, kind, (("target", target), ("group", group), ("source", source)), drop)
    if len(set(labels)) < len(labels):
        table.wrong("labels", "a class name stands twice.")
    table.close()
    if len(table.problems.found) > before:
        return None, poison
    spec = DataSpec(
        kind="image" if kind == "image" else "table",
        files=files,
        test_files=test_files,
        target=target,
        group=group,
        test_share=test_share,
        drop=drop,
        labels=labels,
        limit=limit,
        source=source,
    )
    return spec, poison


def _check_roles(table: Table, kind: str, roles: tuple[tuple[str, str], ...], drop: tuple[str, ...]) -> None:
    """Note a missing or contradictory role of a column, and settings that are for the other kind of data."""
    built_in = any(str(name).startswith(BUILT_IN) for name in table.get("files", list, []))
    target = roles[0][1]
    if kind == "table" and not target and not built_in:
        table.wrong("target", "is missing: name the column that the model predicts.")
    for key, name in roles:
        if name and name in drop:
            table.wrong("drop", f"{name!r} is the {key}: it cannot be dropped.")
    means = {"group": "whose rows belong together", "source": "that says who sent a row"}
    for key, name in roles[1:]:
        if name and name == target:
            table.wrong(key, f"{name!r} is the target already: name the column {means[key]}.")
    if kind == "table" and table.has("labels"):
        table.wrong("labels", "they name the classes of pictures; a table's classes are the values of its target.")
    for key in ("target", "drop"):
        if kind == "image" and table.has(key):
            table.wrong(key, "is for tables, and has no effect on pictures: leave it out.")


def _files(table: Table, key: str, folder: pathlib.Path) -> tuple[str, ...]:
    """Return names of built-in sets as they are, and the others as absolute paths."""
    found: list[str] = []
    for index, text in enumerate(table.texts(key)):
        path = None if text.startswith(BUILT_IN) else existing(table, key, text, folder, index=index)
        found.append(text if path is None else str(path))
    return tuple(found)
