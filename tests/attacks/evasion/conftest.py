from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

torch = pytest.importorskip("torch")


class Pictures:
    """Digits, and a small convolutional network that was trained on other digits."""

    def __init__(self, device):
        torch.set_num_threads(1)
        digits = load_digits()
        x, y = (digits.images / 16).astype(np.float32)[:, None], digits.target.astype(np.int64)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.net = torch.nn.Sequential(
                torch.nn.Conv2d(1, 8, 3, stride=2, padding=1),
                torch.nn.ReLU(),
                torch.nn.Flatten(),
                torch.nn.Linear(128, 10),
            )
            optimizer = torch.optim.Adam(self.net.parameters(), 5e-3)
            inputs, labels = torch.from_numpy(x[:1200]), torch.from_numpy(y[:1200])
            for _ in range(8):
                for rows in torch.randperm(1200).split(64):
                    loss = torch.nn.functional.cross_entropy(self.net(inputs[rows]), labels[rows])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
        self.net.eval().to(device)
        self.x, self.y = x[1200:], y[1200:]


@pytest.fixture(scope="session", params=["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"])
def pictures(request):
    return Pictures(request.param)
