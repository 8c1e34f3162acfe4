"""Screening: run every poison detector that fits the data, and merge the results into one ranked, explained list of rows.

Each detector scores a row by how rarely an honest row would look as suspicious (`detectors.Suspicion`). A row's score is
the largest of these minus the decimal logarithm of the number of detectors (Bonferroni), so that the false-alarm rate of
the whole is the one that the caller sets. Screening removes nothing; `repair` does that, from the result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from hauberk.core.errors import InvalidInput
from hauberk.core.progress import Quiet, Task
from hauberk.data.poison.detectors import DETECTORS, Rows, Suspicion
from hauberk.data.reading.dataset import Dataset, Doubles, Floats, Labels, Mask

if TYPE_CHECKING:
    from hauberk.core.columns import Column
    from hauberk.data.poison.detectors.sources import SourceRow

Kind = Literal["image", "table", "embedding"]

_FEWEST = 50  # rows, at least: scores compare rows with each other
_CHANCE = 1e-3  # poison is reported if honest data would give as many flags with a lower probability than this


@dataclass(frozen=True, slots=True, eq=False)
class Screening:
    """The result of a screening, row by row.

    scores: (n,) float64, >= 0, higher is more suspect. flags: (n,) mask of the rows whose score reaches
    -log10(false_alarms). detectors: (n,) name of the detector with the highest score, "" if all scored 0. reasons: row index
    to a sentence. suggested: (n,) int64, the label that the row seems to have, -1 for none; an index into `classes`.
    false_alarms: share of honest rows that may be flagged. sources: suspects by source, () without sources. notes: sentences
    about the data as a whole. seconds: time of each detector.
    """

    scores: Doubles
    flags: Mask
    detectors: npt.NDArray[np.str_]
    reasons: Mapping[int, str]
    suggested: Labels
    classes: tuple[str, ...]
    false_alarms: float
    sources: tuple[SourceRow, ...]
    notes: tuple[str, ...]
    seconds: Mapping[str, float]

    @property
    def ranked(self) -> Labels:
        """(n,) row numbers, the most suspect first; ties in the order of the data."""
        return np.argsort(-self.scores, kind="stable")

    @property
    def found(self) -> bool:
        """Whether poison is reported: honest data would give as many flags with a probability below one in a thousand."""
        from scipy.stats import binom

        count = int(self.flags.sum())
        return count > 0 and float(binom.sf(count - 1, len(self.flags), self.false_alarms)) < _CHANCE

    def listed(self, most: int | None = None) -> list[dict[str, Any]]:
        """Return the flagged rows, at most `most`, as JSON objects, the most suspect first."""
        rows = [int(row) for row in self.ranked if self.flags[row]][:most]
        return [
            {
                "row": row,
                "score": round(float(self.scores[row]), 4),
                "detector": str(self.detectors[row]),
                "reason": self.reasons.get(row, ""),
                "suggested": self.classes[self.suggested[row]] if self.suggested[row] >= 0 else None,
            }
            for row in rows
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, without the scores of unflagged rows."""
        from dataclasses import asdict

        return {
            "version": 1,
            "rows": len(self.scores),
            "flagged": int(self.flags.sum()),
            "false_alarms": self.false_alarms,
            "found": self.found,
            "suspects": self.listed(),
            "sources": [asdict(source) for source in self.sources],
            "notes": list(self.notes),
            "seconds": {name: round(value, 2) for name, value in self.seconds.items()},
        }


def screen(  # noqa: PLR0913 - a public call with independent options, all named
    x: Any,  # noqa: ANN401 - an array or a frame
    y: npt.ArrayLike,
    *,
    sources: npt.ArrayLike | None = None,
    features: npt.ArrayLike | Sequence[npt.ArrayLike] | None = None,
    columns: tuple[Column, ...] = (),
    kind: Kind | None = None,
    false_alarms: float = 0.005,
    detectors: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    task: Task | None = None,
) -> Screening:
    """Return how much each training row looks like poison, and why.

    x: pictures, (n, channels, height, width) or (n, height, width[, channels]), uint8 or floats in [0, 1]; a Polars or
    pandas frame; or (n, d) floats, taken as embeddings unless `columns` describe them as a table. y: (n,) labels of any
    type. sources: (n,) sender of each row. features: (n, f) activations of the project's own model, or a list of layers.
    false_alarms: share of honest rows that may be flagged, in (0, 0.5]. detectors: name to parameters; None: all that fit
    the kind, with their defaults. seed: the same seed gives the same scores on the same machine. task: receives progress.

    Raises InvalidInput for fewer than 50 rows, one class, values that are not finite or lengths that differ; MissingExtra.
    Cost: a few small models; a minute or two for ten thousand pictures, some seconds for tables, on one core.
    Answers: what its detectors answer (`hauberk controls`). Does not answer: an adversary who knows these detectors and
    spends rows on looking honest; poison in most of the rows.
    """
    if not (math.isfinite(false_alarms) and 0 < false_alarms <= 0.5):
        raise InvalidInput(f"expected false_alarms in (0, 0.5], found {false_alarms}.")
    side = _side(x, y, columns, kind)
    chosen = kind or (
        "embedding" if side.kind == "table" and not columns and isinstance(x, np.ndarray) else side.kind
    )
    senders = None if sources is None else np.asarray(sources).astype(str)
    rows = Rows(chosen, side, senders, _layers(features), seed)
    return screen_rows(rows, false_alarms=false_alarms, detectors=detectors, task=task)


def screen_rows(
    rows: Rows,
    *,
    false_alarms: float = 0.005,
    detectors: Mapping[str, Mapping[str, Any]] | None = None,
    task: Task | None = None,
) -> Screening:
    """Return the screening of loaded rows; arguments, errors and cost as in `screen`."""
    from time import monotonic

    _check(rows)
    task = task or Quiet()
    names = (
        [entry.name for entry in DETECTORS if rows.kind in entry.kinds] if detectors is None else list(detectors)
    )
    said: dict[str, Suspicion] = {}
    seconds: dict[str, float] = {}
    for number, name in enumerate(names):
        entry = DETECTORS[name]
        task.update(number / len(names), text=name)
        params = entry.make((detectors or {}).get(name, {}))
        # Each detector has its own generator, so that leaving one out does not change the others' results.
        rng = np.random.default_rng([rows.seed, *name.encode()])
        started = monotonic()
        said[name] = entry.run(rows, params, rng=rng, task=Quiet())
        seconds[name] = monotonic() - started
    return _joined(rows, said, seconds, false_alarms)


def _joined(
    rows: Rows, said: Mapping[str, Suspicion], seconds: Mapping[str, float], false_alarms: float
) -> Screening:
    names = list(said)
    table = np.stack([said[name].score for name in names])
    best = table.argmax(axis=0)
    raw = table[best, np.arange(len(rows))]
    scores = np.maximum(raw - math.log10(len(names)), 0)
    # Orders the rows whose score is 0 after the Bonferroni correction.
    scores = scores + 1e-3 * raw
    sources: tuple[SourceRow, ...] = ()
    notes = [f"{name}: {note}" for name in names for note in said[name].notes]
    if rows.sources is not None:
        from hauberk.data.poison.detectors.sources import lift

        scores, sources = lift(scores, rows.sources, false_alarms=false_alarms)
    spoke = np.where(raw > 0, np.array(names)[best], "")
    suggested = np.full(len(rows), -1, np.int64)
    reasons: dict[int, str] = {}
    for index, name in enumerate(names):
        own = said[name].suggested
        if own is not None:
            take = (best == index) & (own >= 0)
            suggested[take] = own[take]
        reasons |= {row: why for row, why in said[name].reasons.items() if best[row] == index}
    flags = scores >= -math.log10(false_alarms)
    return Screening(
        scores,
        flags,
        spoke,
        reasons,
        suggested,
        rows.side.classes,
        false_alarms,
        sources,
        tuple(notes),
        dict(seconds),
    )


def _check(rows: Rows) -> None:
    if len(rows) < _FEWEST:
        raise InvalidInput(
            f"screening compares rows with each other and needs at least {_FEWEST}, found {len(rows)}: add rows."
        )
    if len(np.unique(rows.y)) < 2:
        raise InvalidInput("all rows are of one class; screening needs at least two: add rows of another class.")
    if not np.isfinite(rows.side.x).all():
        bad = np.flatnonzero(~np.isfinite(rows.side.x).reshape(len(rows), -1).all(axis=1))
        raise InvalidInput(
            f"{len(bad)} rows hold NaN or infinity (first: row {int(bad[0])}): fill in these values, or remove the rows."
        )


def _side(x: Any, y: npt.ArrayLike, columns: tuple[Column, ...], kind: Kind | None) -> Dataset:  # noqa: ANN401 - see `screen`
    labels = np.asarray(y)
    if labels.ndim != 1:
        raise InvalidInput(f"y has shape {labels.shape}; expected one axis: one label for each row.")
    classes, codes = np.unique(labels.astype(str) if labels.dtype == object else labels, return_inverse=True)
    names = tuple(str(value) for value in classes.tolist())
    codes = codes.astype(np.int64).reshape(-1)
    if hasattr(x, "columns"):
        values, columns = _frame(x)
    else:
        values = np.asarray(x)
    if len(values) != len(codes):
        raise InvalidInput(f"x has {len(values)} rows and y has {len(codes)} labels: pass one label for each row.")
    if values.ndim in (3, 4) and kind in (None, "image"):
        return Dataset("image", _pictures(values), codes, names, (), np.arange(len(codes)))
    if values.ndim != 2 or kind == "image":
        raise InvalidInput(f"x has shape {values.shape}; expected pictures with 3 or 4 axes, or (rows, columns).")
    floats = values.astype(np.float32)
    return Dataset("table", floats, codes, names, columns or _numbers(floats), np.arange(len(codes)))


def _pictures(values: npt.NDArray[Any]) -> Floats:
    from hauberk.data.reading import limits, pixels
    from hauberk.data.reading.raw import RawImages, row_of

    raw = RawImages(values, np.zeros(len(values), np.int64), None, row_of("x"), "x")
    return pixels.to_floats(raw, ceiling=limits.CEILING)


def _numbers(x: Floats) -> tuple[Column, ...]:
    from hauberk.core.columns import Column, ColumnKind

    return tuple(
        Column(f"x{index}", ColumnKind.NUMBER, float(column.min(initial=0)), float(column.max(initial=0)))
        for index, column in enumerate(x.T)
    )


def _frame(x: Any) -> tuple[Floats, tuple[Column, ...]]:  # noqa: ANN401 - a Polars or pandas frame
    from hauberk.core.extras import need
    from hauberk.data.reading import tables
    from hauberk.data.reading.raw import RawTable, row_of

    polars = need("polars")
    frame = x if isinstance(x, polars.DataFrame) else polars.from_pandas(x)
    target = "".join(frame.columns) + "_label"  # a name that no column has
    raw = RawTable(frame.with_columns(polars.lit(0).alias(target)), row_of("x"), "x", target=target)
    encoded = tables.encode(raw, None, target=target, group="", drop=())
    return encoded.x, tables.with_ranges(encoded.columns, encoded.x)


def _layers(features: Any) -> tuple[Floats, ...]:  # noqa: ANN401 - one layer or several
    if features is None:
        return ()
    given = features if isinstance(features, list | tuple) else [features]
    layers = tuple(np.asarray(layer, np.float32) for layer in given)
    for layer in layers:
        if layer.ndim != 2 or not np.isfinite(layer).all():
            raise InvalidInput(f"features have shape {layer.shape}; expected (rows, features), all finite.")
    return layers
