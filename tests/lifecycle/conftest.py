from __future__ import annotations

import pytest

from hauberk.core.progress import Progress
from hauberk.custody.seen import Seen


@pytest.fixture(scope="session")
def quiet():
    """How the jobs are run on a project with `cheap_keys`: in silence, and with a memory of releases in its folder."""

    def options(folder, **more):
        usual = {"passphrase": lambda: b"correct horse", "progress": Progress(visible=False)}
        return usual | {"seen": Seen(folder / "seen")} | more

    return options
