"""Rows: what every detector looks at, with what is costly computed once; and Suspicion: what each says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet
from hauberk.data.reading.dataset import Dataset, Doubles, Floats, Labels

Sources = npt.NDArray[Any]

_LEAST = 0.01  # probability under which differences mean nothing


@dataclass(eq=False)
class Rows:
    """The training rows under suspicion.

    kind: "image", "table", or "embedding" (vectors whose columns have no meaning of their own; `side` is then a table
    of numbers). side: rows and labels, finite. sources: (n,) who sent each row (supplier, annotator, upload, time
    window), or None. given: (n, f) float32 arrays, a layer each, from the project's own model, earliest layer first;
    () when there is none. seed: of everything that is fitted.
    """

    kind: Literal["image", "table", "embedding"]
    side: Dataset
    sources: Sources | None = None
    given: tuple[Floats, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for name, array in (
            ("sources", self.sources),
            *((f"layer {i}", layer) for i, layer in enumerate(self.given)),
        ):
            if array is not None and len(array) != len(self.side):
                raise InvalidInput(
                    f"{name} has {len(array)} rows and the data have {len(self.side)}: give one for each."
                )

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.side)

    @property
    def y(self) -> Labels:
        """(n,) int64 labels, indices into `side.classes`."""
        return self.side.y

    @cached_property
    def probabilities(self) -> Doubles:
        """(n, k) what models that never saw the row think of it; k: len(side.classes)."""
        from hauberk.data.poison.detectors._probabilities import out_of_fold

        return out_of_fold(self.kind, self.side, seed=self.seed, task=Quiet())

    @cached_property
    def contradiction(self) -> tuple[Doubles, Labels]:
        """(n,) natural log odds of the best other class against the given one, and (n,) that class, by a blind look.

        Of the four quarters that are covered in turn, the one that believes the label least counts: a trigger in it is
        gone. Pictures only.
        """
        from hauberk.data.poison.detectors._views import blind

        quarters = blind(self.side.x, self.y, len(self.side.classes), seed=self.seed, task=Quiet())
        each = np.arange(len(self))
        own = quarters[:, each, self.y]
        worst = own.argmin(axis=0)
        others = quarters[worst, each].copy()
        others[each, self.y] = 0
        odds = np.log(others.max(axis=1) + _LEAST) - np.log(own[worst, each] + _LEAST)
        return odds, others.argmax(axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class Suspicion:
    """What one detector says.

    score: (n,) float64, 0 or more: minus the decimal logarithm of the share of honest rows that would look as bad
    or worse, as the detector estimates it (2.3 is one in two hundred); 0 where it has nothing to say. reasons: row
    index to a sentence a person understands, for every row with a score of 2 or more. suggested: (n,)
    int64, the label that the row seems to have, -1 where the detector proposes none; None when it never does. notes:
    plain sentences about the whole.
    """

    score: Doubles
    reasons: Mapping[int, str] = field(default_factory=dict)
    suggested: Labels | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.score.ndim != 1 or not np.isfinite(self.score).all() or (self.score < 0).any():
            raise InvalidInput("a suspicion has one finite score of 0 or more for each row.")
