"""Sealed files open to the same bytes under the data key, and artifacts that no longer open are not counted."""

import numpy as np
import pytest

from hauberk.core import canonical
from hauberk.core.errors import InvalidInput
from hauberk.core.evidence import Subject
from hauberk.core.progress import Quiet
from hauberk.custody import sealing
from hauberk.custody.keys import open_keys
from hauberk.custody.keys.port import AES_256
from hauberk.lifecycle.controls import CONTROLS
from hauberk.lifecycle.controls import sealing as control
from hauberk.lifecycle.controls.sealing import ToSeal


@pytest.fixture
def keys(tmp_path, cheap_keys):
    opened = open_keys(cheap_keys(tmp_path / "keyring"), passphrase=lambda: b"correct horse", create=True)
    opened.create("data", AES_256)
    return opened


def run(inputs):
    entry = CONTROLS["sealing"]
    return entry.run(inputs, entry.make({}), rng=np.random.default_rng(0), task=Quiet())


def data(tmp_path, content=b"1,2\n3,4\n"):
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    return Subject("rows.csv", canonical.sha256(content)), path


def test_each_file_is_sealed_and_opens_to_its_bytes(tmp_path, keys):
    subject, path = data(tmp_path)
    found = run(ToSeal([(subject, path)], keys, "data", tmp_path, [lambda: True, lambda: False]))
    assert (found.metrics["sealed_files"], found.metrics["bytes"]) == (2.0, 8.0)
    sealed = found.files["rows.csv.sealed"]
    assert path.read_bytes() not in sealed.read_bytes()
    again = tmp_path / "opened"
    sealing.unseal_file(sealed, again, keys, associated=f"hauberk data {subject.sha256}".encode())
    assert again.read_bytes() == path.read_bytes()


def test_a_file_that_changes_meanwhile_is_refused(tmp_path, keys, monkeypatch):
    subject, path = data(tmp_path)

    def unseal_and_change(*arguments, **named):
        sealing.unseal_file(*arguments, **named)
        path.write_bytes(b"9,9\n")

    monkeypatch.setattr(
        control, "sealing", type("S", (), {"seal_file": sealing.seal_file, "unseal_file": unseal_and_change})
    )
    with pytest.raises(InvalidInput, match="changed while it was being sealed"):
        run(ToSeal([(subject, path)], keys, "data", tmp_path))
