"""The default sampling: every row once an epoch, in an order that the generator draws."""

from __future__ import annotations

import pytest
import torch

from hauberk.training.sampling import Shuffled


@pytest.mark.parametrize(("rows", "sizes"), [(10, [4, 4, 2]), (8, [4, 4]), (9, [4, 4]), (1, [1]), (3, [3])])
def test_each_row_comes_once_and_a_last_batch_of_one_row_is_left_out(rows, sizes):
    sampling = Shuffled(4)
    batches = list(sampling.epoch(rows, torch.Generator().manual_seed(0)))
    assert [len(batch) for batch in batches] == sizes
    assert sampling.batches(rows) == len(sizes)
    numbers = torch.cat(batches).tolist()
    assert len(set(numbers)) == len(numbers) == sum(sizes)
    assert set(numbers) <= set(range(rows))


def test_epochs_differ_and_a_seed_repeats_them():
    def epochs(seed):
        rng = torch.Generator().manual_seed(seed)
        return [torch.cat(list(Shuffled(4).epoch(40, rng))).tolist() for _ in range(2)]

    first, second = epochs(1)
    assert first != second
    assert epochs(1) == [first, second]
    assert epochs(2)[0] != first
