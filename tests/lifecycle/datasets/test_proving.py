"""From files to a model and back: each transaction is on record, and a row is proven to be in the set or not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from hauberk.cli.main import run
from hauberk.core import canonical
from hauberk.custody.keys._vault import Cost
from hauberk.custody.keys.keyring import Keyring
from hauberk.custody.seen import Seen
from hauberk.lifecycle.datasets.checking import check_proof
from hauberk.records import lineage
from hauberk.release import verification

PASSPHRASE = "correct horse"
TOML = """
[project]
name = "loans"

[data]
kind = "table"
files = ["loans.csv"]
target = "paid"
drop = ["id"]

[model]
build = "model:build"

[[threats]]
kind = "evasion"
cost = 4.0
columns = [{ column = "income", by = 4.0, cost = 1.0 }]

[evaluation]
rows = 20

[gate]
clean_accuracy = ">= 0.1"
"""
MODEL = """
from sklearn.linear_model import LogisticRegression

def build():
    return LogisticRegression()
"""


def write_rows(path, rows=240, seed=3):
    rng = np.random.default_rng(seed)
    income = rng.normal(50, 9, rows).round(2)
    frame = pl.DataFrame(
        {
            "id": np.arange(rows),
            "income": income,
            "job": rng.choice(["clerk", "smith", "baker"], rows),
            "paid": np.where(income + rng.normal(0, 3, rows) > 50, "yes", "no"),
        }
    )
    frame = pl.concat([frame, frame[:1].with_columns(id=pl.lit(rows).cast(frame.schema["id"]))])
    frame.write_csv(path)
    return frame


def make_project(folder):
    folder.mkdir()
    (folder / "hauberk.toml").write_text(TOML)
    (folder / "model.py").write_text(MODEL)
    Keyring.make(folder / ".hauberk" / "keyring", PASSPHRASE.encode(), cost=Cost(1, 64, 1))
    return write_rows(folder / "loans.csv")


@pytest.fixture(scope="module")
def around(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        base = tmp_path_factory.mktemp("lineage")
        patch.setenv("HAUBERK_PASSPHRASE", PASSPHRASE)
        patch.setenv("HAUBERK_STATE", str(base / "seen.json"))
        patch.setenv("HAUBERK_PRINCIPAL", "ana@bank")
        yield base


@pytest.fixture(scope="module")
def trained(around):
    folder = around / "loans"
    frame = make_project(folder)
    assert (
        run(["data", "import", str(folder / "loans.csv"), "--name", "applications", "--source", "branch 7",
             "--project", str(folder)]) == 0
    )  # fmt: skip
    assert run(["protect", str(folder), "--json"]) == 0
    return folder, frame


@pytest.fixture
def call(capsys, trained):
    folder, _ = trained

    def run_one(*arguments, code=0):
        capsys.readouterr()
        place = [] if "--check" in arguments else ["--project", str(folder)]
        assert run(["data", *arguments, *place, "--json"]) == code, capsys.readouterr()
        return json.loads(capsys.readouterr().out)

    return run_one


@pytest.fixture
def proven(call, tmp_path):
    def make(*arguments):
        call("prove", *arguments, "--output", str(tmp_path / "proof.json"))
        return tmp_path / "proof.json"

    return make


def training_row(folder, frame):
    """Return a row of the file that is on the training side, and one that is on the test side."""
    from hauberk.data.reading.loading import DataSpec, load

    split = load(DataSpec("table", (str(folder / "loans.csv"),), target="paid", drop=("id",)), seed=0)
    assert len(split.train) + len(split.test) == frame.height
    keys = {
        side: {(*data.x[row].tolist(), int(data.y[row])) for row in range(len(data))}
        for side, data in (("train", split.train), ("test", split.test))
    }
    return [
        next(
            int(data.rows[row])
            for row in range(len(data))
            if (*data.x[row].tolist(), int(data.y[row])) not in keys[other]
        )
        for data, other in ((split.train, "test"), (split.test, "train"))
    ]


def test_the_ledger_tells_the_way_from_the_source_to_the_release(trained):
    folder, _ = trained
    found = lineage.read(folder / ".hauberk")
    events = [one.event for one in found]
    assert events[0] == lineage.IMPORTED
    assert events.count(lineage.IMPORTED) == 1  # the main job found the set by its root
    assert [e for e in events[1:] if e != lineage.USED] == [lineage.SEALED, lineage.SPLIT, lineage.RELEASED]
    assert {one.by for one in found[:-1]} == {"ana@bank"}
    assert found[0].source == "branch 7"
    made = {one.event: one for one in found}
    assert made[lineage.SPLIT].inputs[0] == made[lineage.IMPORTED].outputs[0]
    assert made[lineage.USED].inputs[0] in made[lineage.SPLIT].outputs
    assert set(made[lineage.USED].outputs) & set(made[lineage.RELEASED].inputs)


@pytest.mark.parametrize("against", ["--ledger", "--release"])
def test_rows_of_the_training_side_are_proven_present_and_the_others_absent(trained, call, proven, against):
    folder, frame = trained
    place = folder / (".hauberk" if against == "--ledger" else "release")
    train, test = training_row(folder, frame)
    for row, present in ((train, True), (test, False)):
        proof = proven("--data", str(folder / "loans.csv"), "--row", str(row))
        told = call("prove", "--check", str(proof), against, str(place))
        assert told["present"] is present, told
        assert [step["number"] for step in told["steps"]] == list(range(1, 9))
    proof = proven("--data", str(folder / "loans.csv"), "--row", str(test), "--side", "test")
    assert call("prove", "--check", str(proof), against, str(place))["present"] is True


def test_values_are_enough_and_every_class_is_asked_about_where_none_is_named(trained, call, proven):
    folder, frame = trained
    row = frame.row(training_row(folder, frame)[0], named=True)
    values = json.dumps({"income": row["income"], "job": row["job"]})
    told = call("prove", "--check", str(proven("--values", values)), "--ledger", str(folder / ".hauberk"))
    assert set(told["found"]) == {"yes", "no"}
    assert told["found"][row["paid"]] >= 1
    other = json.dumps({"income": 12.5, "job": "clerk"})
    told = call("prove", "--check", str(proven("--values", other)), "--ledger", str(folder / ".hauberk"))
    assert told["found"] == {"yes": 0, "no": 0}
    odd = json.dumps({"income": 12.5, "job": "astronaut"})
    told = call("prove", "--check", str(proven("--values", odd)), "--ledger", str(folder / ".hauberk"))
    assert told["present"] is False


def test_absence_under_one_label_is_not_told_as_absence(trained, call, proven, capsys):
    folder, frame = trained
    row = frame.row(training_row(folder, frame)[0], named=True)
    other = {"yes": "no", "no": "yes"}[row["paid"]]
    proof = proven("--values", json.dumps({"income": row["income"], "job": row["job"]}), "--label", other)
    told = call("prove", "--check", str(proof), "--ledger", str(folder / ".hauberk"))
    assert (told["present"], told["everywhere"], told["found"]) == (False, False, {other: 0})
    assert any("under another label" in warning for warning in told["warnings"])
    assert run(["data", "prove", "--check", str(proof), "--ledger", str(folder / ".hauberk")]) == 0
    assert "says nothing of other labels" in " ".join(capsys.readouterr().out.split())
    proof = proven("--values", json.dumps({"income": row["income"], "job": row["job"]}))
    assert call("prove", "--check", str(proof), "--ledger", str(folder / ".hauberk"))["everywhere"]


def test_a_row_claimed_absent_that_is_present_is_refused(trained, call, proven):
    folder, frame = trained
    row = frame.row(training_row(folder, frame)[0], named=True)
    absent = proven("--values", json.dumps({"income": 12.5, "job": "clerk", "paid": "no"}))
    document = json.loads(absent.read_bytes())
    document["row"] = {"income": float(np.float32(row["income"])), "job": row["job"]}
    document["claims"][0]["label"] = row["paid"]
    absent.write_bytes(canonical.encode(document))
    told = call("prove", "--check", str(absent), "--ledger", str(folder / ".hauberk"), code=1)
    assert told["present"] is None
    assert "may be in the set" in told["steps"][-1]["detail"]
    document["claims"], document["unknown"] = [], "job"
    absent.write_bytes(canonical.encode(document))
    told = call("prove", "--check", str(absent), "--ledger", str(folder / ".hauberk"), code=1)
    assert "has no value that the set does not know" in told["steps"][6]["detail"]


@pytest.mark.parametrize(
    ("field", "value", "failed"),
    [
        ("_type", "https://hauberk.dev/row-proof/v9", "form"),
        ("event", "AAAA", "ledger"),
        ("side", "other", "event"),
        ("row", {"income": 1.0, "job": "clerk"}, "claim"),
        ("unknown", "job", "row"),
        ("claims", [], "row"),
    ],
)
def test_an_altered_proof_fails_at_its_step(trained, call, proven, field, value, failed):  # noqa: PLR0917
    folder, frame = trained
    proof = proven("--data", str(folder / "loans.csv"), "--row", str(training_row(folder, frame)[0]))
    proof.write_bytes(canonical.encode(json.loads(proof.read_bytes()) | {field: value}))
    told = call("prove", "--check", str(proof), "--ledger", str(folder / ".hauberk"), code=1)
    assert next(step["name"] for step in told["steps"] if step["ok"] is False) == failed


def test_another_schema_is_another_row(trained, call, proven):
    folder, _ = trained
    proof = proven("--values", json.dumps({"income": 12.5, "job": "clerk", "paid": "no"}))
    document = json.loads(proof.read_bytes())
    document["schema"]["classes"] = ["yes", "no"]
    proof.write_bytes(canonical.encode(document))
    told = call("prove", "--check", str(proof), "--ledger", str(folder / ".hauberk"), code=1)
    assert "not described as" in told["steps"][6]["detail"]


def test_a_proof_from_another_ledger_is_refused(around, call, proven):
    other = around / "other"
    if not other.exists():
        make_project(other)
        write_rows(other / "loans.csv", seed=4)
        assert run(["protect", str(other), "--json"]) == 0
    proof = proven("--values", json.dumps({"income": 12.5, "job": "clerk", "paid": "no"}))
    for against, place in (("--ledger", ".hauberk"), ("--release", "release")):
        told = call("prove", "--check", str(proof), against, str(other / place), code=1)
        assert told["steps"][2]["ok"] is False, told


def test_a_proof_about_a_later_training_is_none_about_an_earlier_release(around, call, tmp_path):
    folder = around / "again"
    make_project(folder)
    assert run(["protect", str(folder), "--json"]) == 0
    shutil.copytree(folder / "release", tmp_path / "earlier")
    values, proof = json.dumps({"income": 12.5, "job": "clerk", "paid": "no"}), tmp_path / "proof.json"
    first = ["data", "prove", "--values", values, "--project", str(folder), "--output"]
    assert run([*first, str(tmp_path / "first.json")]) == 0
    write_rows(folder / "loans.csv", seed=5)
    assert run(["protect", str(folder), "--json"]) == 0
    assert run([*first, str(proof)]) == 0
    told = call("prove", "--check", str(proof), "--release", str(tmp_path / "earlier"), code=1)
    assert "made from another training" in told["steps"][4]["detail"]
    found = check_proof(tmp_path / "first.json", ledger=folder / ".hauberk")
    assert found.ok
    assert any("trained later too" in warning for warning in found.warnings)


def test_the_event_has_to_be_of_the_model_that_is_served(trained, proven, monkeypatch, tmp_path):
    folder, _ = trained
    proof = proven("--values", json.dumps({"income": 12.5, "job": "clerk", "paid": "no"}))
    check = verification.check

    def other_model(*arguments, **how):
        verified = check(*arguments, **how)
        served = dict.fromkeys(verified.manifest.about, "0" * 64)
        return replace(verified, manifest=verified.manifest.model_copy(update={"about": served}))

    monkeypatch.setattr(verification, "check", other_model)
    found = check_proof(proof, release=folder / "release", seen=Seen(tmp_path / "seen.json"))
    assert [step.name for step in found.steps if step.ok is False] == ["model"]


def test_a_ledger_behind_the_proofs_checkpoint_is_noticed(trained, call, proven, tmp_path):
    folder, _ = trained
    old = tmp_path / "old"
    shutil.copytree(folder / ".hauberk", old / ".hauberk")
    call("import", str(folder / "model.py"), "--name", f"code {tmp_path.name}")
    proof = proven("--values", json.dumps({"income": 12.5, "job": "clerk", "paid": "no"}))
    assert call("prove", "--check", str(proof), "--ledger", str(folder / ".hauberk"))["ok"]
    told = call("prove", "--check", str(proof), "--ledger", str(old / ".hauberk"), code=1)
    assert "roll-back" in told["steps"][4]["detail"]


def test_the_key_may_be_pinned(trained, proven, tmp_path):
    folder, _ = trained
    proof = proven("--values", json.dumps({"income": 12.5, "job": "clerk"}))
    found = check_proof(proof, ledger=folder / ".hauberk", key="00" * 32)
    assert "expected 0000" in found.steps[1].detail
    found = check_proof(proof, release=folder / "release", seen=Seen(tmp_path / "seen.json"))
    assert found.ok
    assert any("not pinned" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--data", "x.csv"),
        ("--values", "{"),
        ("--values", "[]"),
        ("--values", "{}"),
        ("--values", '{"income": 1}', "--model", "nobody"),
    ],
)
def test_a_question_without_a_row_is_refused(call, arguments):
    call("prove", *arguments, code=2)
