"""Published vectors of RFC 6962 proofs, C2SP notes, checkpoints, tiles and proofs. See the README beside them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from hauberk.core.errors import InvalidInput, NotProven
from hauberk.custody.ledger import Ledger, check_consistent, merkle, notes, parse_vkey, tiles, tlogproof
from hauberk.custody.ledger.frontier import Frontier, extend
from hauberk.custody.ledger.tree import load

ROOT = Path(__file__).parents[2] / "vectors"


def _hash(text):
    return base64.b64decode(text)


def _hashes(values):
    return [_hash(value) for value in values or []]


def _verify_inclusion(case):
    merkle.verify_inclusion(
        _hash(case["leafHash"]), case["leafIdx"], case["treeSize"], _hashes(case["proof"]), _hash(case["root"])
    )


def _verify_consistency(case):
    merkle.verify_consistency(
        case["size1"], case["size2"], _hashes(case["proof"]), _hash(case["root1"]), _hash(case["root2"])
    )


def _verify_subtree_inclusion(case):
    span = (case["start"], case["end"])
    merkle.verify_subtree_inclusion(
        _hash(case["leafHash"]), case["leafIdx"], span, _hashes(case["proof"]), _hash(case["root"])
    )


def _verify_subtree_consistency(case):
    proof, roots = _hashes(case["proof"]), (_hash(case["root1"]), _hash(case["root2"]))
    merkle.verify_subtree_consistency(case["start"], case["end"], case["size"], proof, *roots)


FAMILIES = {
    "inclusion": _verify_inclusion,
    "consistency": _verify_consistency,
    "subtreeinclusion": _verify_subtree_inclusion,
    "subtreeconsistency": _verify_subtree_consistency,
}


def test_the_518_proof_vectors_are_all_of_the_four_families(vectors):
    folder = vectors / "merkle/rfc6962-proofs"
    assert sum(1 for _ in folder.rglob("*.json")) == 518
    assert {child.name for child in folder.iterdir()} == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_proof_vector_is_refused_exactly_when_it_wants_an_error(either, refused, family):
    folder = either / "merkle/rfc6962-proofs"
    if folder.joinpath(f"{family}.json").exists():  # ours are one file, the published ones a file each
        cases = json.loads((folder / f"{family}.json").read_text())
    else:
        cases = [json.loads(file.read_text()) for file in sorted((folder / family).rglob("*.json"))]
    assert {case["wantErr"] for case in cases} == {True, False}
    assert not [case for case in cases if refused(FAMILIES[family], case) != case["wantErr"]]


def test_the_classic_eight_leaves_give_the_published_nodes_and_roots(either):
    case = json.loads((either / "merkle/rfc6962-tree.json").read_text())
    leaves = [bytes.fromhex(value) for value in case["leaf_inputs_hex"]]
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    for size, root in enumerate(case["root_hashes_hex_by_tree_size"]):
        assert merkle.root_of(hashes[:size]).hex() == root
        assert extend(Frontier(), leaves[:size]).frontier.root().hex() == root
    tile = tiles.BLANK.grow(b"".join(hashes))
    for height, row in enumerate(case["node_hashes_hex"]):
        assert [tile.node(height, index).hex() for index in range(len(row))] == row


def test_our_logs_have_the_committed_roots(made_logs):
    assert made_logs[1] == json.loads((ROOT / "merkle/roots.json").read_text())


def test_our_large_log_has_the_root_that_the_go_tools_computed(made_logs, vectors):
    published = (vectors / "merkle/tlog-generated-70000/checkpoint").read_text()
    assert published.splitlines()[2] == made_logs[1]["large"]


def _tessera(logs):
    folder = logs / "tlog-tessera-15"
    return folder, parse_vkey((folder / "log.vkey.txt").read_text())


def test_each_tessera_checkpoint_is_signed_and_its_entries_give_its_root(logs):
    folder, key = _tessera(logs)
    for size in range(16):
        note = notes.open_note((folder / f"checkpoint.{size}").read_bytes(), [key])
        checkpoint = notes.parse_checkpoint(note.text)
        assert (checkpoint.size, checkpoint.origin) == (size, key.name)
        entries = tiles.read_bundle((folder / f"tile/entries/000.p/{size}").read_bytes()) if size else []
        assert merkle.root_of([merkle.leaf_hash(entry) for entry in entries]) == checkpoint.root


def test_every_pair_of_tessera_checkpoints_is_consistent(logs):
    folder, key = _tessera(logs)
    heads = [
        notes.parse_checkpoint(notes.open_note((folder / f"checkpoint.{size}").read_bytes(), [key]).text)
        for size in range(16)
    ]
    for new in heads:
        tree = load(folder, new.size, new.root)
        for old in heads[: new.size + 1]:
            proof = tree.consistency(old.size, new.size) if old.size else []
            check_consistent(old, new, proof)
            if old.size < new.size:
                with pytest.raises(NotProven, match="roll-back"):
                    check_consistent(new, old, proof)


def test_the_tessera_log_audits_as_a_ledger(logs):
    folder, key = _tessera(logs)
    found = Ledger.open(folder, publics=[key.public]).audit(key.public, origin=key.name)
    assert (found.size, found.files, found.ignored) == (15, 3, 28)  # the narrower partial files are not covered


def test_a_mirrors_cosignature_holds_over_its_time_and_the_tiles_give_the_root(logs):
    folder = logs / "tlog-sunlight-mirror-300"
    key = parse_vkey((folder / "mirror.vkey.txt").read_text())
    data = (folder / "checkpoint").read_bytes()
    note = notes.open_note(data, [key])
    checkpoint = notes.parse_checkpoint(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("rome2026h1.example.org", 300)
    assert [(held.key, held.time) for held in note.signatures] == [(key, 1767139200)]
    tree = load(folder, checkpoint.size, checkpoint.root)
    leaf = tree.node(0, 299)
    merkle.verify_inclusion(leaf, 299, 300, tree.inclusion(299, 300), checkpoint.root)
    merkle.verify_inclusion(tree.node(0, 7), 7, 300, tree.inclusion(7, 300), checkpoint.root)
    with pytest.raises(NotProven, match=r"entries/000 is missing"):
        tree.entry(0)  # upstream publishes no entries
    line = data.decode().splitlines()[-1]
    moved = bytearray(base64.b64decode(line.rsplit(" ", 1)[1]))
    moved[11] ^= 1  # the last byte of the time stamp
    later = data.decode().replace(line.rsplit(" ", 1)[1], base64.b64encode(bytes(moved)).decode()).encode()
    with pytest.raises(NotProven, match="is wrong: the text was altered"):
        notes.open_note(later, [key])


@pytest.mark.parametrize("number", [1, 2])
def test_a_witness_cosignature_holds_and_other_signatures_are_passed_over(either, number):
    folder = either / "merkle/notes"
    key = parse_vkey((folder / f"cosigned-checkpoint-{number}.witness-vkey.txt").read_text())
    note = notes.open_note((folder / f"cosigned-checkpoint-{number}.txt").read_bytes(), [key])
    assert notes.parse_checkpoint(note.text).size == 300
    assert [held.key for held in note.signatures] == [key]
    assert note.signatures[0].time is not None
    with pytest.raises(NotProven, match="not signed by a known key"):
        notes.open_note(
            (folder / f"cosigned-checkpoint-{number}.txt").read_bytes(),
            [notes.VerifierKey(key.name, key.public, notes.SIGNATURE)],
        )


def test_an_rfc_6962_signature_is_not_read_as_ed25519(either, signer):
    folder = either / "merkle/notes"
    data = (folder / "cosigned-checkpoint-1.txt").read_bytes()
    assert json.loads((folder / "cosigned-checkpoint-1.ct-log.json").read_text())["key"].startswith("MFkw")
    for kind in (notes.SIGNATURE, notes.COSIGNATURE):
        with pytest.raises(NotProven, match="not signed by a known key"):
            notes.open_note(data, [notes.VerifierKey("rome2026h1.example.org", signer.public, kind)])
    material = bytes([5]) + signer.public.raw
    key_id = hashlib.sha256(b"rome2026h1.example.org\n" + material).hexdigest()[:8]
    with pytest.raises(InvalidInput, match="type 1 or 4"):
        parse_vkey(f"rome2026h1.example.org+{key_id}+{base64.b64encode(material).decode()}")


def test_the_printed_signed_note_verifies_and_the_other_printed_examples_parse(vectors):
    folder = vectors / "merkle/notes"
    key = parse_vkey((folder / "c2sp-signed-note-example.vkey.txt").read_text())
    note = notes.open_note((folder / "c2sp-signed-note-example.txt").read_bytes(), [key])
    assert note.text == b"This is an example message.\n"
    assert str(key) == (folder / "c2sp-signed-note-example.vkey.txt").read_text().strip()
    poem = notes.unverified_text((folder / "c2sp-signed-note-unicode.txt").read_bytes()).decode()
    assert poem.endswith("di sole:\n\ned è subito sera.\n")
    for name in ("checkpoint", "cosigned-checkpoint"):
        text = notes.unverified_text((folder / f"c2sp-{name}-example.txt").read_bytes())
        checkpoint = notes.parse_checkpoint(text)
        assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
        assert checkpoint.text() == text


def test_the_printed_proof_is_a_shape_that_parses_once_its_elisions_are_filled(vectors):
    shape = (vectors / "merkle/notes/c2sp-tlog-proof-shape.txt").read_text()
    with pytest.raises(NotProven):
        tlogproof.parse(shape.encode())
    filled = re.sub(r"— (\S+) .*", "— \\1 " + base64.b64encode(bytes(68)).decode(), shape)
    filled = re.sub("extra .*", "extra " + base64.b64encode(b"age-v1.2.1").decode(), filled)
    proof = tlogproof.parse(filled.encode())
    assert (proof.index, len(proof.hashes), proof.extra) == (73894, 5, b"age-v1.2.1")
    assert notes.parse_checkpoint(notes.unverified_text(proof.checkpoint)).size == 109482
    assert tlogproof.encode(proof.index, proof.hashes, proof.checkpoint, proof.extra) == filled.encode()


def test_a_proof_laid_out_byte_by_byte_opens_and_is_what_we_write():
    case = json.loads((ROOT / "merkle/notes/tlog-proof.json").read_text())
    whole, entry = case["proof"].encode(), bytes.fromhex(case["entry_hex"])
    proof, checkpoint = tlogproof.open(whole, entry, [parse_vkey(case["vkey"])])
    assert (proof.index, proof.extra, checkpoint.size) == (200, b"twin", 300)
    assert tlogproof.encode(proof.index, proof.hashes, proof.checkpoint, proof.extra) == whole
    with pytest.raises(NotProven):
        tlogproof.open(whole, entry + b"!", [parse_vkey(case["vkey"])])


def test_go_sumdb_notes_open_or_are_refused_as_go_does(either):
    case = json.loads((either / "merkle/notes/go-sumdb-note.json").read_text())
    keys = [parse_vkey(text) for text in case["verifier_keys"].values()]
    for count, text in enumerate(case["good"], 1):
        assert len(notes.open_note(text.encode(), keys).signatures) == count
    with pytest.raises(NotProven, match=f"signature of {next(iter(case['verifier_keys']))}"):
        notes.open_note(case["wrong_signature"].encode(), keys)
    for bad in case["malformed"]:
        with pytest.raises(NotProven):
            notes.open_note(bad["note"].encode(), keys)
    for text in case["bad_verifier_keys"]:
        with pytest.raises(InvalidInput):
            parse_vkey(text)


def _generated(logs):
    folder = logs / "tlog-generated-70000"
    return folder, parse_vkey((folder / "log.vkey.txt").read_text())


def _expected(index):
    return hashlib.sha256(str(index).encode()).digest()[: index % 32]


def test_the_log_of_70000_entries_audits_and_holds_what_its_rule_says(logs):
    folder, key = _generated(logs)
    log = Ledger.open(folder, publics=[key.public])
    assert log.audit(key.public, origin=key.name).size == 70000
    assert all(entry == _expected(index) for index, entry in enumerate(log.entries()))


def test_our_appends_write_the_same_tiles_as_the_go_tools(logs, place, signer):
    folder, key = _generated(logs)
    with Ledger.create(place / "log", key.name, signer) as log:
        log.append_many([_expected(index) for index in range(40000)])
        log.append_many([_expected(index) for index in range(40000, 70000)])
        root = log.root()
    assert root == Ledger.open(folder).root()
    ours = {file.relative_to(place / "log"): file for file in (place / "log/tile").rglob("*") if file.is_file()}
    theirs = {file.relative_to(folder): file for file in (folder / "tile").rglob("*") if file.is_file()}
    assert ours.keys() == theirs.keys()
    assert all(ours[name].read_bytes() == theirs[name].read_bytes() for name in ours)


def test_inclusion_in_the_log_of_70000_entries_at_any_index(logs):
    folder, key = _generated(logs)
    log = Ledger.open(folder)
    for index in [*range(0, 70000, 997), 255, 256, 65535, 65536, 69887, 69888, 69999]:
        proof, checkpoint = tlogproof.open(log.tlog_proof(index), _expected(index), [key])
        assert (proof.index, checkpoint.size) == (index, 70000)
        with pytest.raises(NotProven):
            tlogproof.open(log.tlog_proof(index), _expected(index) + b"!", [key])


def test_the_log_of_70000_entries_extends_each_of_its_checkpoints(logs):
    folder, key = _generated(logs)
    log = Ledger.open(folder)
    older = sorted(folder.glob("checkpoint.*"))
    assert len(older) == 8
    for file in older:
        log.check_extends(file.read_bytes(), key.public)
        checkpoint = notes.parse_checkpoint(notes.unverified_text(file.read_bytes()))
        assert log.root(checkpoint.size) == checkpoint.root


@pytest.mark.parametrize(
    "name", ["tile/0/017", "tile/1/000", "tile/2/000.p/1", "tile/entries/200", "tile/entries/273.p/112"]
)
def test_a_file_of_the_log_of_70000_entries_that_is_gone_or_changed_is_named(logs, tmp_path, name):
    source, key = _generated(logs)
    folder = tmp_path / "log"
    shutil.copytree(source, folder)
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:100] + bytes([data[100 % len(data)] ^ 1]) + data[101:])
    with pytest.raises(NotProven, match=re.escape(str(folder / name)) + " was altered"):
        Ledger.open(folder).audit(key.public)
    (folder / name).unlink()
    with pytest.raises(NotProven, match=re.escape(str(folder / name)) + " is missing"):
        Ledger.open(folder).audit(key.public)
