"""Manifests: a data set as an artifact whose every part is under one Merkle root, so that a change is located.

model      what a manifest says, its root and its bytes
places     the files of a set, local or of any fsspec target
cutting    a file into parts: Parquet row groups, or blocks of 4 MiB
hashing    the parts, on all cores
building   a manifest of what is there now, with or without an earlier one
comparing  two manifests: which part was added, removed or changed
"""

from __future__ import annotations

from hauberk.data.manifest.building import Built, build
from hauberk.data.manifest.comparing import Change, compare
from hauberk.data.manifest.model import File, Manifest, Part

__all__ = ["Built", "Change", "File", "Manifest", "Part", "build", "compare"]
