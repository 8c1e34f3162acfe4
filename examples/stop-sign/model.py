"""A small residual network for 32 x 32 colour pictures of traffic signs, with global average pooling at the end."""

from torch import nn

WIDTHS = (32, 64, 128)


class Block(nn.Module):
    """Two convolutions with a shortcut; batch norm and activation precede each convolution."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.start = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, kernel_size=3, padding=1, bias=False),
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = None if same else nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)

    def forward(self, x):
        started = self.start(x)
        return self.body(started) + (x if self.shortcut is None else self.shortcut(started))


def build(spec):
    """Return the untrained network; `spec` holds the shape of the pictures and the number of classes."""
    channels = spec.shape[0]
    layers = [nn.Conv2d(channels, WIDTHS[0], kernel_size=3, padding=1, bias=False)]
    for inputs, outputs in zip((WIDTHS[0], *WIDTHS[:-1]), WIDTHS, strict=True):
        layers.append(Block(inputs, outputs, stride=1 if inputs == outputs else 2))
    return nn.Sequential(
        *layers,
        nn.BatchNorm2d(WIDTHS[-1]),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(WIDTHS[-1], spec.classes),
    )
