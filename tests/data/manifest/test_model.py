"""Manifests as values: RFC 6962 roots, canonical bytes that read back, and edits that are refused."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.ledger import merkle
from hauberk.data.manifest import Manifest, build
from hauberk.data.manifest.model import BLOCK


def made(*places, **how):
    return build([str(place) for place in places], **how).manifest


def test_a_block_is_an_rfc_6962_leaf_and_a_file_their_tree(tmp_path):
    data = np.random.default_rng(0).bytes(2 * BLOCK + 17)
    (tmp_path / "x.bin").write_bytes(data)
    (file,) = made(tmp_path / "x.bin").files
    assert [part.digest for part in file.parts] == [
        merkle.leaf_hash(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)
    ]
    assert file.digest == merkle.root_of([part.leaf() for part in file.parts])


def test_the_root_depends_on_names_and_bytes_alone(pictures, tmp_path):
    before = made(pictures)
    pictures.rename(tmp_path / "elsewhere")
    for path in (tmp_path / "elsewhere").rglob("*.png"):
        os.utime(path, (1, 1))
    assert made(tmp_path / "elsewhere", threads=1).root == before.root
    assert made(tmp_path / "elsewhere", threads=7).root == before.root


def test_bytes_are_canonical_and_come_back(table, pictures):
    found = made(table, pictures)
    data = found.to_bytes()
    assert data == canonical.encode(json.loads(data))
    assert Manifest.read(data) == found
    assert any(file.name.startswith("pictures/") for file in found.files)


@pytest.mark.parametrize("field", ["name", "digest", "size"])
def test_an_edited_manifest_is_refused(pictures, field):
    value = json.loads(made(pictures).to_bytes())
    value["files"][3][field] = {"name": "0/other.png", "digest": "00" * 32, "size": 1}[field]
    with pytest.raises(NotProven, match="edited"):
        Manifest.read(canonical.encode(value))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"_type": "https://hauberk.dev/data-manifest/v9"}, "expected _type"),
        ({"block": 1}, "blocks of 1 bytes"),
        ({"files": [{"name": "x"}]}, "KeyError"),
        ({"files": [{"name": "x", "size": 9, "state": "", "form": "blocks", "parts": []}]}, "do not cover"),
    ],
)
def test_other_forms_are_refused(pictures, change, error):
    value = json.loads(made(pictures).to_bytes()) | change
    with pytest.raises(InvalidInput, match=error):
        Manifest.read(canonical.encode(value))
