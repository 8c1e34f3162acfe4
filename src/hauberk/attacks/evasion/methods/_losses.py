"""Losses that white-box attacks maximise: functions of (logits, y, targets) that return (n,). On torch tensors.

A higher value means closer to a misclassification or, with targets, closer to the target class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hauberk.core.errors import InvalidInput

if TYPE_CHECKING:
    from torch import Tensor

    Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def cross_entropy(logits: Tensor, y: Tensor, targets: Tensor | None) -> Tensor:
    """Return -log p(y), or log p(target)."""
    from torch.nn import functional

    if targets is None:
        return functional.cross_entropy(logits, y, reduction="none")
    return -functional.cross_entropy(logits, targets, reduction="none")


def margin(logits: Tensor, y: Tensor, targets: Tensor | None) -> Tensor:
    """Return the best other logit minus the label's, or the target's minus the best other; above 0 the row is fooled."""
    if targets is None:
        return _others(logits, y) - _of(logits, y)
    return _of(logits, targets) - _others(logits, targets)


def dlr(logits: Tensor, y: Tensor, targets: Tensor | None) -> Tensor:
    """Return the difference of logits ratio: the margin divided by a spread of the logits, independent of their scale.

    Croce and Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
    attacks", equations 6 and 7. It needs three classes, four with targets. With fewer classes the ratio is constant, so that
    the margin is returned instead.
    """
    classes = logits.shape[1]
    if classes < (3 if targets is None else 4):
        return _others(logits, y) - _of(logits, y) if targets is None else _of(logits, targets) - _of(logits, y)
    top = logits.topk(3 if targets is None else 4, dim=1).values
    if targets is None:
        return (_others(logits, y) - _of(logits, y)) / (top[:, 0] - top[:, 2] + 1e-12)
    return (_of(logits, targets) - _of(logits, y)) / (top[:, 0] - 0.5 * (top[:, 2] + top[:, 3]) + 1e-12)


def gap(logits: Tensor, y: Tensor, targets: Tensor | None) -> Tensor:
    """Return the target's logit minus the label's."""
    assert targets is not None
    return _of(logits, targets) - _of(logits, y)


LOSSES: dict[str, Loss] = {"cross-entropy": cross_entropy, "margin": margin, "dlr": dlr}


def check(name: str) -> None:
    """Raise InvalidInput for an unknown loss, listing the known ones."""
    if name not in LOSSES:
        raise InvalidInput(f"no loss is named {name!r}; known: {', '.join(LOSSES)}.")


def _of(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.gather(1, classes[:, None])[:, 0]


def _others(logits: Tensor, y: Tensor) -> Tensor:
    return logits.scatter(1, y[:, None], float("-inf")).amax(1)
