"""The settings of the patch attack, in a file without torch, so that the registry can read them quickly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hauberk.attacks.params import Params
from hauberk.attacks.shapes import Patch
from hauberk.core.errors import InvalidInput

PLACES = ("search", "centre", "random")


@dataclass(frozen=True, slots=True)
class PatchParams(Params):
    """`views` are random transformations of the sticker, as a camera may see it; `jitter` scales their size."""

    access: ClassVar[str] = "gradients"
    regions: ClassVar[tuple[type[Any], ...]] = (Patch,)
    targeted: ClassVar[bool] = True
    trial: ClassVar[Mapping[str, Any]] = {"steps": 12, "views": 2}

    steps: int = field(default=60, metadata={"help": "gradient steps"})
    views: int = field(default=4, metadata={"help": "random views of the sticker in each step"})
    jitter: float = field(
        default=1.0, metadata={"help": "size of the transformations; 0: the sticker is not transformed"}
    )
    place: str = field(
        default="search", metadata={"help": "position: search (where a grey sticker harms most), centre or random"}
    )
    universal: bool = field(
        default=False,
        metadata={
            "help": "one sticker at one place for all pictures of the call, so that rows are not independent"
        },
    )

    def __post_init__(self) -> None:
        if self.steps < 1 or self.views < 1 or not 0 <= self.jitter <= 2:
            raise InvalidInput("expected steps >= 1, views >= 1 and jitter between 0 and 2.")
        if self.place not in PLACES:
            raise InvalidInput(f"expected `place` to be one of {', '.join(PLACES)}, found {self.place!r}.")
