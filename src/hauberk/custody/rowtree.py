"""A Merkle tree over a set of rows: proves whether a row is in the set, and discloses little else.

Each distinct row is one leaf. Leaves are sorted by position:

    position    HMAC-SHA-256(order key, row digest)           the leaf's place; reveals nothing without the key
    opening     HMAC-SHA-256(salt key, row digest)            this row's own salt
    leaf        position || count, uint64 || SHA-256("hauberk row opening" 0x00 || opening || row digest)

Both keys come from one random secret of the owner. The SHA-256 of the order key is logged with the root.
Otherwise the owner could choose another key later, under which a row of the set would fall between two leaves.

    present     the leaf, its inclusion proof, and the row's opening: reveals nothing about other rows
    absent      the order key, and two adjacent leaves around the row's position; the reader can test guesses
                against the positions of these two rows (docs/decisions/0009)

Answers: a row denied or invented after the root was logged. Does not answer: an owner who commits to other rows than
the training used; an auditor with the rows and the secret can build the tree again and compare roots.
"""

from __future__ import annotations

import hmac
import struct
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.ledger.levels import inclusion, levels
from hauberk.custody.ledger.merkle import HASH_SIZE, leaf_hash, verify_inclusion
from hauberk.custody.rows import Schema

TYPE = "https://hauberk.dev/row-tree/v1"
_MAGIC = b"hauberk row tree v1\n"
_LEAF = HASH_SIZE + 8 + HASH_SIZE


@dataclass(frozen=True, slots=True)
class Commitment:
    """The published part of a row tree. Digests in hex. leaves: distinct rows; rows: with repetitions."""

    root: str
    leaves: int
    rows: int
    order: str
    schema: str

    def to_json(self) -> dict[str, Any]:
        """Return the form that events carry."""
        return {
            "root": self.root,
            "leaves": self.leaves,
            "rows": self.rows,
            "order": self.order,
            "schema": self.schema,
        }

    @classmethod
    def read(cls, value: object) -> Commitment:
        """Read the form that events carry. Raises InvalidInput."""
        try:
            assert isinstance(value, Mapping)
            return cls(
                str(value["root"]),
                int(value["leaves"]),
                int(value["rows"]),
                str(value["order"]),
                str(value["schema"]),
            )
        except (KeyError, TypeError, ValueError, AssertionError) as error:
            raise InvalidInput("the event carries no commitment to rows.") from error


@dataclass(frozen=True)
class RowTree:
    """The owner's part: the schema, the secret (32 bytes), and the leaves (72 bytes each), sorted."""

    schema: Schema
    secret: bytes
    leaves: tuple[bytes, ...]

    @classmethod
    def grow(cls, digests: Iterable[bytes], schema: Schema, secret: bytes) -> RowTree:
        """Return the tree over row digests (32 bytes each); secret: 32 random bytes. About 12 µs a row."""
        if len(secret) != HASH_SIZE:
            raise InvalidInput(f"the secret of a row tree has {HASH_SIZE} bytes, found {len(secret)}.")
        order, salt = _key(secret, b"order"), _key(secret, b"salt")
        leaves = [
            _position(order, digest) + struct.pack(">Q", count) + _closed(_opening(salt, digest), digest)
            for digest, count in Counter(digests).items()
        ]
        if not leaves:
            raise InvalidInput("a set without rows has no row tree.")
        return cls(schema, secret, tuple(sorted(leaves)))

    @cached_property
    def commitment(self) -> Commitment:
        """The part that is logged."""
        return Commitment(
            self._levels[-1][0].hex(),
            len(self.leaves),
            sum(_count(leaf) for leaf in self.leaves),
            _committed(_key(self.secret, b"order")),
            self.schema.digest.hex(),
        )

    def prove(self, digest: bytes) -> dict[str, Any]:
        """Return the claim about one row digest, present or absent, with its proof, as JSON."""
        order = _key(self.secret, b"order")
        position = _position(order, digest)
        at = bisect_left(self.leaves, position)
        if at < len(self.leaves) and self.leaves[at][:HASH_SIZE] == position:
            opening = _opening(_key(self.secret, b"salt"), digest)
            return {"claim": "present", "leaf": self._shown(at), "opening": opening.hex()}
        return {
            "claim": "absent",
            "order": order.hex(),
            "before": self._shown(at - 1) if at else None,
            "after": self._shown(at) if at < len(self.leaves) else None,
        }

    def to_bytes(self) -> bytes:
        """Return the bytes that `read` reads. They contain the secret: seal them."""
        head = canonical.encode(
            {
                "_type": TYPE,
                "schema": dict(self.schema.value),
                "secret": self.secret.hex(),
                "leaves": len(self.leaves),
            }
        )
        return _MAGIC + struct.pack(">I", len(head)) + head + b"".join(self.leaves)

    @classmethod
    def read(cls, data: bytes) -> RowTree:
        """Read a tree. Raises InvalidInput for another form or version, and for leaves out of order."""
        if not data.startswith(_MAGIC):
            raise InvalidInput("not a row tree of a known version; this release reads v1.")
        start = len(_MAGIC) + 4
        (length,) = struct.unpack(">I", data[len(_MAGIC) : start])
        head = canonical.decode(data[start : start + length], what="the head of the row tree")
        body = data[start + length :]
        leaves = tuple(body[at : at + _LEAF] for at in range(0, len(body), _LEAF))
        if head.get("_type") != TYPE or len(body) != _LEAF * head["leaves"] or list(leaves) != sorted(leaves):
            raise InvalidInput(
                "the row tree is damaged: its leaves do not match its head. Restore the store from a backup."
            )
        return cls(Schema.read(head["schema"]), bytes.fromhex(head["secret"]), leaves)

    @cached_property
    def _levels(self) -> list[list[bytes]]:
        return levels([leaf_hash(leaf) for leaf in self.leaves])

    def _shown(self, at: int) -> dict[str, Any]:
        proof = [value.hex() for value in inclusion(self._levels, at)]
        return {"index": at, "bytes": self.leaves[at].hex(), "hashes": proof}


def check(claim: Mapping[str, Any], digest: bytes, commitment: Commitment) -> int:
    """Return how often the row with this digest is in the set, 0 for absent, once the claim's proof holds.

    present: 1. the leaf is in the tree (an invented leaf); 2. it opens to this row (another row's leaf).
    absent: 1. the order key is the committed one (a key chosen afterwards); 2. both neighbours are in the tree
    (invented leaves); 3. nothing stands between them (leaves left out); 4. the row's position does.
    Raises NotProven, which names the step; InvalidInput for a claim of another form.
    """
    try:
        if claim["claim"] == "present":
            leaf = _proven(claim["leaf"], commitment)[1]
            if not hmac.compare_digest(leaf[HASH_SIZE + 8 :], _closed(bytes.fromhex(claim["opening"]), digest)):
                raise NotProven("the leaf does not open to this row: it belongs to another row.")
            return _count(leaf)
        if claim["claim"] == "absent":
            _check_absent(claim, digest, commitment)
            return 0
    except (KeyError, TypeError, ValueError, struct.error) as error:
        raise InvalidInput(f"the claim about the row does not have the form of one: {error}.") from error
    raise InvalidInput(f"unknown claim {str(claim['claim'])[:40]!r}; known: present, absent.")


def _check_absent(claim: Mapping[str, Any], digest: bytes, commitment: Commitment) -> None:
    order = bytes.fromhex(claim["order"])
    if not hmac.compare_digest(_committed(order), commitment.order):
        raise NotProven("the order key is not the one that the event committed to: it was chosen afterwards.")
    before = None if claim["before"] is None else _proven(claim["before"], commitment)
    after = None if claim["after"] is None else _proven(claim["after"], commitment)
    if before is None and after is None:
        raise NotProven("the claim of absence shows no adjacent leaf.")
    left = -1 if before is None else before[0]
    right = commitment.leaves if after is None else after[0]
    if left + 1 != right:
        raise NotProven(f"leaves {left} and {right} are not adjacent: leaves between them were left out.")
    position = _position(order, digest)
    if (before is not None and before[1][:HASH_SIZE] >= position) or (
        after is not None and after[1][:HASH_SIZE] <= position
    ):
        raise NotProven("the row's position does not lie between the leaves shown: it may be in the set.")


def _proven(shown: Mapping[str, Any], commitment: Commitment) -> tuple[int, bytes]:
    leaf, index = bytes.fromhex(shown["bytes"]), int(shown["index"])
    if len(leaf) != _LEAF:
        raise NotProven(f"a leaf of a row tree has {_LEAF} bytes, found {len(leaf)}.")
    hashes = [bytes.fromhex(value) for value in shown["hashes"]]
    verify_inclusion(leaf_hash(leaf), index, commitment.leaves, hashes, bytes.fromhex(commitment.root))
    return index, leaf


def _key(secret: bytes, purpose: bytes) -> bytes:
    return hmac.digest(secret, b"hauberk rows: " + purpose, "sha256")


def _position(order: bytes, digest: bytes) -> bytes:
    return hmac.digest(order, digest, "sha256")


def _opening(salt: bytes, digest: bytes) -> bytes:
    return hmac.digest(salt, digest, "sha256")


def _closed(opening: bytes, digest: bytes) -> bytes:
    return sha256(b"hauberk row opening\0" + opening + digest).digest()


def _committed(order: bytes) -> str:
    return sha256(b"hauberk row order\0" + order).hexdigest()


def _count(leaf: bytes) -> int:
    (count,) = struct.unpack(">Q", leaf[HASH_SIZE : HASH_SIZE + 8])
    return int(count)
