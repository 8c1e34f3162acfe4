"""`hauberk init`: what it writes parses, fits the data, and builds; and it never touches what is there."""

from __future__ import annotations

import dataclasses
import errno
import json
from pathlib import Path

import numpy as np
import polars
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from hauberk.cli.init import init as command
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput, Unavailable
from hauberk.data.reading import loading
from hauberk.models.spec import Spec
from hauberk.project import check_against, load, parse
from hauberk.project.starting import init
from hauberk.project.starting.models import model_file
from hauberk.project.starting.text import Seen, project_file, rounded
from hauberk.training.building import call_builder, load_callable

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), min_size=1, max_size=8)
BOUNDS = st.floats(-1e12, 1e12, allow_subnormal=False)


@st.composite
def columns(draw):
    name = draw(NAMES)
    if draw(st.booleans()):
        categories = tuple(draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)))
        return Column(name, ColumnKind.CATEGORY, 0.0, len(categories) - 1.0, categories)
    if draw(st.booleans()):
        low, high = sorted(draw(st.tuples(st.integers(-1000, 1000), st.integers(-1000, 1000))))
        return Column(name, ColumnKind.INTEGER, float(low), float(high))
    low, high = sorted(draw(st.tuples(BOUNDS, BOUNDS)))
    return Column(name, ColumnKind.NUMBER, low, high)


def table(found: tuple[Column, ...], **changes) -> Seen:
    return dataclasses.replace(
        Seen("table", ("sklearn:wine",), 100, ("no", "yes"), 0.6, target="y", columns=found), **changes
    )


def parsed(seen: Seen, folder: Path):
    (folder / "model.py").write_text(model_file(seen))
    return parse(project_file(seen, name="x").encode(), folder / "hauberk.toml")


TABLES = st.lists(columns(), min_size=1, max_size=8, unique_by=lambda column: column.name)


@given(TABLES, st.lists(NAMES, max_size=3))
def test_any_table_gets_a_file_that_parses_and_fits(tmp_path_factory, found, notes):
    movable = [c for c in found if c.high > c.low and (c.kind is not ColumnKind.INTEGER or c.high - c.low >= 1)]
    if not movable:
        return
    seen = table(tuple(found), notes=tuple(notes))
    project = parsed(seen, tmp_path_factory.mktemp("p"))
    check_against(project, seen.columns, seen.classes, (len(found),))


def test_the_first_budget_moves_what_a_person_can_change(tmp_path):
    found = (
        Column("age", ColumnKind.INTEGER, 17, 90),
        Column("race", ColumnKind.CATEGORY, 0, 1, ("a", "b")),
        Column("hours", ColumnKind.INTEGER, 1, 99),
        Column("amount", ColumnKind.NUMBER, 0, 1234),
    )
    (threat,) = parsed(table(found), tmp_path).evasions
    assert [(b.column, b.by) for b in threat.columns] == [("amount", 100.0), ("hours", 9.0)]


def test_what_is_not_moved_is_offered_as_a_comment_that_runs_when_it_is_uncommented(tmp_path):
    found = (
        Column("age", ColumnKind.INTEGER, 17, 90),
        Column("job", ColumnKind.CATEGORY, 0, 1, ("a", "b")),
        Column("amount", ColumnKind.NUMBER, 0, 1234),
    )
    text = project_file(table(found), name="x")
    assert "  # {column" in text
    (tmp_path / "model.py").write_text(model_file(table(found)))
    project = parse(text.replace("  # {column", "  {column").encode(), tmp_path / "hauberk.toml")
    check_against(project, found, ("no", "yes"), (3,))
    assert {budget.column for budget in project.evasions[0].columns} == {"age", "job", "amount"}


UNCOMMENTED = ("epochs", "batch", "learning_rate", "augment", "device", "attacks", "limit")


def test_commented_settings_are_known_keys(tmp_path):
    seen = Seen("image", ("sklearn:digits",), 100, ("a", "b"), 0.5, shape=(1, 8, 8))
    text = project_file(seen, name="x")
    (tmp_path / "model.py").write_text("def build(spec): ...\n")
    for line in text.split("\n"):
        key = line.removeprefix("# ").split(" = ")[0]
        if line.startswith("# ") and key in UNCOMMENTED:
            text = text.replace(line, line.removeprefix("# "))
    project = parse(text.encode(), tmp_path / "hauberk.toml")
    assert (project.training.epochs, project.training.augment) == (30, "shift")
    assert project.evaluation.attacks[0] == ("pgd", {"steps": 40, "restarts": 1})


@pytest.mark.parametrize(("shape", "eps"), [((1, 8, 8), 0.1), ((3, 32, 32), 8 / 255)])
def test_the_radius_suits_the_size_of_the_pictures(tmp_path, shape, eps):
    seen = Seen("image", ("sklearn:digits",), 100, ("a", "b"), 0.5, shape=shape)
    project = parsed(seen, tmp_path)
    assert [threat.eps for threat in project.evasions] == [eps]
    check_against(project, (), seen.classes, shape)


@given(st.floats(1e-300, 1e300))
def test_rounding_keeps_one_digit_and_never_grows_beyond_the_value(value):
    found = rounded(value)
    assert value * 0.49 < found <= value * (1 + 1e-8)
    assert len(f"{found:e}".split("e")[0].rstrip("0").rstrip(".")) == 1


# --- writing


def proposal() -> init.Proposal:
    seen = table((Column("amount", ColumnKind.NUMBER, 0, 10),))
    files = {
        "hauberk.toml": project_file(seen, name="x"),
        "model.py": model_file(seen),
        ".gitignore": ".hauberk/\n",
    }
    return init.Proposal("x", seen, files)


def test_writing_makes_all_files_and_names_them(tmp_path):
    written = init.write(tmp_path / "new", proposal())
    assert sorted(path.name for path in written) == [".gitignore", "hauberk.toml", "model.py"]
    assert all(path.is_file() for path in written)


def test_a_project_file_that_is_there_is_kept_and_nothing_else_is_written(tmp_path):
    (tmp_path / "hauberk.toml").write_text("mine")
    with pytest.raises(InvalidInput, match="exists already"):
        init.write(tmp_path, proposal())
    assert [path.name for path in tmp_path.iterdir()] == ["hauberk.toml"]
    assert (tmp_path / "hauberk.toml").read_text() == "mine"


def test_force_replaces_the_project_file_and_never_the_teams_model(tmp_path):
    for name in ("hauberk.toml", "model.py", ".gitignore"):
        (tmp_path / name).write_text("mine")
    written = init.write(tmp_path, proposal(), force=True)
    assert [path.name for path in written] == ["hauberk.toml"]
    assert (tmp_path / "hauberk.toml").read_text() != "mine"
    assert (tmp_path / "model.py").read_text() == (tmp_path / ".gitignore").read_text() == "mine"


class FullDisk(Disk):
    """Writes until `left` is used up."""

    def __init__(self, left: int) -> None:
        self.left = left

    def rename(self, source: Path, target: Path) -> None:
        if self.left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.left -= 1
        super().rename(source, target)


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_full_disk_leaves_no_project_and_the_next_try_finishes(tmp_path, left):
    with pytest.raises(Unavailable, match="no space left"):
        init.write(tmp_path, proposal(), disk=FullDisk(left))
    assert not (tmp_path / "hauberk.toml").exists()
    init.write(tmp_path, proposal())
    assert (tmp_path / "hauberk.toml").is_file()


def test_without_files_the_folder_is_searched(tmp_path):
    with pytest.raises(InvalidInput, match=r"has these data files: none.*--data"):
        init.propose(tmp_path)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x,y\n1,0\n")
    with pytest.raises(InvalidInput, match=r"a.csv, b.csv"):
        init.propose(tmp_path)


def test_a_bad_name_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(InvalidInput, match="such as 'my-project'"):
        init.propose(tmp_path, files=["sklearn:digits"], name="My Project")


# --- on real data


def checked(folder: Path, files: list[str], **given) -> init.Proposal:
    """Propose, write, read back, hold against the data as `hauberk protect` does, and build the model."""
    made = init.propose(folder, files=files, **given)
    init.write(folder, made)
    project = load(folder)
    split = loading.load(project.data, seed=project.seed)
    shape = split.train.x.shape[1:]
    check_against(project, split.train.columns, split.train.classes, shape)
    spec = Spec(project.data.kind, shape, len(split.train.classes), split.train.columns)
    model = call_builder(load_callable(project.model.build, folder), spec)
    if spec.kind == "image":
        with torch.no_grad():
            assert model(torch.from_numpy(split.train.x[:2])).shape == (2, spec.classes)
    return made


def test_digits_are_seen_as_pictures(tmp_path):
    made = checked(tmp_path, ["sklearn:digits"])
    assert (made.seen.kind, made.seen.shape, made.seen.rows) == ("image", (1, 8, 8), 1797)


def test_breast_cancer_is_seen_as_a_table(tmp_path):
    made = checked(tmp_path, ["sklearn:breast_cancer"])
    assert (made.seen.kind, len(made.seen.columns), made.seen.rows) == ("table", 30, 569)
    assert made.seen.majority == pytest.approx(357 / 569)


@pytest.mark.parametrize(("name", "target"), [("adult.parquet", "income"), ("german-credit.parquet", "risk")])
def test_a_real_table_gets_a_project_whose_path_can_move(tmp_path, datasets, monkeypatch, name, target):
    monkeypatch.setenv("HAUBERK_DATA", str(datasets))
    made = checked(tmp_path, [str(datasets / name)])
    assert (made.seen.kind, made.seen.target) == ("table", target)
    assert f'files = ["$HAUBERK_DATA/{name}"]' in made.files["hauberk.toml"]


def test_real_pictures_are_seen_with_their_classes(tmp_path, datasets):
    made = checked(tmp_path, [str(datasets / "gtsrb-32x32.npz")])
    assert (made.seen.kind, made.seen.shape, len(made.seen.classes)) == ("image", (3, 32, 32), 43)


def rows(count: int) -> str:
    return "".join(f"{i},{i * 37 % 101 / 10},{'ab'[i % 2]},{i % 2}\n" for i in range(count))


def test_the_target_of_a_table_is_taken_by_name_or_asked_for(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,amount,kind,label\n" + rows(60))
    assert init.propose(tmp_path).seen.target == "label"
    assert init.propose(tmp_path, target="kind").seen.target == "kind"
    with pytest.raises(InvalidInput, match="did you mean 'kind'"):
        init.propose(tmp_path, target="kindd")
    path.write_text("id,amount,when,size\n" + "".join(f"{i},{i},{i},{i}\n" for i in range(60)))
    with pytest.raises(InvalidInput, match="--target"):
        init.propose(tmp_path)


def test_a_table_is_looked_at_as_it_is_read_and_its_group_is_proposed(tmp_path):
    """With semicolons and blanks, as spreadsheets write them in half of Europe."""
    lines = [f"{i};{i * 37 % 101 / 10};p{i // 3};{'ab'[i % 2]}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["id; amount; patient; kind", *lines]))
    seen = init.propose(tmp_path).seen
    assert (seen.target, seen.group) == ("kind", "patient")
    assert [column.name for column in seen.columns] == ["id", "amount"]
    assert any("'patient' looks like a group" in note for note in seen.notes)


def test_files_in_the_folder_are_named_from_it(tmp_path):
    (tmp_path / "t.csv").write_text("id,amount,kind,label\n" + rows(60))
    assert 'files = ["t.csv"]' in init.propose(tmp_path).files["hauberk.toml"]


def test_the_command_says_what_it_saw_and_what_to_type(tmp_path):
    ran = CliRunner().invoke(command, [str(tmp_path), "--data", "sklearn:digits", "--json"])
    document = json.loads(ran.output)
    assert document["kind"] == "image"
    assert document["target"] is None
    assert sorted(Path(path).name for path in document["written"]) == [".gitignore", "hauberk.toml", "model.py"]
    ran = CliRunner().invoke(command, [str(tmp_path), "--data", "sklearn:digits", "--force"])
    assert "1,797" in ran.output
    assert f"hauberk protect {tmp_path}" in " ".join(ran.output.split())
    ran = CliRunner().invoke(command, [str(tmp_path), "--data", "sklearn:digits"])
    assert isinstance(ran.exception, InvalidInput)


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"PAR1" + bytes(100)])
def test_a_damaged_file_is_told_by_name_and_nothing_is_written(tmp_path, damage):
    (tmp_path / "t.parquet").write_bytes(damage)
    with pytest.raises(InvalidInput, match=r"t\.parquet"):
        init.propose(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


EXAMPLES = Path(__file__).parents[3] / "examples"


def example(name: str, folder: Path):
    """Read an example's project file beside a stand-in model, and hold it against its data."""
    (folder / "model.py").write_text("def build(spec): ...\n")
    (folder / "hauberk.toml").write_bytes((EXAMPLES / name / "hauberk.toml").read_bytes())
    project = load(folder)
    split = loading.load(project.data, seed=project.seed)
    check_against(project, split.train.columns, split.train.classes, split.train.x.shape[1:])
    return project


@pytest.mark.parametrize("name", ["digits", "diagnosis"])
def test_an_example_that_needs_no_download_fits_its_data(tmp_path, name):
    assert example(name, tmp_path).name == name


@pytest.mark.parametrize("name", ["lending", "stop-sign"])
def test_an_example_on_real_data_fits_them(tmp_path, datasets, monkeypatch, name):
    monkeypatch.setenv("HAUBERK_DATA", str(datasets))
    project = example(name, tmp_path)
    assert project.name == name
    if name == "stop-sign":
        assert [project.data.labels[code] for code in (14, 13, 25)] == ["stop", "yield", "road works"]


def test_a_number_column_with_gaps_is_left_out_and_said_so(tmp_path):
    gaps = [None if i % 7 == 0 else float(i) for i in range(80)]
    frame = polars.DataFrame({"a": [i / 7 for i in range(80)], "weight": gaps, "label": ["u", "v"] * 40})
    frame.write_parquet(tmp_path / "gaps.parquet")
    proposal = init.propose(tmp_path / "new", files=[str(tmp_path / "gaps.parquet")])
    assert proposal.seen.drop == ("weight",)
    assert any("weight" in note for note in proposal.seen.notes)
    init.write(tmp_path / "new", proposal)
    assert load(tmp_path / "new").data.drop == ("weight",)


def test_a_column_of_dates_is_left_out_and_said_so(tmp_path):
    days = polars.date_range(polars.date(2024, 1, 1), polars.date(2024, 3, 20), eager=True)
    polars.DataFrame({"a": range(80), "opened": days, "label": ["u", "v"] * 40}).write_parquet(
        tmp_path / "d.parquet"
    )
    proposal = init.propose(tmp_path / "new", files=[str(tmp_path / "d.parquet")])
    assert proposal.seen.drop == ("opened",)
    assert any("opened" in note for note in proposal.seen.notes)
    init.write(tmp_path / "new", proposal)
    assert load(tmp_path / "new").data.drop == ("opened",)


@pytest.mark.parametrize(("shape", "kind"), [((80, 4), "table"), ((80, 1, 4, 4), "image")])
def test_the_kind_of_an_archive_is_that_of_its_arrays(tmp_path, shape, kind):
    x = np.random.default_rng(0).random(shape, np.float32)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(80) % 2)
    proposal = init.propose(tmp_path / "new", files=[str(tmp_path / "a.npz")])
    init.write(tmp_path / "new", proposal)
    assert load(tmp_path / "new").data.kind == proposal.seen.kind == kind
