"""The starter `model.py` that `hauberk init` writes: a network for pictures, and one of two models for tables.

Each is complete and can be replaced: `build(spec)` is the whole interface.
"""

from __future__ import annotations

from importlib.util import find_spec

from hauberk.project.starting.text import Seen


def model_file(seen: Seen, *, torch: bool | None = None) -> str:
    """Return the text of a model.py that fits the data.

    torch: whether to write a torch model for a table; None: when torch is installed. Pictures always take torch.
    """
    if seen.kind == "image":
        return _IMAGE
    if torch is None:
        torch = find_spec("torch") is not None
    return _TABLE_TORCH if torch else _TABLE_SKLEARN


_IMAGE = '''\
"""The model of this project. Hauberk calls `build` and trains what it returns, plainly and hardened."""

from torch import nn


def build(spec):
    """Return an untrained network for pictures of `spec.shape` (channels, height, width), values in [0, 1].

    It takes a batch (n, channels, height, width) and returns one score for each of `spec.classes`.
    """
    channels, height, width = spec.shape
    layers = []
    for wide in (32, 64, 128, 128, 128):
        # GroupNorm, not BatchNorm: a row's prediction never depends on the rows that it is batched with.
        layers += [nn.Conv2d(channels, wide, 3, padding=1), nn.GroupNorm(8, wide), nn.ReLU()]
        channels = wide
        if min(height, width) < 8:
            break
        layers.append(nn.MaxPool2d(2))
        height, width = height // 2, width // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, spec.classes))
'''

_TABLE_TORCH = '''\
"""The model of this project. Hauberk calls `build` and trains what it returns, plainly and hardened."""

from torch import nn


def build(spec):
    """Return an untrained network for rows of `spec.features` numbers: one score for each of `spec.classes`.

    Hauberk standardises numbers and turns each category into columns of 0 and 1 before they come here, and keeps
    that step with the model. A scikit-learn estimator with predict_proba may be returned in its place.
    """
    return nn.Sequential(
        nn.Linear(spec.features, 64),
        nn.ReLU(),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, spec.classes),
    )
'''

_TABLE_SKLEARN = '''\
"""The model of this project. Hauberk calls `build` and trains what it returns, plainly and hardened."""

from sklearn.ensemble import RandomForestClassifier


def build(spec):
    """Return an untrained scikit-learn estimator with fit and predict_proba, for `spec.classes` classes.

    Hauberk standardises numbers and turns each category into columns of 0 and 1 before they come here, and keeps
    that step with the model. A torch.nn.Module may be returned in its place.
    """
    return RandomForestClassifier(n_estimators=200, min_samples_leaf=3, random_state=0)
'''
