from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from hauberk.attacks.evaluation import evaluate
from hauberk.attacks.evasion import ATTACKS
from hauberk.attacks.verdict import SearchResult
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.threats import ColumnBudget, Evasion, Norm
from hauberk.models.adapting import as_model

SQUARE = [("square", {"queries": 5})]
THREAT = Evasion(norm=Norm.LINF, eps=0.02)
COLUMNS = (
    Column("age", ColumnKind.INTEGER, 0, 90),
    Column("job", ColumnKind.CATEGORY, 0, 1, ("farmer", "clerk")),
)


def measure(model, x, y, threat=THREAT, **options):
    options = {"columns": (), "classes": ("no", "yes"), "attacks": [("pgd", {"steps": 20})], "seed": 3} | options
    return evaluate(model, x, y, threat=threat, **options)


def test_robust_accuracy_equals_the_closed_form(linear):
    model, x, y, weights, bias = linear
    reach = 0.02 * np.abs(weights).sum()
    expected = (np.abs(x.reshape(len(x), -1) @ weights + bias) > reach).mean()
    metrics = measure(model, x, y).metrics
    assert metrics["clean_accuracy"] == 1.0
    assert metrics["robust_accuracy"] == pytest.approx(expected, abs=0.01)
    assert metrics["queries_pgd"] > 0


def test_a_row_that_was_wrong_already_is_not_robust(linear):
    model, x, y, _, _ = linear
    wrong = y.copy()
    wrong[:150] = 1 - wrong[:150]
    metrics = measure(model, x, wrong).metrics
    assert metrics["clean_accuracy"] == 0.5
    assert metrics["robust_accuracy"] <= 0.5


def test_the_worst_attack_counts_row_by_row(linear):
    model, x, y, _, _ = linear
    metrics = measure(model, x, y, attacks=[("square", {"queries": 5}), ("pgd", {})]).metrics
    assert metrics["robust_accuracy"] <= min(metrics["robust_accuracy_square"], metrics["robust_accuracy_pgd"])


def test_named_attacks_default_to_all_that_fit_the_model(linear, outside):
    model, x, y, _, _ = linear
    assert "robust_accuracy_pgd" not in measure(outside(model), x[:40], y[:40], attacks=()).metrics
    both = measure(model, x[:40], y[:40], attacks=()).metrics
    assert {"robust_accuracy_pgd", "robust_accuracy_square"} <= set(both)


def test_the_curve_starts_at_clean_accuracy_and_falls(linear):
    model, x, y, _, _ = linear
    curve = measure(model, x[:200], y[:200]).series["accuracy_by_radius"]
    assert [point["x"] for point in curve] == pytest.approx([0, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04])
    heights = [point["y"] for point in curve]
    assert heights[0] == 1.0
    assert heights == sorted(heights, reverse=True)
    assert heights[-1] < heights[0]


def test_the_same_seed_gives_the_same_evidence(linear):
    model, x, y, _, _ = linear
    one, two = (measure(model, x, y, attacks=[("square", {"queries": 30})]) for _ in range(2))
    keep = {name: value for name, value in one.metrics.items() if name != "seconds"}
    assert keep == {name: value for name, value in two.metrics.items() if name != "seconds"}
    assert one.outputs == two.outputs


def test_examples_were_right_before_and_wrong_after_and_have_pictures(linear):
    model, x, y, _, _ = linear
    told = json.loads(measure(model, x, y).outputs["examples.json"])
    assert (told["kind"], told["shape"]) == ("image", [1, 4, 4])
    assert {example["label"] for example in told["examples"]} == {"no", "yes"}
    for example in told["examples"]:
        assert example["before"]["prediction"] == example["label"] != example["after"]["prediction"]
        assert 0 < example["difference"]["linf"] <= 0.02 + 1e-5
        for png in (example["before"]["png"], example["after"]["png"], example["difference"]["png"]):
            assert base64.b64decode(png).startswith(b"\x89PNG")


class Ages:
    """Says yes to the old: a model of one column."""

    classes = 2

    def scores(self, x):
        return np.stack([50 - x[:, 0], x[:, 0] - 50], axis=1).astype(np.float32)


def test_examples_of_a_table_say_what_was_changed_and_what_it_cost():
    x = np.array([[49, 0], [20, 1], [53, 1], [80, 0]], dtype=np.float32)
    y = np.array([0, 0, 1, 1])
    threat = Evasion(columns=(ColumnBudget("age", by=5, cost=2),))
    measured = measure(Ages(), x, y, threat, columns=COLUMNS, attacks=[])
    assert measured.metrics["robust_accuracy"] == 0.5
    told = json.loads(measured.outputs["examples.json"])
    by_row = {example["row"]: example for example in told["examples"]}
    assert set(by_row) == {0, 2}
    (change,) = by_row[0]["changes"]
    assert (change["column"], change["from"]) == ("age", "49")
    assert by_row[0]["cost"] == change["cost"] == 2 * (float(change["to"]) - 49)


def test_a_model_that_falls_is_a_finding(linear):
    model, x, y, _, _ = linear
    (finding,) = measure(model, x, y, Evasion(norm=Norm.LINF, eps=0.2)).findings
    assert (finding.severity, finding.threat) == ("high", "evasion")


class Masked:
    """Predicts as the linear model and hides its gradient: a defence that is none."""

    def __init__(self, model):
        self._model = model

    @property
    def classes(self) -> int:
        return self._model.classes

    def scores(self, x):
        return self._model.scores(x)

    device = "cpu"

    def logits(self, x):
        return self._model.logits(x).detach() + 1e-9 * x.flatten(1).sum(1, keepdim=True)


def test_the_black_box_attack_reveals_masked_gradients(linear):
    model, x, y, _, _ = linear
    measured = measure(Masked(model), x, y, attacks=[("pgd", {}), ("square", {"queries": 300})])
    assert any("masked" in finding.what for finding in measured.findings)


class Failing:
    classes = 2

    def __init__(self, scores):
        self._scores = scores

    def scores(self, x):
        return self._scores(x)


def test_a_model_that_returns_nan_is_named_with_the_row(linear):
    _, x, y, _, _ = linear

    def nan_in_row_seven(inputs):
        scores = np.zeros((len(inputs), 2), dtype=np.float32)
        scores[(inputs == x[7]).all(axis=(1, 2, 3))] = np.nan
        return scores

    with pytest.raises(InvalidInput, match=r"NaN for 1 of 300 rows, first at row 7"):
        measure(Failing(nan_in_row_seven), x, y, attacks=SQUARE)


def test_a_model_that_raises_or_answers_in_another_shape_is_bad_input(linear):
    _, x, y, _, _ = linear
    with pytest.raises(InvalidInput, match="ZeroDivisionError"):
        measure(Failing(lambda _x: 1 / 0), x, y, attacks=SQUARE)
    with pytest.raises(InvalidInput, match="shape"):
        measure(Failing(lambda inputs: np.zeros((len(inputs), 3), dtype=np.float32)), x, y, attacks=SQUARE)


def test_an_attack_that_breaks_its_budget_ends_the_evaluation(linear):
    model, x, y, _, _ = linear
    entry = ATTACKS["pgd"]
    run = entry.run

    def outside_the_ball(_model, inputs, *_a, **_k):
        nothing = np.zeros(len(inputs), np.int64)
        return SearchResult(inputs + np.float32(0.5), nothing, nothing)

    object.__setattr__(entry, "run", outside_the_ball)
    try:
        with pytest.raises(AssertionError, match="left its budget"):
            measure(model, x, y)
    finally:
        object.__setattr__(entry, "run", run)


def test_no_rows_to_attack_is_bad_input(linear):
    model, x, y, _, _ = linear
    with pytest.raises(InvalidInput, match="no rows"):
        measure(model, x[:0], y[:0])


def test_tables_are_attacked_by_the_strong_defaults():
    """With gradients the constrained ascent as well, without them the searches; a row is robust under all of them."""
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(2, 2)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
        net.bias.copy_(torch.tensor([50.0, -50.0]))
    x = np.array([[49, 0], [20, 1], [53, 1], [80, 0]], dtype=np.float32)
    y, threat = np.array([0, 0, 1, 1]), Evasion(columns=(ColumnBudget("age", by=5, cost=2),))
    white = measure(as_model(net, sample=x[:1]), x, y, threat, columns=COLUMNS, attacks=[]).metrics
    black = measure(Ages(), x, y, threat, columns=COLUMNS, attacks=[]).metrics
    asked = {name.removeprefix("queries_") for name in white if name.startswith("queries_")}
    assert asked == {"capgd", "coordinate-search", "evolutionary"}
    assert white["robust_accuracy"] == black["robust_accuracy"] == 0.5
    assert "queries_capgd" not in black
    assert {"queries_coordinate-search", "queries_evolutionary"} <= set(black)
