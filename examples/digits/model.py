"""A small convolutional network for 8 x 8 pictures of handwritten digits."""

from torch import nn


def build(spec):
    """Return the untrained network; `spec` holds the shape of the pictures and the number of classes."""
    channels, height, width = spec.shape
    return nn.Sequential(
        nn.Conv2d(channels, 24, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(24, 48, kernel_size=3, padding=1, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(48 * (height // 2) * (width // 2), 64),
        nn.ReLU(),
        nn.Linear(64, spec.classes),
    )
