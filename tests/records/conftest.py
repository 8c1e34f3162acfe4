from __future__ import annotations

import pytest

from .records_log import Log


@pytest.fixture
def log(tmp_path):
    """A project's ledger that costs no passphrase."""
    return Log.create(tmp_path)
