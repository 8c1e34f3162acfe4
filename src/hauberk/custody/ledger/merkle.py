"""Merkle tree hashing and proof verification: RFC 6962 §2.1, as pure functions of bytes and integers.

A leaf is SHA-256(0x00 || entry) and an inner node SHA-256(0x01 || left || right); the two prefixes keep an
inner node from being passed off as an entry. A hash is 32 bytes; sizes and indices count entries from 0. The
subtree forms follow draft-ietf-plants-merkle-tree-certs §4 and are the ones that c2sp.org/tlog-cosignature refers to.

Answers: an entry that is not in the tree; a tree that does not extend an older one. Does not answer: which of two
roots is the log's; the signed checkpoint (`notes`) does. Proofs are built by `tree`, which has the tiles.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256

from hauberk.core.errors import NotProven

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Return the 32-byte hash of one entry (RFC 6962 §2.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the 32-byte hash of an inner node (RFC 6962 §2.1)."""
    return sha256(b"\x01" + left + right).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf *hashes*, the definition of RFC 6962 §2.1 written out; O(n), for small trees."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = split_point(len(leaves))
    return node_hash(root_of(leaves[:split]), root_of(leaves[split:]))


def split_point(size: int) -> int:
    """Return the largest power of two below `size` (at least 2): where RFC 6962 divides a tree in two."""
    return 1 << ((size - 1).bit_length() - 1)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise NotProven unless `proof` shows that the leaf hash is at `index` in the tree of `size` and `root`.

    RFC 9162 §2.1.3.2. A proof of the wrong length is refused, so no hash in it goes unused.
    """
    if not 0 <= index < size:
        raise NotProven(f"inclusion proof: entry {index} is not within a log of {size} entries.")
    _check_lengths("inclusion", (leaf, *proof))
    inner = (index ^ (size - 1)).bit_length()
    border = (index >> inner).bit_count()
    if len(proof) != inner + border:
        raise NotProven(
            f"inclusion proof: {len(proof)} hashes found, {inner + border} expected for entry {index} of {size}."
        )
    node = leaf
    for height, sibling in enumerate(proof[:inner]):
        node = node_hash(sibling, node) if (index >> height) & 1 else node_hash(node, sibling)
    for sibling in proof[inner:]:
        node = node_hash(sibling, node)
    if not hmac.compare_digest(node, root):
        raise NotProven(
            f"inclusion proof: entry {index} of {size} leads to another root than the checkpoint's. "
            "The entry, the proof or the checkpoint was altered, or they do not belong together."
        )


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raise NotProven unless `proof` shows that the tree of size `new` extends the one of size `old`.

    RFC 9162 §2.1.4.2. An empty old tree proves nothing about a larger one, so `old` = 0 passes only with
    `new` = 0 and both roots that of the empty tree.
    """
    if old == 0 and (new, old_root) != (0, EMPTY_ROOT):
        raise NotProven("consistency proof: from an empty log nothing can be proven; start at size 1 or more.")
    if old == 0 and new_root != EMPTY_ROOT:
        raise NotProven("consistency proof: two roots for a log of 0 entries.")
    verify_subtree_consistency(0, old, new, proof, old_root, new_root)


def verify_subtree_inclusion(
    leaf: bytes, index: int, span: tuple[int, int], proof: Sequence[bytes], root: bytes
) -> None:
    """Raise NotProven unless the leaf is entry `index` of the subtree over `span` = [start, end) with `root`."""
    start, end = span
    if not start <= index < end:
        raise NotProven(f"subtree inclusion proof: entry {index} is not within [{start}, {end}).")
    _check_subtree(start, end)
    verify_inclusion(leaf, index - start, end - start, proof, root)


def verify_subtree_consistency(  # noqa: PLR0913, PLR0917 - two trees are a span, a size and two roots
    start: int, end: int, size: int, proof: Sequence[bytes], sub_root: bytes, root: bytes
) -> None:
    """Raise NotProven unless the subtree over [start, end) with `sub_root` is part of the tree of `size`, `root`.

    draft-ietf-plants-merkle-tree-certs §4.4.3; with `start` = 0 it is RFC 9162 §2.1.4.2. An empty subtree is
    part of every tree: its root must be that of the empty tree and the proof empty.
    """
    if not 0 <= start <= end <= size:
        raise NotProven(f"consistency proof: [{start}, {end}) is not within a log of {size} entries.")
    if start == end:
        if proof or sub_root != EMPTY_ROOT:
            raise NotProven("consistency proof: an empty subtree has the empty root and an empty proof.")
        return
    _check_subtree(start, end)
    _check_lengths("consistency", proof)
    first, second = _replay(start, end, size, proof, sub_root)
    if not (hmac.compare_digest(first, sub_root) and hmac.compare_digest(second, root)):
        raise NotProven(
            f"consistency proof: the log of {size} entries does not extend the one of {end}. "
            "It was rewritten, or the proof belongs to another pair of checkpoints."
        )


def _replay(start: int, end: int, size: int, proof: Sequence[bytes], sub_root: bytes) -> tuple[bytes, bytes]:
    # Walks from the subtree's right edge upwards and rebuilds both roots; the names are the draft's fn, sn, tn.
    first, last, top = start, end - 1, size - 1
    while first != last and (last == top or last & 1):
        first, last, top = first >> 1, last >> 1, top >> 1
    rest = list(proof)
    if first == last:
        ours = theirs = sub_root
    elif rest:
        ours = theirs = rest.pop(0)
    else:
        raise NotProven("consistency proof: it is empty, and the two sizes differ.")
    for sibling in rest:
        if top == 0:
            raise NotProven("consistency proof: it has more hashes than the two sizes need.")
        if last & 1 or last == top:
            if first < last:
                ours = node_hash(sibling, ours)
            theirs = node_hash(sibling, theirs)
            while not last & 1:
                first, last, top = first >> 1, last >> 1, top >> 1
        else:
            theirs = node_hash(theirs, sibling)
        first, last, top = first >> 1, last >> 1, top >> 1
    if top:
        raise NotProven("consistency proof: it has fewer hashes than the two sizes need.")
    return ours, theirs


def _check_subtree(start: int, end: int) -> None:
    # A subtree starts at a multiple of the smallest power of two that holds it.
    if start % (1 << (end - start - 1).bit_length()):
        raise NotProven(f"[{start}, {end}) is not a subtree: it does not start on the boundary of its own size.")


def _check_lengths(what: str, hashes: Sequence[bytes]) -> None:
    # Without this, bytes could move between the two halves of a node and the node hash the same.
    if any(len(value) != HASH_SIZE for value in hashes):
        raise NotProven(f"{what} proof: every hash is {HASH_SIZE} bytes, and one is not.")
