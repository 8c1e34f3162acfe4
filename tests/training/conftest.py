"""Small real data and models for the training room."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tests run side by side; threads of one that wait for threads of another would take most of the time."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def on_the_processor(request, monkeypatch):
    """Tests hand the module tensors of their own, so it is trained here, also on a machine with a GPU (`test_cuda`)."""
    if request.module.__name__.rpartition(".")[2] != "test_cuda":
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
