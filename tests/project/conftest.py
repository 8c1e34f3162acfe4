from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.py").write_text("def build(spec): ...\ndef train(data, harden): ...\n")
    (tmp_path / "loans.csv").write_text("amount,risk\n1,0\n")
    return tmp_path
