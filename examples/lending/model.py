"""A small network for a table: its input is the encoded row (standardised numbers, one-hot categories)."""

from torch import nn


def build(spec):
    """Return the untrained network; `spec.features` is the width of an encoded row."""
    return nn.Sequential(
        nn.Linear(spec.features, 64),
        nn.ReLU(),
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, spec.classes),
    )
