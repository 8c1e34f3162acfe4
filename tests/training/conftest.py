"""Small real data and models for the training room."""

from __future__ import annotations

import os

import pytest
import torch

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as the command line does, before cuBLAS starts


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Limits torch to one thread: tests run in parallel, and spinning threads would take most of the time."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def on_the_processor(request, monkeypatch):
    """Hides the GPU from all tests but `test_cuda`, because they pass CPU tensors to the trained module."""
    if request.module.__name__.rpartition(".")[2] != "test_cuda":
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
