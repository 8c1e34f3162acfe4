"""Batch: the rows of one training step, before and after hardening."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

A = TypeVar("A")  # torch.Tensor for modules, a NumPy array for estimators


@dataclass(frozen=True, slots=True)
class Batch(Generic[A]):
    """The rows of one step.

    x: (n, *shape) inputs. y: (n,) int64 labels. changed: the inputs after hardening, like x; x itself until a method
    has changed them. strength: share of the full budget in use, in (0, 1], while the budget grows. turn: number of
    the batch in the run, from 0. n may be 0 where rows are drawn at random.
    """

    x: A
    y: A
    changed: A
    strength: float = 1.0
    turn: int = 0

    @classmethod
    def of(cls, x: A, y: A, *, strength: float = 1.0, turn: int = 0) -> Batch[A]:
        """Return a batch that no method has changed yet."""
        return cls(x, y, x, strength, turn)
