"""What an attack declares about itself, as class variables of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from hauberk.attacks.budget import Ball
from hauberk.core.threats import Norm


class Params:
    """Base class of an attack's parameters: a frozen dataclass whose fields are the attack's settings.

    Each field has a default and `metadata={"help": ...}`; the attack's function, the command line and the documentation
    take both from here. The class variables declare what the attack is:

    access: what the attack asks the model for, "gradients", "scores" or "labels".
    regions: the kinds of budget that it works in, such as `Ball` or `ColumnBox`.
    norms: the norms it is defined for, when `Ball` is among the regions.
    targeted: the attack accepts target classes.
    minimal: the attack searches for the smallest change, so that the radius may be infinite.
    evaluation: kinds of data ("image", "table") for which `evaluate` runs the attack by default, with its settings.
    campaign: kinds of data for which a campaign runs the attack by default.
    trial: settings for a run of about a second on small data; the family's laws use them.
    anytime: name of a field for which a larger value never gives a weaker result; "" if there is none.
    shares_passes: one forward pass serves the gradients of several classes.

    A subclass with a field `draws` is run on, and judged by, the model's mean prediction over that many answers.
    """

    __slots__ = ()

    access: ClassVar[str]
    regions: ClassVar[tuple[type[Any], ...]] = (Ball,)
    norms: ClassVar[tuple[Norm, ...]] = ()
    targeted: ClassVar[bool] = False
    minimal: ClassVar[bool] = False
    evaluation: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    campaign: ClassVar[tuple[str, ...]] = ()
    trial: ClassVar[Mapping[str, Any]] = {}
    anytime: ClassVar[str] = ""
    shares_passes: ClassVar[bool] = False


_COST = ("gradients", "scores", "labels")


def by_cost(name: str, params: type[Params]) -> tuple[int, str]:
    """Return a sort key: attacks with gradients first, then with scores, then with labels alone; by name within each."""
    return _COST.index(params.access), name
