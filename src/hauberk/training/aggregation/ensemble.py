"""Ensemble: trains one model on each part, on all cores, and collects their votes.

The certificate makes three demands on training. 1. A model depends on its own part only: encodings, categories, ranges and
classes are computed from the part, never from all rows (`_own`). 2. A model does not depend on the order of rows
(`Plan.parts` orders by content) or on other parts (the seed is computed from the part's content). 3. Training is
deterministic: every job runs on one thread, so that floating-point sums have one order.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.core.extras import need
from hauberk.core.progress import Quiet, Task
from hauberk.core.registry import NoParams
from hauberk.models.port import Floats, Labels, log_of
from hauberk.models.spec import Spec
from hauberk.training.aggregation.certificate import Certificates, certify
from hauberk.training.aggregation.learners import LEARNERS, Learn, Lesson, Predict
from hauberk.training.aggregation.partition import Digests, Plan, row_digests

_FEWEST = 2  # rows needed to fit a model; a smaller part votes for the class of its row, or for class 0


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One fitted model of the ensemble, with the classes and categories of its own part."""

    spec: Spec
    labels: Labels
    codes: tuple[Labels | None, ...]
    predict: Predict | None

    def __call__(self, x: Floats) -> npt.NDArray[np.int32]:
        """Return (n,) votes."""
        if self.predict is None:
            return np.full(len(x), self.labels[0], np.int32)
        return self.labels[self.predict(_coded(x, self.codes))].astype(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Aggregate:
    """The models of a plan, which vote; it computes scores as every model does (`models.port.Model`)."""

    spec: Spec
    plan: Plan
    members: tuple[Member, ...]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.spec.classes

    def votes(self, x: Floats) -> npt.NDArray[np.int32]:
        """Return (n, plan.models) the vote of each model."""
        return np.stack([member(x) for member in self.members], axis=1)

    def scores(self, x: Floats) -> Floats:
        """Return (n, classes) logarithms of the shares of votes, in nats."""
        votes = self.votes(x)
        shares = np.stack([(votes == label).mean(axis=1) for label in range(self.classes)], axis=1)
        return log_of(shares)

    def certify(self, x: Floats) -> Certificates:
        """Return prediction and certificate of each row; see `certificate.certify`."""
        return certify(self.votes(x), classes=self.classes, plan=self.plan)


def aggregate(  # noqa: PLR0913 - the public function: data, plan and settings, all keyword-only but the data
    spec: Spec,
    x: Floats,
    y: Labels,
    *,
    plan: Plan,
    learner: str | Learn = "trees",
    seed: int = 0,
    workers: int | None = None,
    task: Task | None = None,
) -> Aggregate:
    """Train the models of a plan and return them.

    x: (n, *spec.shape) float32, y: (n,) in [0, spec.classes). learner: a name in LEARNERS, or a deterministic function
    such as the result of `from_builder`. workers: number of processes; None is one for each core. The same arguments
    give the same models for any number of workers. Raises InvalidInput for rows that do not fit the spec.
    """
    jobs = _jobs(Lesson(spec, x, y), plan, learner, seed)
    return Aggregate(spec, plan, tuple(_run(jobs, None, plan, workers, task or Quiet())))


def vote(  # noqa: PLR0913 - as `aggregate`
    spec: Spec,
    x: Floats,
    y: Labels,
    asked: Floats,
    *,
    plan: Plan,
    learner: str | Learn = "trees",
    seed: int = 0,
    workers: int | None = None,
    task: Task | None = None,
) -> npt.NDArray[np.int32]:
    """Return (len(asked), plan.models) votes on the rows `asked`; each model is discarded after it has voted."""
    jobs = _jobs(Lesson(spec, x, y), plan, learner, seed)
    return np.stack(list(_run(jobs, asked, plan, workers, task or Quiet())), axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    spec: Spec
    x: Floats
    y: Labels
    learn: Learn
    params: Any
    seed: int


def _jobs(rows: Lesson, plan: Plan, learner: str | Learn, seed: int) -> Iterator[_Job]:
    spec, x, y = rows.spec, rows.x, rows.y
    if len(x) != len(y) or tuple(x.shape[1:]) != spec.shape or not len(x):
        raise InvalidInput(
            f"expected rows of shape {spec.shape} with one label each, found {x.shape} and {len(y)} labels."
        )
    if y.min() < 0 or y.max() >= spec.classes:
        raise InvalidInput(f"labels must lie in [0, {spec.classes}), found {y.min()} to {y.max()}.")
    if isinstance(learner, str):
        entry = LEARNERS[learner]
        if spec.kind not in entry.kinds:
            fitting = ", ".join(entry.name for entry in LEARNERS if spec.kind in entry.kinds)
            raise InvalidInput(f"learner {learner!r} is not for {spec.kind} data: use {fitting}.")
        learn, params = entry.run, entry.make({})
    else:
        learn, params = learner, NoParams()
    digests = row_digests(spec, x)
    parts = plan.parts(digests, y)
    return (_Job(spec, x[part], y[part], learn, params, _seed(digests[part], y[part], seed)) for part in parts)


def _seed(digests: Digests, y: Labels, seed: int) -> int:
    state = hashlib.blake2b(seed.to_bytes(8, "little", signed=True), digest_size=4)
    state.update(digests.tobytes() + y.astype("<i8").tobytes())
    return int.from_bytes(state.digest(), "little") >> 1


def _run(jobs: Iterator[_Job], asked: Floats | None, plan: Plan, workers: int | None, task: Task) -> Iterator[Any]:
    joblib = need("joblib")
    count = min(workers or len(os.sched_getaffinity(0)), plan.models)
    # Arguments are created when a worker is free, so only a few parts are in memory twice.
    pool = joblib.Parallel(n_jobs=count, return_as="generator", pre_dispatch="2*n_jobs")
    for done, result in enumerate(pool(joblib.delayed(_work)(job, asked) for job in jobs), 1):
        task.update(done / plan.models, text=f"model {done} of {plan.models}")
        yield result


def _work(job: _Job, asked: Floats | None) -> Any:  # noqa: ANN401 - a member, or its votes
    with need("threadpoolctl").threadpool_limits(1):
        member = _member(job)
        return member if asked is None else member(asked)


def _member(job: _Job) -> Member:
    labels, y = np.unique(job.y, return_inverse=True)
    labels = labels.astype(np.int64) if len(labels) else np.zeros(1, np.int64)
    if len(labels) < 2 or len(y) < _FEWEST:
        return Member(job.spec, labels, (), None)
    spec, codes = _own(job.spec, job.x, len(labels))
    x = _coded(job.x, codes)
    lesson, rng = Lesson(spec, x, y.astype(np.int64).reshape(-1)), np.random.default_rng(job.seed)
    return Member(spec, labels, codes, job.learn(lesson, job.params, rng=rng, task=Quiet()))


def _own(spec: Spec, x: Floats, classes: int) -> tuple[Spec, tuple[Labels | None, ...]]:
    """Return the spec of this part alone, and for each category column the new code of each old code (-1: not in the part)."""
    columns: list[Column] = []
    codes: list[Labels | None] = []
    for index, column in enumerate(spec.columns):
        values = x[:, index]
        if column.kind is ColumnKind.CATEGORY:
            seen = np.unique(np.rint(values).astype(np.int64))
            mapped = np.full(len(column.categories), -1, np.int64)
            # In the order of names, because the order of codes depends on the other parts.
            seen = seen[np.argsort([column.categories[code] for code in seen], kind="stable")]
            mapped[seen] = np.arange(len(seen))
            names = tuple(column.categories[code] for code in seen)
            columns.append(Column(column.name, column.kind, 0.0, float(len(names) - 1), names))
            codes.append(mapped)
        else:
            columns.append(Column(column.name, column.kind, float(values.min()), float(values.max())))
            codes.append(None)
    return replace(spec, classes=classes, columns=tuple(columns)), tuple(codes)


def _coded(x: Floats, codes: tuple[Labels | None, ...]) -> Floats:
    if not any(mapped is not None for mapped in codes):
        return x
    coded = x.copy()
    for index, mapped in enumerate(codes):
        if mapped is not None:
            coded[:, index] = mapped[np.rint(x[:, index]).astype(np.int64)]
    return coded
