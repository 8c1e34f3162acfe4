"""The room's public surface: each listed name exists, is the one that its module defines, and costs nothing unused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hauberk import attacks, models


@pytest.mark.parametrize("room", [attacks, models])
def test_each_listed_name_exists_and_others_are_refused(room):
    for name in room.__all__:
        assert getattr(room, name) is not None, name
    with pytest.raises(AttributeError, match="it has"):
        _ = room.nothing


def test_importing_the_rooms_imports_neither_torch_nor_sklearn():
    code = "import sys, hauberk.attacks, hauberk.models; print([m for m in ('torch', 'sklearn', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
