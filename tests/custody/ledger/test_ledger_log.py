"""The ledger's contract: what it records it proves, and what was done to it behind its back it names."""

from __future__ import annotations

import re
import shutil
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hauberk.core.disk import Disk
from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.ledger import Ledger, heads, merkle, notes, parse_vkey, tiles, tlogproof, vkey
from hauberk.custody.ledger.frontier import Frontier, extend
from hauberk.custody.ledger.merkle import EMPTY_ROOT
from hauberk.custody.ledger.notes import Checkpoint


@pytest.fixture
def log(place, origin, signer):
    with Ledger.create(place / "log", origin, signer) as opened:
        yield opened


def _leaves(count):
    return [merkle.leaf_hash(b"entry %d" % index) for index in range(count)]


def _path(index, leaves):
    """Return the inclusion proof as RFC 6962 §2.1.1 defines it, without any tile."""
    if len(leaves) == 1:
        return []
    split = merkle.split_point(len(leaves))
    if index < split:
        return [*_path(index, leaves[:split]), merkle.root_of(leaves[split:])]
    return [*_path(index - split, leaves[split:]), merkle.root_of(leaves[:split])]


def _subproof(old, leaves, whole):
    """Return the consistency proof as RFC 6962 §2.1.2 defines it."""
    if old == len(leaves):
        return [] if whole else [merkle.root_of(leaves)]
    split = merkle.split_point(len(leaves))
    if old <= split:
        return [*_subproof(old, leaves[:split], whole), merkle.root_of(leaves[split:])]
    return [*_subproof(old - split, leaves[split:], False), merkle.root_of(leaves[:split])]


# -- proofs against the definition ----------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_proofs_at_any_size_are_those_of_the_rfc(filled, data):
    log = Ledger.open(filled[0])
    size = data.draw(st.integers(1, log.size))
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    leaves = _leaves(size)
    root = merkle.root_of(leaves)
    assert log.root(size) == root
    proof = log.prove_inclusion(index, size)
    assert proof == _path(index, leaves)
    merkle.verify_inclusion(leaves[index], index, size, proof, root)
    proof = log.prove_consistency(old, size)
    assert proof == _subproof(old, leaves, True)
    merkle.verify_consistency(old, size, proof, log.root(old), root)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 300), max_size=6))
def test_however_entries_are_batched_the_frontier_and_files_are_the_same(counts):
    entries = [b"entry %d" % index for index in range(sum(counts))]
    frontier, start, files = Frontier(), 0, {}
    for count in counts:
        growth = extend(frontier, entries[start : start + count])
        frontier, start = growth.frontier, start + count
        files.update({(None, index, width): data for index, width, data in growth.bundles})
        files.update({(level, index, tile.width): tile.data() for level, index, tile in growth.tiles})
    once = extend(Frontier(), entries)
    assert frontier == once.frontier
    assert frontier.root() == merkle.root_of([merkle.leaf_hash(entry) for entry in entries])
    wanted = set(tiles.files_of(len(entries)))
    assert wanted <= files.keys()
    assert all(files[None, index, width] == data for index, width, data in once.bundles)
    assert all(files[level, index, tile.width] == tile.data() for level, index, tile in once.tiles)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_proof_with_one_bit_changed_or_one_hash_more_or_less_is_refused(filled, data):
    log = Ledger.open(filled[0])
    index = data.draw(st.integers(0, log.size - 1))
    proof, leaf = log.prove_inclusion(index), merkle.leaf_hash(log.entry(index))
    at, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    changed = (int.from_bytes(proof[at], "big") ^ (1 << bit)).to_bytes(32, "big")
    for bad in ([*proof[:at], changed, *proof[at + 1 :]], [*proof, proof[0]], proof[1:], [b"", *proof]):
        with pytest.raises(NotProven):
            merkle.verify_inclusion(leaf, index, log.size, bad, log.root())
    with pytest.raises(NotProven):
        merkle.verify_inclusion(leaf, (index + 1) % log.size, log.size, proof, log.root())


def test_bytes_cannot_move_between_the_halves_of_a_node():
    left, right = merkle.leaf_hash(b"a"), merkle.leaf_hash(b"b")
    root = merkle.node_hash(left, right)
    with pytest.raises(NotProven, match="32 bytes"):
        merkle.verify_inclusion(left + right[:1], 0, 2, [right[1:]], root)


def test_an_inner_node_is_not_an_entry():
    leaves = _leaves(4)
    fake = merkle.node_hash(leaves[0], leaves[1])
    assert merkle.leaf_hash(leaves[0] + leaves[1]) != fake


# -- recording ------------------------------------------------------------------------------------------------


def test_entries_come_back_in_order_with_their_indices_also_after_reopening(log, signer):
    assert log.append(b"one") == 0
    assert log.append_many([b"two", b"", b"x" * 65535]) == [1, 2, 3]
    assert log.append_many([]) == []
    log.close()
    with Ledger.open(log.folder, signer) as again:
        assert list(again.entries()) == [b"one", b"two", b"", b"x" * 65535]
        assert list(again.entries(1, 2)) == [b"two"]
        assert again.append(b"five") == 4
        assert again.entry(4) == b"five"


def test_what_a_bundle_cannot_hold_is_refused_and_nothing_is_recorded(log):
    with pytest.raises(InvalidInput, match="65535"):
        log.append_many([b"fine", b"x" * 65536])
    with pytest.raises(InvalidInput, match="str"):
        log.append("text")
    assert log.size == 0


def test_a_reader_needs_no_lock_and_cannot_append(log):
    log.append(b"one")
    reader = Ledger.open(log.folder)
    with pytest.raises(InvalidInput, match="reading only"):
        reader.append(b"two")


def test_creating_over_a_ledger_or_its_remains_is_refused(log, origin, signer):
    log.append(b"one")
    log.close()
    with pytest.raises(InvalidInput, match="already"):
        Ledger.create(log.folder, origin, signer)
    (log.folder / "checkpoint").unlink()
    with pytest.raises(NotProven, match="restore"):
        Ledger.create(log.folder, origin, signer)
    with pytest.raises(NotProven, match="missing"):
        Ledger.open(log.folder)
    with pytest.raises(InvalidInput, match="no ledger"):
        Ledger.open(log.folder / "elsewhere")


@pytest.mark.parametrize("bad", ["", "two words", "a+b", "tab\tbed", "line\nbreak"])
def test_a_name_that_no_note_can_carry_is_refused(place, signer, bad):
    with pytest.raises(InvalidInput, match="no name"):
        Ledger.create(place / "log", bad, signer)


def test_many_callers_get_each_its_own_index(log, signer):
    found = {}

    def work(name):
        for turn in range(25):
            entry = b"%d-%d" % (name, turn)
            found[log.append(entry)] = entry

    together([threading.Thread(target=work, args=(name,)) for name in range(16)])
    assert sorted(found) == list(range(400))
    assert [found[index] for index in range(400)] == list(log.entries())
    assert log.audit(signer.public).size == 400


def test_callers_that_wait_share_one_commit(place, origin, signer):
    class Holding(Disk):
        """Holds the first commit up until the other callers stand in line, and counts the checkpoints."""

        log = None
        checkpoints = 0

        def rename(self, source, target):
            while self.log is not None and self.log.size == 0 and self.log._group.waiting < 15:
                time.sleep(0.001)
            self.checkpoints += target.name == "checkpoint"
            super().rename(source, target)

    disk = Holding()
    with Ledger.create(place / "log", origin, signer, disk=disk) as log:
        disk.log, before = log, disk.checkpoints
        together([threading.Thread(target=log.append, args=(b"%d" % name,)) for name in range(16)])
        assert log.size == 16
        assert disk.checkpoints - before == 2


def together(threads):
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_superseded_partial_files_do_not_pile_up(log, signer):
    for index in range(300):
        log.append(b"%d" % index)
    files = [file for file in (log.folder / "tile").rglob("*") if file.is_file()]
    assert len(files) == 5
    assert log.audit(signer.public).ignored == 0


# -- reading while it grows -----------------------------------------------------------------------------------


def test_a_reader_of_an_older_checkpoint_goes_on_reading_it(log):
    log.append_many([b"entry %d" % index for index in range(5)])
    reader = Ledger.open(log.folder)
    for count in (3, 260):
        log.append_many([b"more"] * count)
        assert reader.size == 5
        assert list(reader.entries()) == [b"entry %d" % index for index in range(5)]
        merkle.verify_inclusion(merkle.leaf_hash(b"entry 3"), 3, 5, reader.prove_inclusion(3), reader.root())
    assert reader.refresh() == 268
    assert reader.entry(267) == b"more"


def test_readers_never_stumble_over_a_busy_writer(log, signer):
    stop, failures = threading.Event(), []

    def read():
        try:
            reader = Ledger.open(log.folder, publics=[signer.public])
            while not stop.is_set():
                size = reader.refresh()
                if size:
                    merkle.verify_inclusion(
                        merkle.leaf_hash(reader.entry(size - 1)),
                        size - 1,
                        size,
                        reader.prove_inclusion(size - 1),
                        reader.root(),
                    )
                reader.audit(signer.public)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for index in range(400):
        log.append(b"%d" % index)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures


# -- tampering ------------------------------------------------------------------------------------------------


def _covered(size):
    return ["checkpoint", *(tiles.path(*file) for file in tiles.files_of(size))]


def test_a_changed_byte_in_any_file_is_found_and_the_file_named(filled, tmp_path):
    source, signer, _ = filled
    names = _covered(700)
    assert len(names) == 1 + 3 + 3 + 1
    for name in names:
        original = (source / name).read_bytes()
        for at in (0, len(original) // 2, len(original) - 1):
            folder = tmp_path / "log"
            shutil.copytree(source, folder)
            (folder / name).write_bytes(original[:at] + bytes([original[at] ^ 1]) + original[at + 1 :])
            with pytest.raises(NotProven, match=re.escape(str(folder / name))):
                Ledger.open(folder, publics=[signer.public]).audit(signer.public)
            shutil.rmtree(folder)


def test_a_file_cut_short_lengthened_or_gone_is_found_and_named(filled, tmp_path):
    source, signer, _ = filled
    for name in _covered(700)[1:]:
        original = (source / name).read_bytes()
        for changed in (original[:-1], original + b"\0", original + bytes(32), b"", None):
            folder = tmp_path / "log"
            shutil.copytree(source, folder)
            (folder / name).unlink()
            if changed is not None:
                (folder / name).write_bytes(changed)
            with pytest.raises(NotProven, match=re.escape(str(folder / name))):
                Ledger.open(folder).audit(signer.public)
            shutil.rmtree(folder)


def test_an_exchanged_entry_is_named_by_its_index_and_never_returned(filled, tmp_path):
    source, signer, _ = filled
    folder = tmp_path / "log"
    shutil.copytree(source, folder)
    file = folder / "tile/entries/001"
    file.write_bytes(file.read_bytes().replace(b"entry 300", b"entry 3OO"))
    log = Ledger.open(folder)
    for call in (lambda: log.entry(300), lambda: list(log.entries()), lambda: log.audit(signer.public)):
        with pytest.raises(NotProven, match="entry 300 as it was logged"):
            call()
    assert log.entry(5) == b"entry 5"


@pytest.mark.parametrize("name", ["tile/0/002.p/188", "tile/1/000.p/2", "tile/entries/002.p/188", "checkpoint"])
def test_nothing_is_appended_to_a_log_that_was_tampered_with(filled, tmp_path, name):
    source, signer, _ = filled
    folder = tmp_path / "log"
    shutil.copytree(source, folder)
    data = bytearray((folder / name).read_bytes())
    data[40] ^= 1
    (folder / name).write_bytes(bytes(data))
    with pytest.raises(NotProven, match="altered"):
        Ledger.open(folder, signer)


def test_another_key_neither_writes_nor_audits(filled, another_signer, tmp_path):
    source, _, _ = filled
    folder = tmp_path / "log"
    shutil.copytree(source, folder)
    for call in (
        lambda: Ledger.open(folder, another_signer),
        lambda: Ledger.open(folder, publics=[another_signer.public]),
        lambda: Ledger.open(folder).audit(another_signer.public),
    ):
        with pytest.raises(NotProven, match="not signed by a known key"):
            call()


def test_an_audit_for_one_log_does_not_accept_another_of_the_same_key(filled):
    source, signer, _ = filled
    with pytest.raises(NotProven, match=r"ledger\.example/test"):
        Ledger.open(source).audit(signer.public, origin="ledger.example/other")


# -- roll-back and fork ---------------------------------------------------------------------------------------


def test_the_log_extends_every_checkpoint_it_ever_signed(filled):
    source, signer, checkpoints = filled
    for checkpoint in checkpoints:
        Ledger.open(source).check_extends(checkpoint, signer.public)


def test_a_roll_back_to_an_older_checkpoint_is_detected(filled, tmp_path):
    source, signer, checkpoints = filled
    folder = tmp_path / "log"
    with Ledger.create(folder, "ledger.example/test", signer) as log:
        log.append_many(list(Ledger.open(source).entries(0, 256)))
    shutil.copytree(folder, tmp_path / "backup")
    shutil.rmtree(folder)
    shutil.copytree(source, folder)
    reader = Ledger.open(folder)
    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    rolled_back = Ledger.open(folder)
    assert rolled_back.audit(signer.public).size == 256  # by itself it is a sound log
    with pytest.raises(NotProven, match=r"roll-back.*700.*only 256"):
        rolled_back.check_extends(checkpoints[-1], signer.public)
    with pytest.raises(NotProven, match="roll-back"):
        reader.refresh()


@pytest.mark.parametrize("total", [700, 900])
def test_a_fork_is_detected(filled, tmp_path, origin, total):
    source, signer, checkpoints = filled
    folder = tmp_path / "log"
    shutil.copytree(source, folder)
    reader = Ledger.open(folder)
    shutil.rmtree(folder)
    with Ledger.create(folder, origin, signer) as forked:  # the key's holder writes another history
        forked.append_many([b"entry %d" % index for index in range(600)])
        forked.append_many([b"other %d" % index for index in range(600, total)])
        forked.check_extends(checkpoints[6], signer.public)  # up to 257 both are the same
        with pytest.raises(NotProven, match=r"fork: .*700"):
            forked.check_extends(checkpoints[-1], signer.public)
    with pytest.raises(NotProven, match="fork"):
        reader.refresh()


def test_a_checkpoint_of_another_key_is_no_evidence_of_a_roll_back(filled, another_signer, origin):
    source, signer, _ = filled
    forged = notes.sign(notes.Checkpoint(origin, 10**6, bytes(32)).text(), origin, another_signer)
    with pytest.raises(NotProven, match="the checkpoint seen before"):
        Ledger.open(source).check_extends(forged, signer.public)


def test_after_a_key_rotation_the_older_key_opens_and_the_newer_signs(filled, another_signer, tmp_path):
    source, signer, checkpoints = filled
    folder = tmp_path / "log"
    shutil.copytree(source, folder)
    with Ledger.open(folder, another_signer, publics=[signer.public]) as log:
        assert log.append(b"after the rotation") == 700
        assert log.audit(another_signer.public).size == 701
        with pytest.raises(NotProven):
            log.audit(signer.public)
    assert merkle.verify_consistency(700, 701, log.prove_consistency(700), log.root(700), log.root()) is None
    assert notes.parse_checkpoint(notes.unverified_text(checkpoints[-1])).root == log.root(700)


# -- notes and proof files ------------------------------------------------------------------------------------


def test_a_proof_file_needs_nothing_but_entry_and_key(filled, signer, another_signer, origin):
    log = Ledger.open(filled[0])
    key = parse_vkey(vkey(origin, signer.public))
    proof, checkpoint = tlogproof.open(log.tlog_proof(300), b"entry 300", [key])
    assert (proof.index, checkpoint.size, checkpoint.root) == (300, 700, log.root())
    with pytest.raises(NotProven):
        tlogproof.open(log.tlog_proof(300), b"entry 301", [key])
    with pytest.raises(NotProven, match="known key"):
        tlogproof.open(log.tlog_proof(300), b"entry 300", [notes.VerifierKey(origin, another_signer.public)])


def test_any_changed_byte_of_a_proof_file_is_refused(filled, signer, origin):
    log = Ledger.open(filled[0])
    text, key = log.tlog_proof(699), notes.VerifierKey(origin, signer.public)
    for at in range(len(text)):
        changed = text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]
        with pytest.raises(NotProven):
            tlogproof.open(changed, b"entry 699", [key])


def test_a_checkpoint_signed_under_one_name_is_not_of_another_log(signer):
    text = notes.Checkpoint("victim.example/log", 1, merkle.leaf_hash(b"x")).text()
    note = notes.sign(text, "other.example/log", signer)
    file = tlogproof.encode(0, [], note)
    with pytest.raises(NotProven, match=r"victim\.example"):
        tlogproof.open(file, b"x", [notes.VerifierKey("other.example/log", signer.public)])


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_and_nothing_else_happens(data):
    for call in (notes.unverified_text, notes.parse_checkpoint, tlogproof.parse):
        with pytest.raises(NotProven):
            call(data)


@pytest.mark.parametrize("size", ["01", "-1", "+1", "1 ", "", "1e3", "\N{ARABIC-INDIC DIGIT ONE}"])
def test_a_checkpoint_size_has_one_spelling(size):
    root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    with pytest.raises(NotProven):
        notes.parse_checkpoint(f"log.example\n{size}\n{root}\n".encode())


def test_a_root_has_one_spelling():
    for root in ("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"):
        with pytest.raises(NotProven):
            notes.parse_checkpoint(f"log.example\n0\n{root}\n".encode())


@pytest.mark.parametrize(
    ("index", "path"), [(0, "000"), (67, "067"), (1000, "x001/000"), (1234067, "x001/x234/067")]
)
def test_tile_names_are_those_of_the_specification(index, path):
    assert tiles.number(index) == path
    assert tiles.path(0, index, 112) == f"tile/0/{path}.p/112"
    assert tiles.path(None, index) == f"tile/entries/{path}"


def test_checkpoints_of_two_logs_are_never_one_history():
    root = bytes(32)
    with pytest.raises(NotProven, match="two logs"):
        heads.check_consistent(Checkpoint("a.example/x", 1, root), Checkpoint("b.example/x", 1, root), [])


def test_an_empty_checkpoint_with_another_root_than_the_empty_one_is_refused(log):
    log.append(b"entry")
    new = Checkpoint(log.origin, 1, log.root())
    heads.check_consistent(Checkpoint(log.origin, 0, EMPTY_ROOT), new, [])
    with pytest.raises(NotProven):
        heads.check_consistent(Checkpoint(log.origin, 0, b"\1" * 32), new, [])


def test_a_checkpoint_by_an_older_key_still_shows_a_roll_back(log, signer, another_signer):
    log.append(b"entry")
    old = log.checkpoint()
    with Ledger.open(log.folder, another_signer, publics=[another_signer.public, signer.public]) as rotated:
        rotated.append(b"by the newer key")
        rotated.check_extends(old, another_signer.public, signer.public)
        with pytest.raises(NotProven, match="not a checkpoint of this key"):
            rotated.check_extends(old, another_signer.public)


def test_a_planted_file_that_is_too_large_is_not_read_whole(tmp_path):
    planted = tmp_path / "checkpoint"
    planted.write_bytes(b"x" * (notes.MOST_BYTES + (1 << 20)))
    assert len(heads.read_small(planted)) <= notes.MOST_BYTES + 4096
