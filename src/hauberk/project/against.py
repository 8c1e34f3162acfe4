"""Check a project file against its data: columns that do not exist, and impossible budgets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from hauberk.attacks import relations
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.relations import parse
from hauberk.core.threats import ColumnBudget, Direction, Evasion, Norm
from hauberk.project.lines import Path
from hauberk.project.problems import Problems, suggestion
from hauberk.project.values import Project

_GREY = 0.5  # changing every pixel by this much can turn any picture into the same grey one


def check_columns(project: Project, names: Sequence[str]) -> None:
    """Check `target`, `group`, `source` and `drop` against the column names in the files of a table.

    Raises InvalidInput with a line for each unknown column, and the known names. Call it before the rows are read,
    so that a misspelt column costs no time.
    """
    problems = Problems(project.file.name, project.lines)
    wanted: list[tuple[Path, str]] = [
        (("data", "target"), project.data.target),
        (("data", "group"), project.data.group),
        (("data", "source"), project.data.source),
    ]
    wanted += [(("update", "groups", index), name) for index, name in enumerate(project.update.groups)]
    wanted += [(("data", "drop", index), name) for index, name in enumerate(project.data.drop)]
    for path, name in wanted:
        if name and name not in names:
            advice = suggestion(name, names, word="The data have")
            problems.add(path, f"[{path[0]}] {path[1]}: the data have no column {name!r}; {advice}")
    problems.stop()


def check_against(
    project: Project,
    columns: tuple[Column, ...],
    classes: tuple[str, ...],
    shape: tuple[int, ...],
) -> None:
    """Check what the file declares against the loaded data.

    columns: of a table, without the target; classes: their names; shape: of one row, (channels, height, width)
    for a picture and (columns,) for a table. Raises InvalidInput with one line for each problem: a threat
    for the other kind of data, an unknown column, a budget that permits no change, or one that no model
    could withstand.
    """
    problems = Problems(project.file.name, project.lines)
    kind = "image" if len(shape) == 3 else "table"
    if project.data.kind != kind:
        problems.add(("data", "kind"), f"[data] kind: the files hold {kind} data, not {project.data.kind}.")
    labels = project.data.labels
    if labels and len(labels) != len(classes):
        problems.add(("data", "labels"), f"[data] labels: {len(labels)} names for {len(classes)} classes.")
    _check_update(project, columns, classes, problems)
    for index, declared in enumerate(project.threats):
        path: Path = ("threats", index)
        if isinstance(declared.threat, Evasion):
            if kind == "table":
                _check_table(declared.threat, columns, path, problems)
            else:
                _check_image(declared.threat, shape, path, problems)
    if kind == "table" and project.training.augment == "shift":
        problems.add(
            ("training", "augment"), '[training] augment: "shift" moves pictures; for a table write "none".'
        )
    if project.evaluation.certify == "smoothing" and any(t.norm is not Norm.L2 for t in project.evasions):
        problems.add(
            ("evaluation", "certify"),
            '[evaluation] certify: smoothing proves L2 balls around images; declare norm = "l2", or write "bounds".',
        )
    problems.stop()


def _check_update(
    project: Project, columns: tuple[Column, ...], classes: tuple[str, ...], problems: Problems
) -> None:
    learned = {column.name: column for column in columns}
    for index, name in enumerate(project.update.groups):
        column = learned.get(name)
        if column is None or (column.kind is ColumnKind.NUMBER):
            known = [one.name for one in columns if one.kind is not ColumnKind.NUMBER]
            problems.add(
                ("update", "groups", index),
                f"[update] groups: {name!r} is not a column of categories or whole numbers that the model uses; "
                + suggestion(name, known),
            )
    if project.update.favourable and project.update.favourable not in classes:
        advice = suggestion(project.update.favourable, classes, word="The classes are")
        problems.add(("update", "favourable"), f"[update] favourable: there is no such class; {advice}")


def _check_table(threat: Evasion, columns: tuple[Column, ...], path: Path, problems: Problems) -> None:
    if threat.norm is not None:
        example = columns[0].name if columns else "age"
        problems.add(
            (*path, "norm"),
            f"[[threats]] norm: {threat.norm} is a budget for images, and these data are a table: declare "
            f'columns = [{{column = "{example}", by = ...}}] in its place.',
        )
    known = {column.name: column for column in columns}
    for index, budget in enumerate(threat.columns):
        _check_column(budget, known, threat.cost, (*path, "columns", index), problems)
    stated = [parse(text) for text in threat.relations]
    for index, relation in enumerate(stated):
        problems.take((*path, "relations", index), lambda r=relation: relations.check(r, known))  # type: ignore[misc]
    moved = {budget.column for budget in threat.columns}
    problems.take((*path, "relations"), lambda: relations.following(stated, columns, moved))


def _check_image(threat: Evasion, shape: tuple[int, ...], path: Path, problems: Problems) -> None:
    if threat.norm is None:
        problems.add(
            (*path, "columns"),
            '[[threats]] columns: these data are images, which have no columns: declare norm = "linf" and eps = "4/255".',
        )
        return
    pixels = math.prod(shape)
    limit = _GREY * {Norm.LINF: 1.0, Norm.L2: math.sqrt(pixels), Norm.L1: float(pixels)}[threat.norm]
    if threat.eps >= limit:
        problems.add(
            (*path, "eps"),
            f"[[threats]] eps: within {threat.norm} {threat.eps:.4g} every picture can become the same grey "
            f"one, so no model can withstand it: use less than {limit:.4g}, in pixel units of [0, 1].",
        )


def _check_column(
    budget: ColumnBudget, known: Mapping[str, Column], total: float, path: Path, problems: Problems
) -> None:
    column = known.get(budget.column)
    if column is None:
        advice = suggestion(budget.column, known, word="The data have")
        problems.add((*path, "column"), f"[[threats]] columns: the data have no column {budget.column!r}; {advice}")
        return
    complaint = _category(budget, column) if column.kind is ColumnKind.CATEGORY else _number(budget, column)
    least = 0.0 if column.kind is ColumnKind.NUMBER else budget.cost
    if complaint is None and 0 < total < least:
        spent = f"one change costs {budget.cost:g} and the threat may spend {total:g} in all"
        complaint = ("cost", f"{spent}, so it is never made: lower the one or raise the other.")
    if complaint is not None:
        key, message = complaint
        problems.add((*path, key), f"[[threats]] columns, {column.name!r}: {message}")


def _category(budget: ColumnBudget, column: Column) -> tuple[str, str] | None:
    if len(column.categories) < 2:
        return "column", "it has one category only, so there is nothing to change it to: leave it out."
    if budget.by > 0:
        return (
            "by",
            "it is a category, which has no distance: leave out `by`, and any other category may be chosen.",
        )
    if budget.direction is not Direction.BOTH:
        return "direction", f"it is a category, which has no {budget.direction.value}: leave out `direction`."
    if budget.low is not None or budget.high is not None:
        key = "low" if budget.low is not None else "high"
        return key, "it is a category, which has no range: `choices` says which may be chosen."
    for choice in budget.choices:
        if choice not in column.categories:
            return "choices", f"it has no category {choice!r}; {suggestion(choice, column.categories)}"
    return None


def _number(budget: ColumnBudget, column: Column) -> tuple[str, str] | None:
    span = column.high - column.low
    seen = f"its values run from {column.low:g} to {column.high:g}"
    if span <= 0:
        return "column", f"it is {column.low:g} in every row, so the model learns nothing from it: leave it out."
    if budget.choices:
        return "choices", "it is a number: `by`, `low` and `high` say how far it may move."
    if budget.by <= 0:
        return "by", f"`by` is missing: how far may it move? {seen.capitalize()}."
    if budget.by > span:
        return "by", f"{budget.by:g} is more than the whole range of the column ({seen}): use at most {span:g}."
    if column.kind is ColumnKind.INTEGER and budget.by < 1:
        return (
            "by",
            f"{budget.by:g} is less than one step of a whole number, so nothing could change: use 1 or more.",
        )
    return None
