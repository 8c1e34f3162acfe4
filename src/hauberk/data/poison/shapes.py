"""Features of pictures for small models: histograms of edge directions, and coarse colour.

Histograms of oriented gradients (Dalal, Triggs, CVPR 2005) without overlapping blocks: in each cell, the strength of edges
in each direction, normalised. They depend on what a picture shows, and hardly on its lighting.
"""

from __future__ import annotations

import numpy as np

from hauberk.data.poison.neighbours import pooled
from hauberk.data.reading.dataset import Floats

_CELLS = 8  # cells a side, at most
_DIRECTIONS = 9  # bins over half a turn
_COLOURS = 4  # pixels a side of the coarse colours
_ROWS = 2_000  # pictures computed at once, to bound memory


def shapes(x: Floats) -> Floats:
    """Return (n, f) float32 features of pictures (n, c, h, w): edges in at most 8 x 8 cells, and colours in 4 x 4."""
    return np.concatenate([_block(x[start : start + _ROWS]) for start in range(0, len(x), _ROWS)])


def _block(x: Floats) -> Floats:
    grey = x.mean(axis=1)
    edges = _edges(grey)
    colours = pooled(x, _COLOURS).reshape(len(x), -1)
    colours = colours - colours.mean(axis=1, keepdims=True)
    colours /= np.maximum(np.linalg.norm(colours, axis=1, keepdims=True), 0.1)
    joined: Floats = np.concatenate([edges, colours], axis=1).astype(np.float32)
    return joined


def _edges(grey: Floats) -> Floats:
    down = np.zeros_like(grey)
    right = np.zeros_like(grey)
    if grey.shape[1] > 2:
        down[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    if grey.shape[2] > 2:
        right[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    strength = np.hypot(down, right)
    place = (np.arctan2(down, right) % np.pi) / np.pi * _DIRECTIONS
    low = np.floor(place).astype(np.int64) % _DIRECTIONS
    part = (place - np.floor(place)).astype(np.float32)
    channels = []
    for direction in range(_DIRECTIONS):  # an edge between two directions contributes to both
        share = np.where(low == direction, 1 - part, 0) + np.where((low + 1) % _DIRECTIONS == direction, part, 0)
        channels.append(pooled((strength * share)[:, None].astype(np.float32), _CELLS))
    cells = np.concatenate(channels, axis=1)
    # Square roots and normalisation in each cell: a faint edge counts nearly as much as a strong one.
    cells = np.sqrt(cells)
    cells /= np.sqrt((cells**2).sum(axis=1, keepdims=True)) + 0.05
    flat = cells.reshape(len(grey), -1)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6), dtype=np.float32)
