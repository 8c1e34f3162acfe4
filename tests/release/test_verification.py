from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.seen import Seen
from hauberk.release.verification import check, verify


def failed_step(folder: Path, seen: Seen, **options) -> str:
    verification = check(folder, seen=seen, **options)
    assert not verification.ok
    assert verification.failed is not None
    return verification.failed.name


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("algorithm", ["ed25519", "ecdsa-p256"])
@pytest.mark.parametrize("sealed", [False, True])
def test_an_untouched_release_is_proven(tmp_path, seen, algorithm, sealed, make_maker):
    maker = make_maker(tmp_path / "m", algorithm)
    release = maker.release(sealed=sealed)
    verification = verify(release, key=maker.keys.signer("signing").public, seen=seen, keys=maker.keys)
    assert [step.number for step in verification.steps] == list(range(1, 10))
    assert verification.ok
    assert not verification.warnings


def test_without_a_pinned_key_it_warns(maker, seen):
    verification = verify(maker.release(), seen=seen)
    assert maker.keys.signer("signing").public.key_id in verification.warnings[0]


def test_the_key_may_be_pinned_by_its_id(maker, seen):
    release = maker.release()
    assert verify(release, key=maker.keys.signer("signing").public.key_id, seen=seen).ok
    assert failed_step(release, seen, key="0" * 64) == "signature"


def test_somebody_elses_release_is_refused_when_the_key_is_pinned(maker, tmp_path, seen, make_maker):
    other = make_maker(tmp_path / "other")
    with pytest.raises(NotProven, match=r"step 2 \(signature\)"):
        verify(other.release(), key=maker.keys.signer("signing").public, seen=seen)


def _flips(data: bytes, every: int):
    for offset in range(0, len(data), every):
        for bit in (0, 5):
            changed = bytearray(data)
            changed[offset] ^= 1 << bit
            yield offset, bytes(changed)


def _flip_everywhere(release: Path, seen: Seen, key, every: int) -> int:
    tried = 0
    for path in files_of(release):
        data = path.read_bytes()
        for offset, changed in _flips(data, every):
            path.write_bytes(changed)
            verification = check(release, key=key, seen=seen)
            assert not verification.ok, f"{path.name} at {offset}"
            tried += 1
        for changed in (data[:-1], data + b"\n", data + b" ", b""):
            path.write_bytes(changed)
            assert not check(release, key=key, seen=seen).ok, path.name
        path.write_bytes(data)
    assert check(release, key=key, seen=seen).ok
    return tried


@pytest.mark.parametrize("pinned", [True, False])
def test_one_changed_byte_anywhere_is_refused(maker, seen, pinned):
    release = maker.release()
    key = maker.keys.signer("signing").public if pinned else None
    assert _flip_everywhere(release, seen, key, every=53) > 100


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["ed25519", "ecdsa-p256"])
def test_every_changed_byte_is_refused(tmp_path, seen, algorithm, make_maker):
    maker = make_maker(tmp_path / "m", algorithm)
    assert _flip_everywhere(maker.release(sealed=True), seen, None, every=1) > 10_000


def test_every_missing_file_is_named(maker, seen):
    release = maker.release()
    for path in files_of(release):
        data = path.read_bytes()
        path.unlink()
        verification = check(release, seen=seen)
        assert not verification.ok
        path.write_bytes(data)


@pytest.mark.parametrize("name", ["extra", "attestations/00099.json", ".hidden", "keys/x.pem"])
def test_an_added_file_is_refused(maker, seen, name):
    release = maker.release()
    (release / name).write_bytes(b"x")
    assert failed_step(release, seen) == "files"


def test_an_empty_folder_a_link_and_a_pipe_are_refused(maker, seen):
    import os

    release = maker.release()
    (release / "empty").mkdir()
    assert failed_step(release, seen) == "layout"
    (release / "empty").rmdir()
    (release / "link").symlink_to("/etc/hostname")
    assert failed_step(release, seen) == "layout"
    (release / "link").unlink()
    os.mkfifo(release / "pipe")
    assert failed_step(release, seen) == "layout"


def test_a_file_replaced_by_a_link_to_the_same_bytes_is_refused(maker, seen, tmp_path):
    release = maker.release()
    shutil.move(release / "card.md", tmp_path / "card.md")
    (release / "card.md").symlink_to(tmp_path / "card.md")
    assert failed_step(release, seen) == "layout"


def test_swapped_attestations_are_refused(maker, seen):
    release = maker.release()
    first, second = sorted((release / "attestations").iterdir())
    a, b = first.read_bytes(), second.read_bytes()
    first.write_bytes(b)
    second.write_bytes(a)
    assert failed_step(release, seen) == "files"


def test_attestations_of_another_release_are_refused(maker, seen):
    one, two = maker.release("one"), maker.release("two", accuracy=0.9)
    for path in (one / "attestations").iterdir():
        path.unlink()
    for path in (two / "attestations").iterdir():
        shutil.copy(path, one / "attestations" / path.name)
    assert failed_step(one, seen) == "files"


def test_a_reencoded_manifest_is_refused(maker, seen):
    release = maker.release()
    manifest = release / "manifest.json"
    value = json.loads(manifest.read_bytes())
    escaped = manifest.read_text().replace("payloadType", "payload\\u0054ype")
    reordered = json.dumps(dict(reversed(value.items())), separators=(",", ":"))
    for text in (json.dumps(value, indent=2), reordered, escaped):
        manifest.write_text(text)
        assert failed_step(release, seen) == "layout"


def test_an_older_release_than_one_seen_is_a_roll_back(maker, seen):
    old, new = maker.release("old"), maker.release("new")
    assert verify(old, seen=seen).ok
    assert verify(new, seen=seen).ok
    assert verify(new, seen=seen).ok
    verification = check(old, seen=seen)
    assert verification.failed is not None
    assert verification.failed.name == "freshness"
    assert "roll-back" in verification.failed.detail


def test_a_forked_ledger_is_told_from_an_extended_one(maker, seen, tmp_path):
    first = maker.release("first")
    maker.ledger.close()
    shutil.copytree(maker.folder, tmp_path / "fork")
    assert verify(first, seen=seen).ok
    from hauberk.custody.ledger import Ledger

    logger = maker.keys.signer("ledger")
    maker.ledger = Ledger.open(maker.folder / "ledger", logger)
    assert verify(maker.release("honest"), seen=seen).ok
    maker.ledger.close()
    maker.ledger = Ledger.open(tmp_path / "fork" / "ledger", logger)
    maker.release("a", accuracy=0.7)
    fork = maker.release("b", accuracy=0.99)
    assert failed_step(fork, seen) == "freshness"


def test_freshness_that_cannot_be_remembered_is_a_warning(maker, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    verification = check(maker.release(), seen=Seen(blocked / "seen.json"))
    assert not verification.ok or any("remembered" in warning for warning in verification.warnings)


def test_a_verdict_that_its_evidence_does_not_bear_is_refused(maker, seen):
    assert failed_step(maker.release(accuracy=0.3, passed=True), seen) == "verdict"


def test_a_verdict_without_rules_is_refused(maker, seen):
    assert failed_step(maker.release(rulings=[], passed=True), seen) == "verdict"


def test_evidence_about_another_model_does_not_count(maker, seen):
    assert failed_step(maker.release(measured=b"a stronger model", passed=True), seen) == "verdict"


def test_a_sealed_model_opens_to_the_model_of_the_evidence(maker, seen):
    release = maker.release(sealed=True)
    assert not (release / "model.onnx").exists()
    assert b"a model" not in (release / "model.onnx.sealed").read_bytes()
    detail = verify(release, keys=maker.keys, seen=seen).steps[7].detail
    assert "1 opened and compared" in detail


def test_a_key_that_was_rotated_still_proves_older_releases(maker, seen):
    old = maker.release("old")
    old_key = maker.keys.signer("signing").public
    maker.keys.rotate("signing")
    new = maker.release("new")
    assert verify(old, key=old_key, seen=seen).ok
    assert verify(new, key=maker.keys.signer("signing").public, seen=seen).ok


def test_no_folder_is_bad_input_and_an_empty_one_is_not_proven(tmp_path, seen):
    with pytest.raises(InvalidInput, match="not a release"):
        verify(tmp_path / "absent", seen=seen)
    (tmp_path / "empty").mkdir()
    assert failed_step(tmp_path / "empty", seen) == "layout"


def test_a_signed_manifest_of_another_shape_is_refused_not_crashed(maker, seen):
    from hauberk.core.evidence import Subject
    from hauberk.custody import statements

    release = maker.release()
    hostile = [{}, {"signers": []}, {"signers": ["../../etc"]}, {"ledger": 7}, {"models": {}}, {"about": None}]
    for predicate in hostile:
        statement = statements.Statement((Subject("x", "0" * 64),), statements.RELEASE, predicate)
        (release / "manifest.json").write_bytes(statements.attest(statement, maker.keys.signer("signing")))
        assert failed_step(release, seen) == "signature"


@pytest.mark.parametrize("garbage", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"payload":1}', b"null"])
def test_a_garbage_manifest_is_refused_not_crashed(maker, seen, garbage):
    release = maker.release()
    (release / "manifest.json").write_bytes(garbage)
    assert not check(release, seen=seen).ok
