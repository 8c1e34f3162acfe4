"""Common corruptions: functions of a picture, a severity and a generator that return a picture.

Hendrycks and Dietterich 2019, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations": their
families, with the five severities that they use for pictures of 32 pixels; lengths (blurs, waves) grow with the side.
Not included: families that need other pictures (frost, snow, spatter), and glass blur. Pictures are (channels, height,
width) in [0, 1], float64.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hauberk.core.extras import need

Picture: TypeAlias = NDArray[np.float64]
Corrupt: TypeAlias = Callable[[Picture, int, np.random.Generator], Picture]

SEVERITIES = (1, 2, 3, 4, 5)


def gaussian_noise(x: Picture, severity: int, rng: np.random.Generator) -> Picture:
    """Add normal noise of one standard deviation (a sensor)."""
    return x + rng.normal(size=x.shape) * (0.04, 0.06, 0.08, 0.09, 0.10)[severity - 1]


def shot_noise(x: Picture, severity: int, rng: np.random.Generator) -> Picture:
    """Add Poisson noise of discrete photons (too little light)."""
    photons = (500, 250, 100, 75, 50)[severity - 1]
    return np.asarray(rng.poisson(np.clip(x, 0, 1) * photons) / photons)


def impulse_noise(x: Picture, severity: int, rng: np.random.Generator) -> Picture:
    """Set some values to 0 or 1 (bit errors)."""
    share = (0.01, 0.02, 0.03, 0.05, 0.07)[severity - 1]
    return np.where(rng.random(x.shape) < share, rng.integers(0, 2, x.shape), x)


def speckle_noise(x: Picture, severity: int, rng: np.random.Generator) -> Picture:
    """Add normal noise in proportion to the value."""
    return x + x * rng.normal(size=x.shape) * (0.06, 0.1, 0.12, 0.16, 0.2)[severity - 1]


def gaussian_blur(x: Picture, severity: int, rng: np.random.Generator) -> Picture:  # noqa: ARG001 - the shape of a family
    """Blur by a Gaussian (a lens slightly out of focus)."""
    from scipy.ndimage import gaussian_filter

    spread = (0.4, 0.6, 0.7, 0.8, 1.0)[severity - 1] * _scale(x)
    return np.stack([gaussian_filter(layer, spread, mode="nearest") for layer in x])


def defocus_blur(x: Picture, severity: int, rng: np.random.Generator) -> Picture:  # noqa: ARG001 - as above
    """Spread each point over a disc (a lens out of focus)."""
    radius = (0.6, 0.8, 1.0, 1.4, 1.8)[severity - 1] * _scale(x)
    reach = int(np.ceil(radius)) + 1
    down, along = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(down, along), 0, 1)
    return _filtered(x, disc)


def motion_blur(x: Picture, severity: int, rng: np.random.Generator) -> Picture:
    """Blur along a line in a random direction (a moving camera)."""
    length = (1.5, 2.0, 2.5, 3.0, 4.0)[severity - 1] * _scale(x)
    angle = rng.uniform(0, np.pi)
    reach = int(np.ceil(length)) + 1
    down, along = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    away = np.abs(along * np.sin(angle) - down * np.cos(angle))
    far = np.abs(along * np.cos(angle) + down * np.sin(angle))
    return _filtered(x, np.clip(1 - away, 0, 1) * np.clip(length - far + 0.5, 0, 1))


def zoom_blur(x: Picture, severity: int, rng: np.random.Generator) -> Picture:  # noqa: ARG001 - as above
    """Average several magnifications (a camera that moves forward)."""
    most = (1.06, 1.11, 1.16, 1.21, 1.26)[severity - 1]
    zoomed = [_zoomed(x, factor) for factor in np.linspace(1, most, 6)]
    return np.asarray(np.mean([x, *zoomed], axis=0))


def fog(x: Picture, severity: int, rng: np.random.Generator) -> Picture:
    """Add fractal noise and compress the range (fog of uneven density)."""
    strength, decay = ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))[severity - 1]
    high = float(x.max())
    haze = _plasma(max(x.shape[1:]), decay, rng)[: x.shape[1], : x.shape[2]]
    return np.asarray((x + strength * haze) * high / max(high + strength, 1e-9))


def brightness(x: Picture, severity: int, rng: np.random.Generator) -> Picture:  # noqa: ARG001 - as above
    """Raise all values."""
    return x + (0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1]


def darkness(x: Picture, severity: int, rng: np.random.Generator) -> Picture:  # noqa: ARG001 - as above
    """Lower all values; not in the paper, added because it happens every evening."""
    return np.asarray(x * (0.8, 0.6, 0.45, 0.35, 0.25)[severity - 1])


def contrast(x: Picture, severity: int, rng: np.random.Generator) -> Picture:  # noqa: ARG001 - as above
    """Move all values towards the channel's mean."""
    mean = x.mean(axis=(1, 2), keepdims=True)
    return np.asarray((x - mean) * (0.75, 0.5, 0.4, 0.3, 0.15)[severity - 1] + mean)


def elastic(x: Picture, severity: int, rng: np.random.Generator) -> Picture:
    """Displace pixels by a smooth random field."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    reach = (0.4, 0.7, 1.0, 1.3, 1.6)[severity - 1] * _scale(x)
    waves = [gaussian_filter(rng.uniform(-1, 1, x.shape[1:]), 2 * _scale(x), mode="wrap") for _ in range(2)]
    moves = [reach * wave / max(float(np.abs(wave).max()), 1e-9) for wave in waves]
    grid = np.meshgrid(np.arange(x.shape[1]), np.arange(x.shape[2]), indexing="ij")
    places = [side + move for side, move in zip(grid, moves, strict=True)]
    return np.stack([map_coordinates(layer, places, order=1, mode="reflect") for layer in x])


def pixelate(x: Picture, severity: int, rng: np.random.Generator) -> Picture:  # noqa: ARG001 - as above
    """Shrink the picture and enlarge it again."""
    share = (0.95, 0.9, 0.85, 0.75, 0.65)[severity - 1]
    height, width = x.shape[1:]
    image = need("PIL.Image")
    layers = []
    for layer in x:
        small = image.fromarray(_bytes(layer)).resize(
            (max(1, int(width * share)), max(1, int(height * share))), image.BOX
        )
        layers.append(np.asarray(small.resize((width, height), image.NEAREST)) / 255)
    return np.stack(layers)


def jpeg(x: Picture, severity: int, rng: np.random.Generator) -> Picture:  # noqa: ARG001 - as above
    """Compress by JPEG."""
    quality = (80, 65, 58, 50, 40)[severity - 1]
    image = need("PIL.Image")
    pixels = _bytes(x[0]) if len(x) == 1 else _bytes(x[:3].transpose(1, 2, 0))
    buffer = io.BytesIO()
    image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    out = np.asarray(image.open(io.BytesIO(buffer.getvalue()))) / 255
    return out[None] if out.ndim == 2 else out.transpose(2, 0, 1)


FAMILIES: dict[str, Corrupt] = {
    function.__name__.replace("_", "-"): function
    for function in (
        gaussian_noise, shot_noise, impulse_noise, speckle_noise, gaussian_blur, defocus_blur, motion_blur, zoom_blur,
        fog, brightness, darkness, contrast, elastic, pixelate, jpeg,
    )
}  # fmt: skip


def _scale(x: Picture) -> float:
    """Return the factor of lengths relative to pictures of 32 pixels, for which the severities are defined."""
    return float(max(x.shape[1:])) / 32


def _filtered(x: Picture, kernel: NDArray[np.float64]) -> Picture:
    from scipy.ndimage import convolve

    return np.stack([convolve(layer, kernel / kernel.sum(), mode="nearest") for layer in x])


def _zoomed(x: Picture, factor: float) -> Picture:
    from scipy.ndimage import affine_transform

    middle = (np.array(x.shape[1:]) - 1) / 2
    matrix = np.eye(2) / factor
    return np.stack(
        [affine_transform(layer, matrix, middle - matrix @ middle, order=1, mode="nearest") for layer in x]
    )


def _plasma(side: int, decay: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return fractal noise in [0, 1]: octaves of smooth noise, each of half the length and 1 / `decay` the amplitude."""
    from scipy.ndimage import zoom

    total, strength, cells = np.zeros((side, side)), 1.0, 2
    while cells <= side:
        coarse = rng.random((cells + 1, cells + 1))
        total += strength * zoom(coarse, side / (cells + 1), order=1, mode="nearest", grid_mode=True)[:side, :side]
        strength, cells = strength / decay, cells * 2
    total -= total.min()
    return np.asarray(total / max(float(total.max()), 1e-9))


def _bytes(values: Picture) -> NDArray[np.uint8]:
    return np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
