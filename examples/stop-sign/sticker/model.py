"""A convolutional network for 32 x 32 colour pictures of traffic signs: four blocks, each halving the picture."""

from torch import nn

WIDTHS = (32, 64, 128, 256)


def build(spec):
    """Return the untrained network; `spec` says how large the pictures are and how many classes there are."""
    channels, height, width = spec.shape
    # Signs are photographed in sun and at dusk: each picture is first brought to the same brightness and contrast.
    layers = [nn.GroupNorm(1, channels, affine=False)]
    for outputs in WIDTHS:
        layers += [
            nn.Conv2d(channels, outputs, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        channels, height, width = outputs, height // 2, width // 2
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(channels * height * width, spec.classes),
    )
