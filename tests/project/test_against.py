"""A project file held against its data: columns that are not there, and budgets that cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.project import check_against, check_columns

from .texts import IMAGES, TABLE, edit, line_of, read

COLUMNS = (
    Column("amount", ColumnKind.NUMBER, 100.0, 5000.0),
    Column("months", ColumnKind.INTEGER, 1.0, 60.0),
    Column("purpose", ColumnKind.CATEGORY, 0.0, 2.0, ("car", "house", "tv")),
    Column("client", ColumnKind.INTEGER, 0.0, 9.0),
    Column("country", ColumnKind.CATEGORY, 0.0, 0.0, ("DE",)),
    Column("branch", ColumnKind.NUMBER, 4.0, 4.0),
)


def against(folder: Path, text: str, **given) -> list[tuple[int, str]]:
    options = {"columns": COLUMNS, "shape": (len(COLUMNS),)} | given
    project = read(folder, text)
    with pytest.raises(InvalidInput) as caught:
        check_against(project, options["columns"], ("good", "bad"), options["shape"])
    pairs = [line.split(": ", 1) for line in str(caught.value).split("\n")]
    return [(int(place.split(":")[1]), words) for place, words in pairs]


def test_a_project_that_fits_its_data_passes(folder):
    check_against(read(folder, TABLE), COLUMNS, ("good", "bad"), (6,))
    check_against(read(folder, IMAGES), (), tuple("0123456789"), (1, 8, 8))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'column = "amount"',
            'column = "amuont"',
            "no column 'amuont'; did you mean 'amount'? The data have: amount,",
        ),
        ("by = 500", "by = 4901", "more than the whole range of the column (its values run from 100 to 5000)"),
        ("  by = 500\n", "", "`by` is missing: how far may it move?"),
        ('column = "amount"', 'column = "branch"', "it is 4 in every row"),
        ('column = "purpose"', 'column = "country"', "one category only"),
        ('column = "purpose"', 'column = "purpose"\n  by = 2', "a category, which has no distance"),
        ('column = "purpose"', 'column = "purpose"\n  direction = "up"', "a category, which has no up"),
        ("  cost = 1\n", "  cost = 4\n", "so it is never made"),
        ('"amount"\n  by = 500', '"months"\n  by = 0.5', "less than one step of a whole number"),
        ("  by = 500\n", '  choices = ["x"]\n', "it is a number"),
        ('column = "purpose"', 'column = "purpose"\n  choices = ["cat"]', "no category 'cat'; did you mean 'car'?"),
        ('column = "purpose"', 'column = "purpose"\n  low = 2', "a category, which has no range"),
        ("cost = 3", 'cost = 3\nrelations = ["amount <= mnths"]', "no column is named 'mnths'"),
        ("cost = 3", 'cost = 3\nrelations = ["months = 2*client + amount", "client = months"]', "define"),
    ],
)
def test_an_impossible_budget_is_told_with_its_line(folder, old, new, message):
    text = edit(TABLE, old, new)
    ((line, words),) = against(folder, text)
    assert message in words
    changed = new.strip().split("\n")[-1].strip() or 'column = "amount"'
    assert line == line_of(text, changed) or text.split("\n")[line - 1].strip() == "[[threats.columns]]"


def test_a_threat_for_images_on_a_table_is_told_and_the_other_way_round(folder):
    text = TABLE.replace(TABLE[TABLE.index("cost = 3") : TABLE.index("[gate]")], 'norm = "linf"\neps = 0.1\n')
    ((line, words),) = against(folder, text)
    assert line == line_of(text, "norm")
    assert "a budget for images, and these data are a table" in words
    text = (
        TABLE.replace('kind = "table"', 'kind = "image"')
        .replace('target = "risk"\n', "")
        .replace('drop = ["id"]\n', "")
    )
    ((line, words),) = against(folder, text, columns=(), shape=(1, 8, 8))
    assert line == line_of(text, "[[threats.columns]]")
    assert "these data are images" in words


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.5), ("l2", 4.0)])
def test_a_radius_that_turns_every_picture_grey_is_refused(folder, norm, eps):
    text = IMAGES.replace("linf", norm).replace('"4/255"', str(eps))
    ((line, words),) = against(folder, text, columns=(), shape=(1, 8, 8))
    assert line == line_of(text, "eps")
    assert "same grey" in words


def test_smoothing_for_another_norm_is_refused(folder):
    text = IMAGES + '[evaluation]\ncertify = "smoothing"\n'
    ((line, words),) = against(folder, text, columns=(), shape=(1, 8, 8))
    assert line == line_of(text, "certify")
    assert 'declare norm = "l2"' in words
    check_against(read(folder, text.replace("linf", "l2")), (), ("a", "b"), (1, 8, 8))


def test_shifting_a_table_is_refused(folder):
    text = TABLE + '[training]\naugment = "shift"\n'
    assert [line for line, _ in against(folder, text)] == [line_of(text, "augment")]


def test_names_for_another_number_of_classes_are_refused(folder):
    text = edit(IMAGES, '["sklearn:digits"]', '["sklearn:digits"]\nlabels = ["a", "b", "c"]')
    found = against(folder, text, columns=(), shape=(1, 8, 8))
    assert found == [(line_of(text, "labels"), "[data] labels: 3 names for 2 classes.")]


def test_missing_columns_are_told_with_the_nearest_that_there_is(folder):
    with pytest.raises(InvalidInput) as caught:
        check_columns(read(folder, TABLE), ["risk_", "client", "ident"])
    first, second = str(caught.value).split("\n")
    assert first.startswith(
        f"hauberk.toml:{line_of(TABLE, 'target')}: [data] target: the data have no column 'risk'"
    )
    assert "did you mean 'risk_'?" in first
    assert second.startswith(f"hauberk.toml:{line_of(TABLE, 'drop')}: [data] drop: the data have no column 'id'")


def test_relations_ranges_and_choices_are_read(folder):
    text = edit(
        TABLE, "cost = 3", 'cost = 3\nrelations = ["amount <= 100 * months", \'purpose = "tv" => amount <= 900\']'
    )
    text = edit(edit(text, "by = 500", "by = 500\n  high = 4000"), '"purpose"', '"purpose"\n  choices = ["car"]')
    project = read(folder, text)
    check_against(project, COLUMNS, ("good", "bad"), (6,))
    (threat,) = project.evasions
    assert threat.relations == ("amount <= 100 * months", 'purpose = "tv" => amount <= 900')
    assert (threat.columns[0].low, threat.columns[0].high, threat.columns[1].choices) == (None, 4000.0, ("car",))
