"""The project file: what it accepts, and that each mistake is told with its line and its fix."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import ColumnBudget, Direction, Evasion, Extraction, Inference, Norm, Poisoning
from hauberk.lifecycle.project import Training, check_against, check_columns, load
from hauberk.lifecycle.project.lines import lines_of

IMAGES = """\
[project]
name = "digits"

[data]
kind = "image"
files = ["sklearn:digits"]

[model]
build = "model:build"

[[threats]]
kind = "evasion"
norm = "linf"
eps = "4/255"

[gate]
robust_accuracy = ">= 0.60"
"""

TABLE = """\
[project]
name = "loans"
seed = 7

[data]
kind = "table"
files = ["loans.csv"]
target = "risk"
group = "client"
drop = ["id"]

[model]
build = "model:build"

[[threats]]
name = "applicant"
kind = "evasion"
cost = 3

  [[threats.columns]]
  column = "amount"
  by = 500
  direction = "down"
  cost = 0.002

  [[threats.columns]]
  column = "purpose"
  cost = 1

[gate]
robust_accuracy = ">= 0.60"
"""

COLUMNS = (
    Column("amount", ColumnKind.NUMBER, 100.0, 5000.0),
    Column("months", ColumnKind.INTEGER, 1.0, 60.0),
    Column("purpose", ColumnKind.CATEGORY, 0.0, 2.0, ("car", "house", "tv")),
    Column("client", ColumnKind.INTEGER, 0.0, 9.0),
    Column("country", ColumnKind.CATEGORY, 0.0, 0.0, ("DE",)),
    Column("branch", ColumnKind.NUMBER, 4.0, 4.0),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.py").write_text("def build(spec): ...\ndef train(data, harden): ...\n")
    (tmp_path / "loans.csv").write_text("amount,risk\n1,0\n")
    return tmp_path


def read(folder: Path, text: str):
    (folder / "hauberk.toml").write_text(text, encoding="utf-8")
    return load(folder)


def complaints(folder: Path, text: str) -> list[tuple[int, str]]:
    """The lines and messages of the error that the text causes."""
    with pytest.raises(InvalidInput) as caught:
        read(folder, text)
    found = [re.fullmatch(r"hauberk\.toml:(\d+): (.*)", line) for line in str(caught.value).split("\n")]
    assert all(found), str(caught.value)
    return [(int(match[1]), match[2]) for match in found if match]


def line_of(text: str, needle: str) -> int:
    return next(number for number, line in enumerate(text.split("\n"), 1) if needle in line)


# --- what is accepted


def test_an_image_project_is_read_with_its_defaults(folder):
    project = read(folder, IMAGES)
    assert (project.name, project.seed, project.folder) == ("digits", 0, folder)
    assert project.evasions == (Evasion(norm=Norm.LINF, eps=4 / 255),)
    assert project.model.way == "build"
    assert project.training == Training()
    assert [str(rule) for rule in project.gate] == ["robust_accuracy >= 0.6"]
    assert (project.keys.uri, project.keys.signing) == (f"keyring:{folder}/.hauberk/keyring", "ed25519")
    assert project.data.files == ("sklearn:digits",)


def test_a_table_project_keeps_budgets_in_the_columns_own_units(folder):
    project = read(folder, TABLE)
    (declared,) = project.threats
    assert declared.label == "applicant"
    assert declared.line == line_of(TABLE, "[[threats]]")
    assert declared.threat == Evasion(
        columns=(ColumnBudget("amount", 500.0, Direction.DOWN, 0.002), ColumnBudget("purpose", cost=1.0)), cost=3.0
    )
    assert project.data.files == (str(folder / "loans.csv"),)
    assert (project.data.target, project.data.group, tuple(project.data.drop)) == ("risk", "client", ("id",))


def test_columns_may_be_written_inline(folder):
    block = TABLE[TABLE.index("  [[threats.columns]]") : TABLE.index("[gate]")]
    inline = TABLE.replace(block, "").replace(
        "cost = 3\n",
        'cost = 3\ncolumns = [\n  {column = "amount", by = 1, cost = 1},\n  {column = "x", bye = 1},\n]\n',
    )
    assert complaints(folder, inline) == [
        (
            line_of(inline, "bye"),
            "[[threats.columns]] has no key 'bye'; did you mean 'by'? Known: by, choices, column, cost, direction, high, low.",
        )
    ]


def test_every_kind_of_threat_and_every_section_is_read(folder):
    text = IMAGES + (
        '[[threats]]\nkind = "poisoning"\nshare = 0.05\n[[threats]]\nkind = "extraction"\nqueries = 1000\n'
        '[[threats]]\nkind = "inference"\nadvantage = 0.1\n[[threats]]\nkind = "evasion"\nnorm = "l2"\neps = 0.5\n'
        '[training]\nmethod = "pgd"\nepochs = 3\nbatch = 64\nlearning_rate = 0.01\nweight_decay = 0\n'
        'optimizer = "adamw"\naugment = "shift"\nprecision = "bf16"\naverage = 0.995\ndevice = "cpu"\n'
        "awp = 0.005\npatience = 9\n[training.hardening]\nsteps = 7\n"
        '[evaluation]\nrows = 200\nattacks = [{name = "pgd", steps = 40, restarts = 1}, {name = "square"}]\n'
        'certify = "smoothing"\n'
        "[checks.leakage]\ntolerance = 0.01\n[release]\nseal = false\n"
        '[keys]\nuri = "keyring:elsewhere"\nsigning = "ecdsa-p256"\n'
    )
    project = read(folder, text)
    assert [declared.threat for declared in project.threats][1:4] == [
        Poisoning(0.05),
        Extraction(1000),
        Inference(0.1),
    ]
    assert [declared.label for declared in project.threats] == [
        "evasion", "poisoning", "extraction", "inference", "evasion-2",
    ]  # fmt: skip
    assert project.training == Training(
        method="pgd",
        epochs=3,
        batch=64,
        learning_rate=0.01,
        weight_decay=0.0,
        optimizer="adamw",
        augment="shift",
        precision="bf16",
        average=0.995,
        device="cpu",
        awp=0.005,
        patience=9,
        hardening={"steps": 7},
    )
    assert project.evaluation.certify == "smoothing"
    assert project.evaluation.rows == 200
    assert project.evaluation.attacks == (("pgd", {"steps": 40, "restarts": 1}), ("square", {}))
    assert project.checks == {"leakage": {"tolerance": 0.01}}
    assert project.release.seal is False
    assert project.keys.signing == "ecdsa-p256"


def test_gate_rules_with_a_role_need_no_quotes(folder):
    project = read(folder, IMAGES + 'plain.clean_accuracy = ">= 0.9"\n"data.near_duplicates" = "== 0"\n')
    assert [str(rule) for rule in project.gate][1:] == ["plain.clean_accuracy >= 0.9", "data.near_duplicates == 0"]


@pytest.mark.parametrize(
    ("model", "way"),
    [
        ('build = "model:build"\nweights = "model.safetensors"', "weights"),
        ('onnx = "model.onnx"', "onnx"),
        ('train = "model:train"', "train"),
        ('train = "model:train"\nbuild = "model:build"', "train"),
    ],
)
def test_a_model_comes_in_one_of_three_ways(folder, model, way):
    (folder / "model.safetensors").write_bytes(b"x")
    (folder / "model.onnx").write_bytes(b"x")
    assert read(folder, IMAGES.replace('build = "model:build"', model)).model.way == way


def test_files_may_stand_in_a_folder_that_the_environment_names(folder, monkeypatch):
    text = TABLE.replace("loans.csv", "$SOME_DATA/loans.csv")
    monkeypatch.delenv("SOME_DATA", raising=False)
    ((line, message),) = complaints(folder, text)
    assert line == line_of(text, "SOME_DATA")
    assert "SOME_DATA, which is not set" in message
    monkeypatch.setenv("SOME_DATA", str(folder))
    assert read(folder, text).data.files == (str(folder / "loans.csv"),)


def test_the_source_digest_follows_every_byte(folder):
    assert read(folder, IMAGES).source != read(folder, IMAGES + "# a comment\n").source


def test_a_project_is_a_value(folder):
    project = read(folder, IMAGES)
    with pytest.raises(dataclasses.FrozenInstanceError):
        project.name = "other"


# --- what is refused, and how


def edit(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "digits"', 'name = "My Digits"', "such as 'my-digits'"),
        ('name = "digits"', "", "[project] name: is missing"),
        ('name = "digits"', 'name = "digits"\nseed = -1', "between 0 and"),
        ('name = "digits"', 'name = "digits"\nseed = true', "expected a whole number, found true"),
        ('kind = "image"', 'kind = "images"', "did you mean 'image'?"),
        ('["sklearn:digits"]', '["nowhere.npz"]', "there is no file"),
        ('["sklearn:digits"]', "[]", "[data] files: is missing"),
        ('["sklearn:digits"]', '"sklearn:digits"', 'expected a list, found "sklearn:digits"'),
        ('["sklearn:digits"]', '["sklearn:digits"]\ntest_share = 1.5', "between 0.01 and 0.9"),
        ('["sklearn:digits"]', '["sklearn:digits"]\nlabels = ["a", "a"]', "a class name stands twice"),
        ('["sklearn:digits"]', '["sklearn:digits"]\ntraget = "y"', "did you mean 'target'?"),
        ('build = "model:build"', 'build = "model.build"', 'is no "module:function"'),
        ('build = "model:build"', 'build = "modle:build"', "there is no module 'modle'"),
        ('build = "model:build"', "", "[model] comes in one of these ways, and it names none of them"),
        ('build = "model:build"', 'weights = "model.safetensors"', "one of these ways"),
        ('build = "model:build"', 'build = "model:build"\nonnx = "m.onnx"', "it has build and onnx"),
        ('build = "model:build"', 'build = "model:build"\nweights = "model.pt"', "can run code when they are read"),
        ('build = "model:build"', 'build = "model:build"\nweights = "m.safetensors"', "there is no file"),
        ('kind = "evasion"', 'kind = "evade"', "Known: evasion, poisoning"),
        ('kind = "evasion"', "", "kind: is missing"),
        ('norm = "linf"', 'norm = "l3"', "Known: linf, l2, l1"),
        ('norm = "linf"\n', "", "a radius needs its norm"),
        ('eps = "4/255"', "", "eps: is missing"),
        ('eps = "4/255"', "eps = 8", "8/255"),
        ('eps = "4/255"', "eps = nan", "finite"),
        ('eps = "4/255"', "eps = 0", "above 0"),
        ('eps = "4/255"', "eps = -0.1", "above 0"),
        ('eps = "4/255"', 'eps = "4/0"', "is no radius"),
        ('eps = "4/255"', 'eps = "four"', "is no radius"),
        ('eps = "4/255"', 'eps = "4/255"\ncost = 2', "declare two threats"),
        ('eps = "4/255"', 'eps = "4/255"\nepsilon = 2', "did you mean 'eps'?"),
        ('">= 0.60"', "0.60", 'expected a rule such as ">= 0.60", found 0.6'),
        ('">= 0.60"', '"=> 0.60"', "robust_accuracy"),
        ('robust_accuracy = ">= 0.60"', "", "[gate] has no rule"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[training]\nlr = 1', "did you mean 'learning_rate'?"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[training]\nepoch = 1', "did you mean 'epochs'?"),
        (
            'robust_accuracy = ">= 0.60"',
            'x = ">= 1"\n[training]\nepochs = 2.5',
            "expected a whole number, found 2.5",
        ),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[training]\nlearning_rate = inf', "finite"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[training]\noptimizer = "adam"', "did you mean 'adamw'?"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[training]\nminutes = 0', "0 trains nothing"),
        (
            'robust_accuracy = ">= 0.60"',
            'x = ">= 1"\n[training]\nminutes = 5\nepochs = 3',
            "from which the epochs follow",
        ),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[training]\naverage = 1', "between 0 and"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[training]\nprecision = "bf61"', "did you mean 'bf16'?"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[evaluation]\ncertify = "bound"', "did you mean 'bounds'?"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[evaluation]\nrows = 0', "1 or more"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[release]\nseal = "yes"', 'true or false, found "yes"'),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[keys]\nsigning = "rsa"', "Known: ed25519, ecdsa-p256"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[keys]\nuri = "a/b"', "has no scheme"),
        ('robust_accuracy = ">= 0.60"', 'x = ">= 1"\n[gates]\ny = 1', "has no key 'gates'; did you mean 'gate'?"),
    ],
)
def test_a_mistake_is_told_with_the_line_it_stands_on(folder, old, new, message):
    text = edit(IMAGES, old, new)
    found = complaints(folder, text)
    assert message in "\n".join(words for _, words in found)
    at = text.index(new) if new else IMAGES.index(old)
    header = text.count("\n", 0, text.rindex("\n[", 0, at) + 1 if "\n[" in text[:at] else 0) + 1
    last = text.count("\n", 0, at + len(new)) + 1
    assert all(header <= line <= last for line, _ in found), found


def test_a_wrong_key_is_named_on_exactly_its_line(folder):
    text = IMAGES + '[training]\nmethod = "pgd"\nepoch = 12\n'
    known = (
        "augment, average, awp, batch, device, epochs, hardening, learning_rate, method, minutes, optimizer, "
        "patience, precision, weight_decay"
    )
    words = f"[training] has no key 'epoch'; did you mean 'epochs'? Known: {known}."
    assert complaints(folder, text) == [(line_of(text, "epoch ="), words)]


def test_all_mistakes_of_a_file_are_told_at_once_in_its_order(folder):
    text = edit(edit(edit(IMAGES, '"digits"', '"Digits!"'), "4/255", "x"), ">= 0.60", "many")
    lines = [line for line, _ in complaints(folder, text)]
    assert lines == [line_of(text, "Digits!"), line_of(text, "eps"), line_of(text, "many")]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cost = 3", "cost = -3", "0 or more"),
        ("by = 500", "by = 0", "0 allows no change"),
        ("by = 500", "by = -1", "0 or more"),
        ('direction = "down"', 'direction = "downwards"', "did you mean 'down'?"),
        ('column = "purpose"', 'column = "amount"', "declared twice"),
        ('  column = "purpose"\n', "", "column: is missing"),
        ('target = "risk"\n', "", "target: is missing"),
        ('group = "client"', 'group = "risk"', "is the target already"),
        ('drop = ["id"]', 'drop = ["risk"]', "it cannot be dropped"),
        ('drop = ["id"]', "drop = [1]", "expected strings, found 1"),
    ],
)
def test_a_mistake_in_a_table_project_is_told(folder, old, new, message):
    assert message in "\n".join(words for _, words in complaints(folder, edit(TABLE, old, new)))


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


def test_a_relation_that_is_none_is_told_on_its_line(folder):
    text = edit(TABLE, "cost = 3", 'cost = 3\nrelations = [\n  "amount <= months",\n  "amount < 3",\n]')
    assert complaints(folder, text) == [(line_of(text, "amount < 3"), complaints(folder, text)[0][1])]
    assert "write <= or >=" in complaints(folder, text)[0][1]


def test_a_total_cost_that_limits_nothing_is_refused(folder):
    text = edit(edit(TABLE, "  cost = 0.002\n", ""), "  cost = 1\n", "")
    assert complaints(folder, text) == [
        (
            line_of(text, "cost = 3"),
            "[[threats]] cost: 3 limits nothing, since no column has a cost: give columns a `cost`.",
        )
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [("a = 1\nb == 2\n", 2), ("a = 1\na = 2\n", 2), ('a = "never closed\n', 1), ("a = [1,\n", 2), ("a = \n", 1)],
)
def test_a_syntax_error_keeps_its_line(folder, text, line):
    ((found, message),) = complaints(folder, text)
    assert found == line
    assert "not valid TOML" in message


def test_bytes_that_are_no_text_are_refused_with_their_line(folder):
    (folder / "hauberk.toml").write_bytes(b'[project]\nname = "\xff"\n')
    with pytest.raises(InvalidInput, match=r"hauberk.toml:2: not UTF-8"):
        load(folder)


def test_a_file_that_is_not_there_points_to_init(tmp_path):
    with pytest.raises(InvalidInput, match="hauberk init"):
        load(tmp_path)


def test_a_huge_file_is_refused_unread(tmp_path):
    with (tmp_path / "hauberk.toml").open("wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(InvalidInput, match="larger than 1 MiB"):
        load(tmp_path)


def test_deep_nesting_is_refused_not_crashed_on(folder):
    with pytest.raises(InvalidInput, match="nested too deeply"):
        read(folder, "a = " + "[" * 5000 + "]" * 5000)


# --- against the data


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


def test_minutes_for_a_model_that_is_not_trained_here_are_refused(folder):
    text = edit(IMAGES, 'build = "model:build"', 'train = "model:train"') + "[training]\nminutes = 5\n"
    ((line, words),) = complaints(folder, text)
    assert line == line_of(text, "minutes")
    assert "the team's own function" in words
    text = edit(IMAGES, 'kind = "evasion"\nnorm = "linf"\neps = "4/255"', 'kind = "poisoning"\nshare = 0.1')
    ((_, words),) = complaints(folder, text + "[training]\nminutes = 5\n")
    assert "no evasion threat is declared" in words


def test_shifting_a_table_is_refused(folder):
    text = TABLE + '[training]\naugment = "shift"\n'
    assert [line for line, _ in against(folder, text)] == [line_of(text, "augment")]


def test_names_for_another_number_of_classes_are_refused(folder):
    text = edit(IMAGES, '["sklearn:digits"]', '["sklearn:digits"]\nlabels = ["a", "b", "c"]')
    found = against(folder, text, columns=(), shape=(1, 8, 8))
    assert found == [(line_of(text, "labels"), "[data] labels: 3 names for 2 classes.")]


@pytest.mark.parametrize(("text", "key"), [(TABLE, "labels"), (IMAGES, "drop"), (IMAGES, "target")])
def test_a_setting_for_other_data_is_refused(folder, text, key):
    value = '"y"' if key == "target" else '["a", "b"]'
    text = text.replace("\nfiles =", f"\n{key} = {value}\nfiles =")
    assert [line for line, _ in complaints(folder, text)] == [line_of(text, f"{key} = {value}")]


def test_missing_columns_are_told_with_the_nearest_that_there_is(folder):
    with pytest.raises(InvalidInput) as caught:
        check_columns(read(folder, TABLE), ["risk_", "client", "ident"])
    first, second = str(caught.value).split("\n")
    assert first.startswith(
        f"hauberk.toml:{line_of(TABLE, 'target')}: [data] target: the data have no column 'risk'"
    )
    assert "did you mean 'risk_'?" in first
    assert second.startswith(f"hauberk.toml:{line_of(TABLE, 'drop')}: [data] drop: the data have no column 'id'")


# --- lines


def paths(value, prefix=()):
    """Every path of a parsed value, by the plain recursion."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*prefix, key)
        yield from paths(inner, (*prefix, key))


TRICKY = '''# "[not] = a table"
a = """
[b]
c = 1 # """
"d.e" = 'x # y' # [f]
f.g = [1, [2, # ]
  3], {h = "}", i = [4]}]
[j."k l"]
m = 1979-05-27T07:32:00Z
n = "\\\\" # "
[[o]]
p = {}
[[o]]
q = []
[[o.r]]
s = \'\'\'
t = 1\'\'\'\'
[o.r.u]
v = true
'''


def test_every_path_of_a_tricky_file_has_the_line_it_stands_on():
    found = lines_of(TRICKY)
    assert set(paths(tomllib.loads(TRICKY))) - set(found) == {("j",)}  # named only on the way to another
    for path, needle in [
        (("d.e",), "d.e"), (("f", "g", 2, "i"), "3]"), (("j", "k l", "n"), "n ="), (("o", 1), "[[o]]"),
        (("o", 0, "p"), "p ="), (("o", 1, "q"), "q ="), (("o", 1, "r", 0, "u", "v"), "v ="),
    ]:  # fmt: skip
        assert needle in TRICKY.split("\n")[found[path] - 1], path


KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\x7f", exclude_categories=("Cs", "Cc")), max_size=5)
SCALARS = st.one_of(st.integers(-9, 9), st.booleans(), st.text(st.sampled_from("a\"'\\#]}[{,=\n"), max_size=6))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


def written(value) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            return f'"{escaped}"'
        case list():
            return "[ # ]\n" + "".join(f"  {written(each)},\n" for each in value) + "]"
        case _:
            return "{" + ", ".join(f"{written(key)} = {written(each)}" for key, each in value.items()) + "}"


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=4))
def test_the_walk_knows_every_path_that_the_parser_knows(document):
    text = "".join(f"# note\n{written(key)} = {written(value)}\n" for key, value in document.items())
    parsed = tomllib.loads(text)
    assert parsed == document
    found = lines_of(text)
    assert set(found) == set(paths(parsed))
    lines = text.split("\n")
    for key in document:
        assert lines[found[key,] - 1].startswith(f"{written(key)} = ")


# --- algorithms


@pytest.mark.parametrize(
    ("section", "line", "message"),
    [
        ('[training]\nmethod = "pdg"', 'method = "pdg"', "known: augment, fgsm-rs, ibp, mart, noise, pgd, trades"),
        ('[training]\nmethod = "pgd"\n[training.hardening]\nstep_size = 3', "[training.hardening]", "'step_size'"),
        ('[training]\nmethod = "pgd"\n[training.hardening]\nsteps = 0', "[training.hardening]", "steps"),
        ("[training.hardening]\nsteps = 3", "[training.hardening]", "name it"),
        ('[evaluation]\nattacks = [{name = "gpd"}]', "attacks =", "pgd, spatial, square"),
        ('[evaluation]\nattacks = [\n  {name = "pgd"},\n  {name = "square", query = 1}\n]', "query", "queries"),
        ('[evaluation]\nattacks = [{name = "coordinate-search"}]', "attacks =", "is for table data"),
        ("[checks.leak]\ntolerance = 1", "[checks.leak]", "leakage"),
    ],
)
def test_an_unknown_algorithm_or_parameter_is_told_with_its_line(folder, section, line, message):
    text = f"{IMAGES}{section}\n"
    ((found, words),) = complaints(folder, text)
    assert found == line_of(text, line)
    assert message in words


def test_what_is_done_about_poison_is_declared_and_quarantine_is_the_default(folder):
    assert read(folder, IMAGES).poison == "quarantine"
    stop = IMAGES.replace('kind = "image"', 'kind = "image"\npoison = "stop"', 1)
    assert read(folder, stop).poison == "stop"
    with pytest.raises(InvalidInput, match='"ignore" is not known'):
        read(folder, stop.replace('"stop"', '"ignore"'))


def test_the_column_that_says_who_sent_a_row_is_no_other_column(folder):
    same = TABLE.replace('target = "risk"', 'target = "risk"\nsource = "risk"', 1)
    with pytest.raises(InvalidInput, match="says who sent a row"):
        read(folder, same)
