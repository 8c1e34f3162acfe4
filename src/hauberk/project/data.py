"""The `[data]` section: the files, the target column, the split, and what is done with poison."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from hauberk.data.reading.loading import DataSpec
from hauberk.project.paths import existing
from hauberk.project.problems import Problems
from hauberk.project.strict import Finite, Section, Text
from hauberk.project.values import Policy

BUILT_IN = "sklearn:"


class DataTable(Section):
    """`[data]`."""

    kind: Annotated[Literal["image", "table"], Field(description='write kind = "image" or kind = "table".')]
    files: Annotated[
        list[Text], Field(min_length=1, description='name the data files, such as files = ["data.csv"].')
    ]
    test_files: list[Text] = Field(default_factory=list)
    target: str = ""
    group: str = ""
    source: str = ""
    test_share: Annotated[Finite, Field(ge=0.01, le=0.9, description="It is a share of all rows.")] = 0.2
    drop: list[Text] = Field(default_factory=list)
    labels: list[Text] = Field(default_factory=list)
    limit: Annotated[int, Field(ge=1)] | None = None
    poison: Policy = "quarantine"


def data_of(table: DataTable, folder: pathlib.Path, problems: Problems) -> DataSpec:
    """Return what to load, with absolute paths; what contradicts itself or does not exist is noted by line."""
    _check_roles(table, problems)
    _check_kind(table, problems)
    return DataSpec(
        kind=table.kind,
        files=_files("files", table.files, folder, problems),
        test_files=_files("test_files", table.test_files, folder, problems),
        target=table.target,
        group=table.group,
        test_share=table.test_share,
        drop=tuple(table.drop),
        labels=tuple(table.labels),
        limit=table.limit,
        source=table.source,
    )


def _check_roles(table: DataTable, problems: Problems) -> None:
    """Note a missing column, one with two roles, and settings that contradict each other."""

    def wrong(key: str, message: str) -> None:
        problems.wrong(("data", key), message)

    if table.test_files and table.has("test_share"):
        wrong("test_share", "has no effect when `test_files` are given: leave out one of the two.")
    if len(set(table.labels)) < len(table.labels):
        wrong("labels", "a class name occurs twice.")
    for key in ("target", "group", "source"):
        if (name := getattr(table, key)) and name in table.drop:
            wrong("drop", f"{name!r} is the {key}: it cannot be dropped.")
    for key, means in (("group", "whose rows belong together"), ("source", "that says who sent a row")):
        if (name := getattr(table, key)) and name == table.target:
            wrong(key, f"{name!r} is the target already: name the column {means}.")


def _check_kind(table: DataTable, problems: Problems) -> None:
    """Note settings that are for the other kind of data."""
    built_in = any(name.startswith(BUILT_IN) for name in table.files)
    if table.kind == "table" and not table.target and not built_in:
        problems.wrong(("data", "target"), "is missing: name the column that the model predicts.")
    if table.kind == "table" and table.has("labels"):
        problems.wrong(
            ("data", "labels"), "they name the classes of pictures; a table's classes are the values of its target."
        )
    for key in ("target", "drop"):
        if table.kind == "image" and table.has(key):
            problems.wrong(("data", key), "is for tables, and has no effect on pictures: leave it out.")


def _files(key: str, names: Sequence[str], folder: pathlib.Path, problems: Problems) -> tuple[str, ...]:
    """Return names of built-in sets as they are, and the others as absolute paths."""
    found: list[str] = []
    for index, text in enumerate(names):
        path = None if text.startswith(BUILT_IN) else existing(problems, ("data", key, index), text, folder)
        found.append(text if path is None else str(path))
    return tuple(found)
