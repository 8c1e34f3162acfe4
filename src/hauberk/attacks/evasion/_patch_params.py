"""The settings of the patch attack, apart from its computation: the registry reads them without importing torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from hauberk.core.errors import InvalidInput
from hauberk.core.threats import Norm

PLACES = ("search", "centre", "random")


@dataclass(frozen=True, slots=True)
class PatchParams:
    """`views` are random ways in which a camera may see the sticker; `jitter` scales how far they differ."""

    access: ClassVar[str] = "gradients"
    norms: ClassVar[tuple[Norm, ...]] = ()

    steps: int = field(default=60, metadata={"help": "gradient steps"})
    views: int = field(default=4, metadata={"help": "random views of the sticker in each step"})
    jitter: float = field(default=1.0, metadata={"help": "how far views differ; 0: the sticker is seen as it is"})
    place: str = field(default="search", metadata={"help": "where it sticks: search, centre or random"})
    universal: bool = field(default=False, metadata={"help": "one sticker for all pictures of the call"})

    def __post_init__(self) -> None:
        if self.steps < 1 or self.views < 1 or not 0 <= self.jitter <= 2:
            raise InvalidInput("expected steps >= 1, views >= 1 and jitter between 0 and 2.")
        if self.place not in PLACES:
            raise InvalidInput(f"`place` is one of {', '.join(PLACES)}, found {self.place!r}.")
