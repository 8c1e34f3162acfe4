"""A whole Merkle tree in memory, level by level: roots and inclusion proofs for trees that are not logs on disk.

The hashing is RFC 6962 §2.1 (`merkle`). Joining neighbours and passing an odd last node up unchanged builds the same
tree as the RFC's division at the largest power of two; the tests compare both.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from hauberk.core.errors import InvalidInput
from hauberk.custody.ledger.merkle import EMPTY_ROOT


def levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Return all levels over leaf hashes (32 bytes each): the leaves first, the root alone last. O(n)."""
    found = [list(leaves)]
    while len(found[-1]) > 1:
        found.append(_above(found[-1]))
    return found


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes; without leaves, the hash of the empty string. About 0.5 µs a leaf."""
    nodes = list(leaves)
    while len(nodes) > 1:
        nodes = _above(nodes)
    return nodes[0] if nodes else EMPTY_ROOT


def inclusion(tree: Sequence[Sequence[bytes]], index: int) -> list[bytes]:
    """Return the proof that leaf `index` is under the root, leaf to root (RFC 6962 §2.1.1). tree: from `levels`."""
    if not 0 <= index < len(tree[0]):
        raise InvalidInput(f"there is no leaf {index} in a tree of {len(tree[0])}.")
    proof = []
    for nodes in tree[:-1]:
        if index ^ 1 < len(nodes):
            proof.append(nodes[index ^ 1])
        index >>= 1
    return proof


def _above(nodes: list[bytes]) -> list[bytes]:
    joined = [sha256(b"\x01" + left + right).digest() for left, right in zip(nodes[::2], nodes[1::2], strict=False)]
    return joined + nodes[-1:] if len(nodes) % 2 else joined
