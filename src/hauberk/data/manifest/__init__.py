"""Manifests: the files of a data set under one Merkle root, so that a change can be located; and table diffs.

model       a manifest's content, its root and its bytes
items       a listed file, and the protocol of readers
places      lists and reads the files of a set; `remote` does so for any fsspec target
cutting     cuts a file into parts: Parquet row groups, or blocks of 4 MiB
hashing     hashes the parts on all cores
building    builds a manifest of the present files, with or without an earlier one
comparing   compares two manifests: which parts were added, removed or changed
diffing     compares the rows of two tables; `comparable` gives both common types
sampling    keeps a sample of a table's rows, for comparison with later states
"""

from __future__ import annotations

from hauberk.data.manifest.building import Built, build
from hauberk.data.manifest.comparing import Change, compare
from hauberk.data.manifest.model import File, Manifest, Part

__all__ = ["Built", "Change", "File", "Manifest", "Part", "build", "compare"]
