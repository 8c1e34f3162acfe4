from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from hauberk.core.errors import MissingExtra
from hauberk.core.extras import need


def test_a_missing_extra_names_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(MissingExtra, match=r"pip install 'hauberk\[data\]'") as caught:
        need("polars")
    assert caught.value.exit_code == 4


def test_a_broken_library_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "polars.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "polars", raising=False)
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_not_there"):
        need("polars")
    sys.modules.pop("polars", None)


HEAVY = ("numpy", "torch", "sklearn", "polars", "onnx", "onnxruntime", "safetensors", "PIL", "scipy")


@pytest.mark.parametrize(
    "code",
    [
        "import hauberk",
        "from hauberk import verify",
        "import hauberk.cli.main",
        "from hauberk.cli import verify, ledger, keys, seal, report",
        "from hauberk.release.verification import check",
    ],
)
def test_the_light_core_imports_nothing_heavy(code):
    program = f"{code}\nimport sys\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_verify_works_where_nothing_heavy_is_installed(tmp_path):
    blocker = (
        "import sys\n"
        f"for name in {HEAVY!r}: sys.modules[name] = None\n"
        "from hauberk.cli.main import run\n"
        f"code = run(['verify', {str(tmp_path)!r}])\n"
        "assert code == 1, code\n"
    )
    subprocess.run([sys.executable, "-c", blocker], check=True, capture_output=True)


def test_a_worker_process_hands_the_error_over_whole():
    error = MissingExtra("torch", "torch")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (MissingExtra, str(error))
