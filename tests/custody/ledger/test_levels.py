"""Trees in memory give the roots that the RFC defines, and proofs that the ledger's verifier accepts."""

from __future__ import annotations

import pytest

from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.ledger import levels, merkle

LEAVES = [merkle.leaf_hash(bytes([number])) for number in range(70)]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 64, 70])
def test_the_root_is_that_of_the_definition(size):
    assert levels.root_of(LEAVES[:size]) == merkle.root_of(LEAVES[:size])
    assert levels.levels(LEAVES[:size])[-1] == ([merkle.root_of(LEAVES[:size])] if size else [])


@pytest.mark.parametrize("size", [1, 2, 3, 6, 11, 64, 70])
def test_each_leaf_is_proven_and_no_other_in_its_place(size):
    tree = levels.levels(LEAVES[:size])
    for index in range(size):
        proof = levels.inclusion(tree, index)
        merkle.verify_inclusion(LEAVES[index], index, size, proof, tree[-1][0])
        with pytest.raises(NotProven):
            merkle.verify_inclusion(LEAVES[index - 1] if size > 1 else bytes(32), index, size, proof, tree[-1][0])
    with pytest.raises(InvalidInput):
        levels.inclusion(tree, size)
