"""A small network for a table: it gets the encoded row (standardised numbers, one place for each category)."""

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
