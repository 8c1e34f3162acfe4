"""Draws: random numbers that belong to a row, so that the attack on a row does not depend on the other rows.

A row's numbers depend on the seed, on the row (its values and label) and on the purpose, but not on which other rows are
attacked, in which order or in which batches. A row's key is a keyed BLAKE2b digest of its bytes; its numbers are SplitMix64
outputs from that key (Steele, Lea, Flood 2014). They are not suitable for cryptography.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hauberk.models.port import Floats, Labels

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ROWS = 64  # rows mixed at once: a block that fits into the processor's cache


@dataclass(frozen=True, slots=True)
class Draws:
    """The random streams of n rows. keys: (n,) uint64. seed: seed of the draws that all rows share."""

    keys: NDArray[np.uint64]
    seed: int

    @classmethod
    def of(cls, rng: np.random.Generator, x: Floats, y: Labels) -> Draws:
        """Return the streams of the rows of x, y; draws one number from `rng`."""
        seed = int(rng.integers(1 << 63))
        secret = seed.to_bytes(8, "little")
        keys = [
            hashlib.blake2b(row.tobytes() + int(label).to_bytes(8, "little"), digest_size=8, key=secret).digest()
            for row, label in zip(x, y, strict=True)
        ]
        return cls(np.frombuffer(b"".join(keys), dtype="<u8").astype(np.uint64), seed)

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Draws:
        """Return the streams of some of the rows."""
        return Draws(self.keys[rows], self.seed)

    def uniform(self, shape: tuple[int, ...], *, step: int = 0) -> Floats:
        """Return (n, *shape) float32 in [0, 1). step: the purpose; each step has its own numbers."""
        width = math.prod(shape)
        drawn = np.empty((len(self.keys), width), dtype=np.float32)
        counter = np.arange(width, dtype=np.uint64) * _GOLDEN
        starts = _mix(self.keys ^ _mix(np.array([step + 1], dtype=np.uint64) * _GOLDEN))
        for first in range(0, len(starts), _ROWS):
            mixed = _mix(starts[first : first + _ROWS, None] + counter)
            drawn[first : first + _ROWS] = mixed >> np.uint64(40)
        drawn *= np.float32(2.0**-24)
        return drawn.reshape(len(self.keys), *shape)

    def signs(self, shape: tuple[int, ...], *, step: int = 0) -> Floats:
        """Return (n, *shape) float32 of -1 and 1."""
        return np.where(self.uniform(shape, step=step) < 0.5, np.float32(-1), np.float32(1))

    def normal(self, shape: tuple[int, ...], *, step: int = 0) -> Floats:
        """Return (n, *shape) float32 of the standard normal distribution (Box and Muller 1958)."""
        pairs = self.uniform((2, *shape), step=step).astype(np.float64)
        radius = np.sqrt(-2 * np.log1p(-pairs[:, 0]))
        return np.asarray(radius * np.cos(2 * np.pi * pairs[:, 1]), dtype=np.float32)

    def integers(self, high: int, shape: tuple[int, ...] = (), *, step: int = 0) -> NDArray[np.int64]:
        """Return (n, *shape) in [0, high), high < 2^24."""
        return (self.uniform(shape, step=step).astype(np.float64) * high).astype(np.int64)

    def shared(self, step: int) -> np.random.Generator:
        """Return a generator for draws that all rows share at this step."""
        return np.random.default_rng([self.seed, step])


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return SplitMix64's output function of the state; products wrap around by design."""
    mixed = state ^ (state >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed
