"""`Rows`, the input of every detector, with costly quantities computed once; and `Suspicion`, a detector's result."""

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

_LEAST = 0.01  # added to probabilities before the logarithm: differences below it are noise of the models


@dataclass(eq=False)
class Rows:
    """The training rows under suspicion.

    kind: "image", "table", or "embedding" (vectors whose single columns carry no meaning; `side` is then a table of
    numbers). side: rows and labels; finite values. sources: (n,) sender of each row (supplier, annotator, upload, time
    window), or None. given: activations of the project's own model, one (n, f) float32 array a layer, earliest layer
    first; () without such a model. seed: seeds every model that is fitted. Raises InvalidInput if lengths differ.
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
                    f"{name} has {len(array)} rows and the data have {len(self.side)}: pass one value for each row."
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
        """(n, k) out-of-fold class probabilities; k: len(side.classes)."""
        from hauberk.data.poison.detectors._probabilities import out_of_fold

        return out_of_fold(self.kind, self.side, seed=self.seed, task=Quiet())

    @cached_property
    def contradiction(self) -> tuple[Doubles, Labels]:
        """(n,) natural log odds of the most likely other class against the label, and (n,) int64 that class. Pictures only.

        Computed from coarse predictions with one quarter of the picture covered in turn (`_views.blind`). The quarter whose
        covering makes the label least likely counts, because that covering removed the trigger, if there is one.
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
    """One detector's result.

    score: (n,) float64, >= 0: minus the decimal logarithm of the estimated share of honest rows that look at least as
    suspicious (2.3 is one in two hundred); 0: not suspicious. reasons: row index to a sentence, for every row with a score
    of 2 or more. suggested: (n,) int64, the label that the row seems to have, -1 for none; None if the detector never
    suggests labels. notes: sentences about the data set as a whole.
    """

    score: Doubles
    reasons: Mapping[int, str] = field(default_factory=dict)
    suggested: Labels | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.score.ndim != 1 or not np.isfinite(self.score).all() or (self.score < 0).any():
            raise InvalidInput(
                "a detector returned scores that are not one finite number >= 0 for each row: mend it."
            )
