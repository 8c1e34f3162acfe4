"""The team's file: how it is found, and that each way it can fail is told with file and line."""

from __future__ import annotations

import builtins
import sys
import threading

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


def test_two_projects_with_the_same_file_names_stay_apart(tmp_path):
    built = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        write(folder, f"N = {number}\n", "helpers.py")
        write(folder, "import helpers\ndef build():\n    import helpers as again\n    return helpers.N, again.N\n")
        built.append(load_callable("model:build", folder))
    assert [build() for build in built] == [(1, 1), (2, 2)]


def test_importing_leaves_path_modules_and_folder_as_they_were(tmp_path):
    write(tmp_path, "X = 1\n", "helpers.py")
    write(tmp_path, "import helpers\ndef build():\n    return helpers.X\n")
    path = list(sys.path)
    load_callable("model:build", tmp_path)()
    assert sys.path == path
    assert "helpers" not in sys.modules
    assert "model" not in sys.modules
    assert sorted(p.name for p in tmp_path.iterdir()) == ["helpers.py", "model.py"]


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
def test_a_file_that_cannot_be_used_is_told_with_its_line(tmp_path, source, said):
    write(tmp_path, source)
    with pytest.raises(InvalidInput, match=said):
        load_callable("model:build", tmp_path)


def test_an_error_inside_a_helper_names_the_helper(tmp_path):
    write(tmp_path, "\n\nraise KeyError('deep')\n", "helpers.py")
    write(tmp_path, "import helpers\n")
    with pytest.raises(InvalidInput, match=r"helpers\.py:3: .*KeyError"):
        load_callable("model:build", tmp_path)


def test_a_missing_file_is_told_with_its_path(tmp_path):
    with pytest.raises(InvalidInput, match=r"there is no .*nowhere\.py"):
        load_callable("nowhere:build", tmp_path)


@pytest.mark.parametrize("reference", ["model", "model:", ":build", "model:a b"])
def test_a_reference_of_another_form_is_refused(tmp_path, reference):
    with pytest.raises(InvalidInput, match='is no "module:function"'):
        load_callable(reference, tmp_path)


def test_an_interrupt_while_importing_goes_on(tmp_path):
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
def test_a_builder_that_gives_no_model_is_told_what_it_gave(tmp_path, body, said):
    write(tmp_path, f"# a model\ndef build(spec):\n    {body}\n")
    with pytest.raises(InvalidInput, match=said):
        call_builder(load_callable("model:build", tmp_path), SPEC)


def test_a_builder_that_needs_more_than_the_spec_is_told_so(tmp_path):
    write(tmp_path, "def build(spec, width):\n    return None\n")
    with pytest.raises(InvalidInput, match=r"needs \(spec, width\)"):
        call_builder(load_callable("model:build", tmp_path), SPEC)


def test_packages_and_relative_imports_inside_them_are_the_projects_own(tmp_path):
    for folder in ("nets", "bare"):
        (tmp_path / folder).mkdir()
    write(tmp_path / "nets", "from . import small\nfrom .deep import depth\nWIDTH = small.WIDTH\n", "__init__.py")
    write(tmp_path / "nets", "WIDTH = 3\n", "small.py")
    write(tmp_path / "nets", "from nets import small\ndef depth():\n    return small.WIDTH + 1\n", "deep.py")
    write(tmp_path / "bare", "N = 7\n", "inner.py")  # a folder without __init__.py is a package too
    text = (
        "import nets, nets.deep as deep, bare.inner\nfrom nets import *\nfrom bare import inner\nimport os.path\n"
        "def build():\n    from nets.small import WIDTH as late\n"
        "    return nets.WIDTH, deep.depth(), late, bare.inner.N, inner is bare.inner, small is nets.small\n"
    )
    write(tmp_path, text)
    assert load_callable("model:build", tmp_path)() == (3, 4, 3, 7, True, True)


def test_a_helper_comes_before_an_installed_package_of_its_name_and_others_keep_theirs(tmp_path):
    import json as installed

    write(tmp_path, "import json, math\ndef build():\n    return json.N, math.pi > 3\n")
    write(tmp_path, "N = 5\n", "json.py")
    assert load_callable("model:build", tmp_path)() == (5, True)
    assert sys.modules["json"] is installed


@pytest.mark.parametrize(("source", "line"), [("from . import helpers\n", 1), ("\nfrom ..up import x\n", 2)])
def test_a_relative_import_outside_a_package_is_refused_as_by_python(tmp_path, source, line):
    write(tmp_path, source)
    with pytest.raises(InvalidInput, match=rf"model\.py:{line}: .*no known parent package"):
        load_callable("model:build", tmp_path)


def test_helpers_that_import_each_other_are_run_once(tmp_path):
    write(
        tmp_path, "import helpers, other\ndef build():\n    return helpers.A, other.B, helpers is other.helpers\n"
    )
    write(tmp_path, "A = 1\nimport other\nprint('ran')\n", "helpers.py")
    write(tmp_path, "import helpers\nB = helpers.A + 1\n", "other.py")
    assert load_callable("model:build", tmp_path)() == (1, 2, True)


def test_the_annotations_of_a_team_are_not_made_text_by_our_future_import(tmp_path):
    write(
        tmp_path,
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\n"
        "def build():\n    return A.__annotations__['x']\n",
    )
    assert load_callable("model:build", tmp_path)() is int


def test_two_threads_load_two_projects_at_once_and_the_process_stays_as_it_was(tmp_path):
    """Both files are halfway through their imports at the same time; late imports run while the other's do."""
    met = threading.Barrier(2, timeout=20)
    builtins._hauberk_test_meeting = met  # the only way for two files to reach one object
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        write(folder, f"import builtins\nbuiltins._hauberk_test_meeting.wait()\nN = {number}\n", "helpers.py")
        write(folder, f"M = {number}\n", "late.py")
        write(folder, "import helpers\ndef build():\n    import late\n    return helpers.N, late.M\n")
    path, hooks, before = list(sys.path), list(sys.meta_path), set(sys.modules)
    written = sys.dont_write_bytecode
    got = {}

    def load(number):
        build = load_callable("model:build", tmp_path / str(number))
        met.wait()
        got[number] = [build() for _ in range(50)]

    threads = [threading.Thread(target=load, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    del builtins._hauberk_test_meeting
    assert got == {number: [(number, number)] * 50 for number in (1, 2)}
    assert (sys.path, sys.meta_path) == (path, hooks)
    assert all(name.startswith("_hauberk_project_") for name in set(sys.modules) - before)
    assert sys.dont_write_bytecode is written
    assert not list(tmp_path.rglob("__pycache__"))
