from __future__ import annotations

from pathlib import Path

import pytest

from hauberk.custody.keys._vault import Cost
from hauberk.custody.keys.keyring import Keyring


@pytest.fixture
def cheap_keys():
    """Make the keyring beforehand at the lowest price of a guess: the default's is paid in the keyring's tests."""

    def uri(path: Path) -> str:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            Keyring.make(path, b"correct horse", cost=Cost(time=1, memory=8, lanes=1))
        return f"keyring:{path}"

    return uri
