"""ProjectCode: a project's imports find its own files, and the import system of the process does not change."""

from __future__ import annotations

import builtins
import sys
import threading

import pytest

from hauberk.core.errors import InvalidInput
from hauberk.training import load_callable


def write(folder, text, name="model.py"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder


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
