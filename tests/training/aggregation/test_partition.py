from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hauberk.core.columns import Column, ColumnKind
from hauberk.core.errors import InvalidInput
from hauberk.training import Spec
from hauberk.training.aggregation import Plan, row_digests


def contents(plan, digests, y):
    return [[(bytes(digests[row]), int(y[row])) for row in part] for part in plan.parts(digests, y)]


@pytest.mark.parametrize("plan", [Plan(7), Plan(4, 3)])
def test_a_row_taken_out_or_relabelled_changes_the_models_of_one_bucket_only(plan, table):
    spec, x, y, *_ = table
    digests = row_digests(spec, x)
    before = contents(plan, digests, y)
    relabelled = y.copy()
    relabelled[11] = (y[11] + 1) % 3
    without = np.delete(np.arange(len(y)), 11)
    for after in (contents(plan, digests, relabelled), contents(plan, digests[without], y[without])):
        changed = {model for model in range(plan.models) if before[model] != after[model]}
        bucket = int(plan.buckets(digests)[11])
        assert changed == {int(bucket + step) % plan.models for step in plan.offsets}
        assert len(changed) == plan.spread


def test_the_order_of_rows_does_not_matter(table):
    spec, x, y, *_ = table
    order = np.random.default_rng(4).permutation(len(y))
    plan = Plan(5, 2)
    assert contents(plan, row_digests(spec, x), y) == contents(plan, row_digests(spec, x[order]), y[order])


@pytest.mark.parametrize("plan", [Plan(6), Plan(6, 4)])
def test_every_row_trains_as_many_models_as_the_spread(plan, table):
    spec, x, y, *_ = table
    count = np.bincount(np.concatenate(plan.parts(row_digests(spec, x), y)), minlength=len(y))
    assert (count == plan.spread).all()


def test_a_new_category_changes_no_digest_of_other_rows(table):
    spec, x, *_ = table
    names = ("blue", "dark", "light", "middle")
    wider = replace(
        spec,
        columns=(
            *spec.columns[:-1],
            Column("shade", ColumnKind.CATEGORY, 0, 3, names),
        ),
    )
    moved = x.copy()
    moved[:, -1] += 1  # each old name has the next code now
    assert (row_digests(spec, x) == row_digests(wider, moved)).all()


def test_rows_with_other_values_have_other_digests_and_minus_zero_is_zero():
    spec = Spec("image", (1, 2, 2), 2)
    x = np.array([[[[0.0, 1], [0, 0]]], [[[-0.0, 1], [0, 0]]], [[[0, 0], [1, 0]]]], np.float32)
    digests = row_digests(spec, x)
    assert digests[0] == digests[1] != digests[2]


def test_the_partition_is_the_same_in_every_release():
    """A release that dealt otherwise would silently void published certificates."""
    spec = Spec("image", (1, 1, 2), 2)
    x = np.arange(20, dtype=np.float32).reshape(10, 1, 1, 2)
    assert Plan(5).buckets(row_digests(spec, x)).tolist() == [0, 2, 3, 3, 2, 4, 0, 1, 0, 4]


@pytest.mark.parametrize(("k", "d"), [(1, 1), (5, 0), (60_000, 2)])
def test_a_plan_out_of_range_is_refused(k, d):
    with pytest.raises(InvalidInput, match="partitions"):
        Plan(k, d)


def test_a_code_outside_the_categories_is_refused(table):
    spec, x, *_ = table
    bad = x.copy()
    bad[0, -1] = 7
    with pytest.raises(InvalidInput, match="shade"):
        row_digests(spec, bad)
