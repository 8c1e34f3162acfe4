"""The team's file: how it is located, and that every failure names file and line."""

from __future__ import annotations

import pytest
from sklearn.linear_model import LogisticRegression
from torch import nn

from hauberk.core.errors import InvalidInput
from hauberk.training import Spec, load_callable
from hauberk.training.building import call_builder

SPEC = Spec("image", (1, 8, 8), 10)


def write(folder, text, name="model.py"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_the_builder_is_found_and_called_with_the_spec(tmp_path):
    write(tmp_path, "from torch import nn\ndef build(spec):\n    return nn.Linear(spec.features, spec.classes)\n")
    made = call_builder(load_callable("model:build", tmp_path), SPEC)
    assert isinstance(made, nn.Linear)
    assert (made.in_features, made.out_features) == (64, 10)


def test_a_builder_without_parameters_is_called_without_any(tmp_path):
    write(
        tmp_path,
        "from sklearn.linear_model import LogisticRegression\ndef build():\n    return LogisticRegression()\n",
    )
    assert isinstance(call_builder(load_callable("model:build", tmp_path), SPEC), LogisticRegression)


def test_a_class_whose_parameters_have_defaults_is_a_builder_itself(tmp_path):
    made = call_builder(load_callable("sklearn.linear_model:LogisticRegression", tmp_path), SPEC)
    assert made.get_params() == LogisticRegression().get_params()


def test_a_spec_with_a_default_is_given(tmp_path):
    write(tmp_path, "from torch import nn\ndef build(spec=None):\n    return nn.Linear(2, spec.classes)\n")
    assert call_builder(load_callable("model:build", tmp_path), SPEC).out_features == 10


def test_an_edit_within_the_same_second_is_seen(tmp_path):
    write(tmp_path, "def build():\n    return 1\n")
    assert load_callable("model:build", tmp_path)() == 1
    write(tmp_path, "def build():\n    return 2\n")
    assert load_callable("model:build", tmp_path)() == 2


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\nraise ValueError('no weights here')\n", r"model\.py:2: .*ValueError: no weights here"),
        ("x = 1\n\n1 / 0\n", r"model\.py:3: .*ZeroDivisionError"),
        ("def build(:\n", r"model\.py:1: .*SyntaxError"),
        ("import sys\nsys.exit(3)\n", r"model\.py:2: .*SystemExit"),
        ("import surely_not_installed_xyz\n", r"model\.py:1: imports 'surely_not_installed_xyz'.*Install it"),
        ("def other():\n    pass\n", r"there is no 'build'; it has: other"),
        ("build = 3\n", r"'build' is a int"),
    ],
)
def test_an_unusable_file_is_refused_with_its_line(tmp_path, source, said):
    write(tmp_path, source)
    with pytest.raises(InvalidInput, match=said):
        load_callable("model:build", tmp_path)


def test_an_error_inside_a_helper_names_the_helper(tmp_path):
    write(tmp_path, "\n\nraise KeyError('deep')\n", "helpers.py")
    write(tmp_path, "import helpers\n")
    with pytest.raises(InvalidInput, match=r"helpers\.py:3: .*KeyError"):
        load_callable("model:build", tmp_path)


def test_a_missing_file_is_refused_with_its_path(tmp_path):
    with pytest.raises(InvalidInput, match=r"there is no .*nowhere\.py"):
        load_callable("nowhere:build", tmp_path)


@pytest.mark.parametrize("reference", ["model", "model:", ":build", "model:a b"])
def test_a_reference_of_another_form_is_refused(tmp_path, reference):
    with pytest.raises(InvalidInput, match='is no "module:function"'):
        load_callable(reference, tmp_path)


def test_an_interrupt_while_importing_propagates(tmp_path):
    write(tmp_path, "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_callable("model:build", tmp_path)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return None", r"model\.py:2: returned None \(is there a `return`\?\)"),
        ("return 7", "returned a int"),
        ("from torch import nn; return nn.Linear", "returned the class Linear; return an object"),
        ("from sklearn.svm import LinearSVC; return LinearSVC()", "LinearSVC without predict_proba; wrap it"),
        ("return spec.sizes", r"model\.py:3: the model's builder raised AttributeError"),
    ],
)
def test_a_builder_that_returns_no_model_is_refused_with_what_it_returned(tmp_path, body, said):
    write(tmp_path, f"# a model\ndef build(spec):\n    {body}\n")
    with pytest.raises(InvalidInput, match=said):
        call_builder(load_callable("model:build", tmp_path), SPEC)


def test_a_builder_that_needs_more_than_the_spec_is_refused(tmp_path):
    write(tmp_path, "def build(spec, width):\n    return None\n")
    with pytest.raises(InvalidInput, match=r"needs \(spec, width\)"):
        call_builder(load_callable("model:build", tmp_path), SPEC)
