"""Targets, aims and endpoints: what may be attacked, by what, and what is refused."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import hauberk
from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput, NotProven, Unavailable
from hauberk.core.tls import client_context
from hauberk.data.reading.loading import DataSpec
from hauberk.lifecycle.attacking import Rows, Target, measure, open_rows, open_target, read_aim
from hauberk.lifecycle.attacking.aims import choose
from hauberk.lifecycle.attacking.endpoint import Access, Endpoint
from hauberk.lifecycle.attacking.page import page

_spec = importlib.util.spec_from_file_location("oip_server", Path(__file__).with_name("oip_server.py"))
oip = importlib.util.module_from_spec(_spec)
sys.modules["oip_server"] = oip
_spec.loader.exec_module(oip)

THREATS = """
[[threats]]
name = "measuring"
kind = "evasion"
cost = 12.0
relations = ["`mean area` <= `worst area`"]
columns = [
  { column = "mean texture", by = 4.0, cost = 1.0 },
  { column = "worst area", by = 150.0, cost = 0.05 },
  { column = "worst concave points", by = 0.04, cost = 100 },
]

[[threats]]
kind = "poisoning"
share = 0.1
"""


@pytest.fixture(scope="module")
def fitted():
    raw = load_breast_cancer()
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(raw.data, raw.target)


@pytest.fixture(scope="module")
def rows():
    return open_rows(DataSpec("table", ("sklearn:breast_cancer",)), seed=0, fit=False)


@pytest.fixture
def threats(tmp_path):
    path = tmp_path / "threats.toml"
    path.write_text(THREATS)
    return str(path)


def aim_of(threats, rows):
    return read_aim(f"{threats}#measuring", kind="table", columns=rows.attacked.columns)


def endpoint(url, **options):
    access = {"pause": lambda _seconds: None} | options
    return Endpoint(url, Access(**access), shape=(30,), classes=2)


# --- aims


def test_a_line_names_a_ball_and_a_file_its_threats(threats, rows):
    aim = read_aim("linf:8/255", kind="image", columns=())
    assert (aim.budget.norm, aim.budget.eps) == ("linf", 8 / 255)
    assert read_aim("l2:0.5", kind="image", columns=()).threat.eps == 0.5
    aim = aim_of(threats, rows)
    assert aim.budget.relations == ("`mean area` <= `worst area`",)
    assert aim.described["relations"] == ["`mean area` <= `worst area`"]
    assert read_aim(threats, kind="table", columns=rows.attacked.columns).label == "measuring"


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        ("linf:huge", "image", "no radius"),
        ("linf:2", "image", "any value"),
        ("sup:1", "image", "linf:8/255"),
        ("nowhere.toml", "image", "no nowhere.toml"),
        ("linf:0.1", "table", "columns an attacker can change"),
        ("{threats}#measuring", "image", "name a norm and a radius"),
        ("{threats}#other", "table", "measuring"),
        ("patch:0.1", "table", "for images"),
        ("patch:much", "image", "such as patch:0.1"),
        ("corruptions:9", "image", "1 to 5"),
        ("corruptions:2.5", "image", "such as corruptions:3"),
        ("corruptions:inf", "image", "such as corruptions:3"),
        ("corruptions", "image", "such as corruptions:3"),
        ("spatial:30,3,31,5", "image", "such as spatial:30,3"),
        ("patch:0.1,0.9", "image", "such as patch:0.1"),
        ("patch:0", "image", "of the picture"),
        ("linf:0", "image", "above 0"),
        ("linf:nan", "image", "above 0"),
    ],
)
def test_a_threat_that_is_none_is_told(threats, rows, spec, kind, message):
    with pytest.raises(InvalidInput, match=message):
        read_aim(spec.format(threats=threats), kind=kind, columns=rows.attacked.columns)


def test_the_usual_attacks_are_those_that_the_model_and_the_norm_can_serve(threats, rows, fitted):
    from hauberk.models.adapting import as_model

    model, aim = as_model(fitted), aim_of(threats, rows)
    assert [c.name for c in choose((), model, aim, kind="table")] == ["coordinate-search", "evolutionary"]
    image = read_aim("l2:0.5", kind="image", columns=())
    assert [c.name for c in choose((), model, image, kind="image", labels_only=True)] == ["hop-skip-jump"]
    (one,) = choose(["evolutionary:generations=3,trim=false"], model, aim, kind="table")
    assert (one.params.generations, one.params.trim) == (3, False)
    for name, message in (("square", "not for table"), ("evolutionary:generations", "no setting"), ("x", "known")):
        with pytest.raises(InvalidInput, match=message):
            choose([name], model, aim, kind="table")


def test_a_shape_has_the_one_attack_that_knows_it():
    aim = read_aim("spatial:30,2", kind="image", columns=())
    assert (aim.budget.degrees, aim.budget.pixels, aim.only) == (30, 2, "spatial")
    assert [c.name for c in choose((), None, aim, kind="image")] == ["spatial"]
    with pytest.raises(InvalidInput, match="alone"):
        choose(["pgd"], None, aim, kind="image")


def test_pictures_are_turned_and_the_page_shows_how():
    images = open_rows(DataSpec("image", ("sklearn:digits",)), seed=0, fit=False)
    aim = read_aim("spatial:20,1", kind="image", columns=())

    class Left:
        classes = 10

        def scores(self, x):
            return np.stack(
                [x[:, 0, row % 8, row // 2].astype(np.float32) + row * 1e-3 for row in range(10)], axis=1
            )

    x = images.attacked.x[:50]
    side = type(images.attacked)(
        "image", x, Left().scores(x).argmax(axis=1), images.attacked.classes, (), np.arange(50)
    )
    rows = Rows(side, side, ())
    outcome = measure(
        Target(Left(), "left", "made", ()), rows, aim, attacks=choose((), Left(), aim, kind="image"), seed=0
    )
    assert outcome.measurement.metrics["robust_accuracy"] < 0.5
    text = page(outcome, name="left", time="2026-01-01T00:00:00.000Z")
    assert "share of the reach" in text
    assert "data:image/png" in text


# --- targets


def test_an_onnx_file_is_attacked_and_the_page_shows_it(tmp_path, threats, rows, cells_project):
    from hauberk import training

    build = training.load_callable("model:build", cells_project(tmp_path, DECLARED, fit="max_iter=300"))
    made = training.train(build, rows.spec, rows.train.x, rows.train.y).model
    (tmp_path / "m.onnx").write_bytes(made.export_onnx())
    target = open_target(str(tmp_path / "m.onnx"), rows)
    attacks = choose(["coordinate-search:restarts=1,passes=2"], target.model, aim_of(threats, rows), kind="table")
    outcome = measure(target, rows, aim_of(threats, rows), attacks=attacks, seed=0, most=40)
    assert outcome.campaign.wanted == 40
    assert outcome.measurement.metrics["robust_accuracy"] < outcome.measurement.metrics["clean_accuracy"]
    assert len(outcome.measurement.series["accuracy_by_radius"]) == 7
    text = page(outcome, name="<script>m</script>", time="2026-01-01T00:00:00.000Z")
    assert "worst area" in text
    assert "accuracy" in text
    assert "<script>" not in text


@pytest.mark.parametrize("name", ["model.pkl", "model.pt", "model.joblib"])
def test_a_pickle_is_never_opened(tmp_path, rows, name):
    path = tmp_path / name
    path.write_bytes(b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    with pytest.raises(InvalidInput, match="opened nowhere"):
        open_target(str(path), rows)


def test_weights_need_their_builder(tmp_path, rows):
    (tmp_path / "w.safetensors").write_bytes(b"")
    with pytest.raises(InvalidInput, match="--build"):
        open_target(str(tmp_path / "w.safetensors"), rows)


def test_every_row_of_a_file_is_attacked_unless_the_model_is_fitted_on_it():
    spec = DataSpec("table", ("sklearn:breast_cancer",))
    whole, apart = open_rows(spec, seed=0, fit=False), open_rows(spec, seed=0, fit=True)
    assert len(whole.attacked) == 569
    np.testing.assert_array_equal(whole.attacked.rows, np.arange(569))
    assert not np.intersect1d(apart.train.rows, apart.attacked.rows).size
    assert len(apart.train) + len(apart.attacked) == 569


# --- endpoints


def test_a_served_model_says_what_the_model_says(fitted, rows):
    service = oip.Service(fitted.predict_proba, (30,), classes=2)
    with oip.serving(service) as url:
        model = endpoint(url, batch=50, headers={"Authorization": "Bearer secret"})
        scores = model.scores(rows.attacked.x[:120])
    np.testing.assert_allclose(np.exp(scores), fitted.predict_proba(rows.attacked.x[:120]), atol=1e-4)
    assert service.rows == model.asked == 120
    assert service.headers["Authorization"] == "Bearer secret"
    assert "secret" not in repr(Access(headers={"Authorization": "Bearer secret"}))


def test_a_rate_limit_is_waited_for_as_long_as_it_asks(fitted, rows):
    service = oip.Service(fitted.predict_proba, (30,), classes=2, limit=3, retry_after="7")
    pauses = []
    with oip.serving(service) as url:
        scores = endpoint(url, batch=10, pause=pauses.append).scores(rows.attacked.x[:60])
    assert len(scores) == 60
    assert service.limited == len(pauses) > 1
    assert set(pauses) == {7.0}


def test_patience_has_an_end(fitted, rows):
    service = oip.Service(fitted.predict_proba, (30,), classes=2, limit=2, retry_after="3600")
    with oip.serving(service) as url:
        model = endpoint(url, patience=60)
        with pytest.raises(Unavailable, match="patience: it answered 429"):
            model.scores(rows.attacked.x[:1])


def test_a_service_that_goes_away_half_way_leaves_the_result_so_far(fitted, rows, threats):
    service = oip.Service(fitted.predict_proba, (30,), classes=2, fail_after=25)
    aim = aim_of(threats, rows)
    with oip.serving(service) as url:
        access = Access(pause=lambda _seconds: None, patience=1)
        target = open_target(url, rows, access=access)
        assert target.remote
        attacks = choose(["coordinate-search:restarts=1"], target.model, aim, kind="table")
        outcome = measure(target, rows, aim, attacks=attacks, seed=0, curve=False)
    assert "503" in outcome.campaign.partial
    assert 32 <= len(outcome.campaign.order) < 569
    assert outcome.measurement.notes[0].startswith("partial: ")


def test_a_service_that_says_labels_is_asked_for_labels(fitted, rows):
    service = oip.Service(fitted.predict, (30,), classes=2, labels=True)
    with oip.serving(service) as url:
        model = endpoint(url)
        assert model.labels_only
        scores = model.scores(rows.attacked.x[:9])
    np.testing.assert_array_equal(scores.argmax(axis=1), fitted.predict(rows.attacked.x[:9]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (31,)}, "takes FP32"),
        ({"classes": 3}, "of the same classes"),
        ({"predict": lambda x: np.zeros((len(x) + 1, 2))}, "of the same classes"),
    ],
)
def test_a_service_of_another_shape_is_refused(rows, change, message):
    options = {
        "predict": lambda x: np.ones((len(x), change.get("classes", 2))),
        "shape": (30,),
        "classes": 2,
    } | change
    with oip.serving(oip.Service(**options)) as url, pytest.raises(InvalidInput, match=message):
        endpoint(url).scores(rows.attacked.x[:4])


def test_addresses_that_are_none_or_unprotected_are_refused():
    for url, message in (
        ("https://host/predict", "not the address of a model"),
        ("http://example.org/v2/models/m", "without encryption"),
        ("https://example.org/v2/models/m", "TLS context"),
    ):
        with pytest.raises(InvalidInput, match=message):
            endpoint(url)


def test_nobody_home_is_told_after_patience():
    with pytest.raises(Unavailable, match="cannot be reached"):
        endpoint("https://127.0.0.1:9/v2/models/m", context=client_context(), patience=1)


def test_columns_of_an_aim_have_to_be_there(threats):
    other = (Column("age", ColumnKind.NUMBER, 0, 1),)
    with pytest.raises(InvalidInput, match="mean texture"):
        read_aim(f"{threats}#measuring", kind="table", columns=other)


# --- releases

DECLARED = """
[[threats]]
name = "measuring"
kind = "evasion"
cost = 12.0
columns = [{ column = "mean texture", by = 4.0, cost = 1.0 }, { column = "worst area", by = 150.0, cost = 0.05 }]

[evaluation]
rows = 20

[gate]
clean_accuracy = ">= 0.5"

[release]
seal = false
"""


@pytest.fixture
def release(tmp_path, cells_project, cheap_keys, quiet):
    cells_project(tmp_path, DECLARED, fit="max_iter=300", seed=3)
    cheap_keys(tmp_path / ".hauberk" / "keyring")
    return hauberk.protect(tmp_path, **quiet(tmp_path)).release


def test_a_release_is_verified_and_gets_only_rows_that_mean_what_its_own_meant(
    release, rows, monkeypatch, tmp_path
):
    monkeypatch.setenv("HAUBERK_STATE", str(tmp_path / "state"))
    target = open_target(str(release), rows)
    assert target.form == "release"
    assert (target.model.scores(rows.attacked.x).argmax(axis=1) == rows.attacked.y).mean() > 0.9
    other = open_rows(DataSpec("table", ("sklearn:wine",)), seed=0, fit=False)
    with pytest.raises(NotProven, match="another meaning"):
        open_target(str(release), other)
    with pytest.raises(NotProven, match="signature"):
        open_target(str(release), rows, key="0" * 64)
    (release / "model.onnx").write_bytes((release / "model.onnx").read_bytes() + b"\0")
    with pytest.raises(NotProven, match=r"model.onnx was changed"):
        open_target(str(release), rows)
