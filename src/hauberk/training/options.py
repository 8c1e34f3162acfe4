"""Options: how a torch model is trained, the same for plain and hardened training, so that the two compare."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

from hauberk.core.errors import InvalidInput
from hauberk.models.spec import Spec


@dataclass(frozen=True, slots=True)
class Options:
    """The training settings of a project; None means the default of `recipe_of`.

    optimizer: "sgd" (momentum 0.9) or "adamw"; the learning rate rises to `learning_rate` and falls again over the
    whole run (one cycle). augment: "shift" moves each training picture by up to a sixteenth of its side (at least
    one pixel) in each epoch; pictures are never mirrored, because a mirrored sign or digit has another meaning.
    precision: "bf16" multiplies in bfloat16 and keeps weights and losses in float32; "auto" does so if the device has
    arithmetic units for it. average: decay in [0, 1) of an exponential moving average of the weights, which is then the
    released model; 0 releases the last weights.
    """

    epochs: int | None = None
    batch: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    optimizer: Literal["sgd", "adamw"] | None = None
    augment: Literal["none", "shift"] = "none"
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    average: float = 0.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """Options with every default filled in. Raises InvalidInput for values out of range."""

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    optimizer: Literal["sgd", "adamw"]
    augment: Literal["none", "shift"]
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    average: float = 0.0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2:
            raise InvalidInput(
                f"epochs must be 1 or more and batch 2 or more, found {self.epochs} and {self.batch}."
            )
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise InvalidInput(f"learning_rate must be a finite number above 0, found {self.learning_rate}.")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise InvalidInput(f"weight_decay must be 0 or more, found {self.weight_decay}.")
        if self.optimizer not in ("sgd", "adamw"):
            raise InvalidInput(f'optimizer must be "sgd" or "adamw", found {self.optimizer!r}.')
        if self.augment not in ("none", "shift"):
            raise InvalidInput(f'augment must be "none" or "shift", found {self.augment!r}.')
        if self.precision not in ("fp32", "bf16", "auto"):
            raise InvalidInput(f'precision must be "fp32", "bf16" or "auto", found {self.precision!r}.')
        if not 0 <= self.average < 1:
            raise InvalidInput(f"average is a decay from 0 (off) to below 1, found {self.average}.")


_LEARNING_RATE = {"adamw": 3e-3, "sgd": 0.05}
_WEIGHT_DECAY = {"adamw": 1e-2, "sgd": 5e-4}
_EPOCHS = 30
_GENTLE = 0.5  # share of the learning rate for fine-tuning, which starts from good weights


def recipe_of(options: Options, spec: Spec, *, fine_tune: bool = False) -> Recipe:
    """Return the options with defaults filled in. Raises InvalidInput for options that do not fit the data."""
    if options.augment == "shift" and spec.kind != "image":
        raise InvalidInput('augment = "shift" moves pictures; these data are a table. Leave it out.')
    optimizer = options.optimizer or "adamw"
    rate = _LEARNING_RATE.get(optimizer, 1e-3) * (_GENTLE if fine_tune else 1.0)
    decay = _WEIGHT_DECAY.get(optimizer, 0.0)
    return Recipe(
        epochs=options.epochs if options.epochs is not None else _EPOCHS,
        batch=options.batch if options.batch is not None else 128,
        learning_rate=options.learning_rate if options.learning_rate is not None else rate,
        weight_decay=options.weight_decay if options.weight_decay is not None else decay,
        optimizer=optimizer,
        augment=options.augment,
        precision=options.precision,
        average=options.average,
    )


def refuse_for_estimators(options: Options) -> None:
    """Raise InvalidInput if an option differs from its default: an estimator trains itself and takes none."""
    usual = Options()
    for field in fields(Options):
        if getattr(options, field.name) != getattr(usual, field.name):
            raise InvalidInput(
                f"training option {field.name!r} is for torch models; a scikit-learn estimator takes its settings "
                "where it is built. Set them in the builder and leave the option out."
            )
