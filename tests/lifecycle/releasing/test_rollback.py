"""Going back to an earlier release: verified first, signed, seen by every verifier, whole at every moment."""

from __future__ import annotations

import errno
import json
import os
import shutil

import pytest

import hauberk
from hauberk.cli.main import run
from hauberk.core.disk import Disk
from hauberk.core.errors import HauberkError, InvalidInput, NotProven, Unavailable
from hauberk.custody.seen import Seen
from hauberk.lifecycle.releasing.rollback import rollback
from hauberk.release.verification import check

DECLARED = """
[[threats]]
kind = "poisoning"
share = 0.05

[gate]
clean_accuracy = ">= 0.8"

[release]
seal = true
"""


@pytest.fixture(scope="module")
def released(tmp_path_factory, cells_project, cheap_keys, quiet):
    """A project with three releases of three models, made once and copied for each test."""
    base = tmp_path_factory.mktemp("made")
    for number, strength in enumerate((1.0, 0.1, 10.0), start=1):
        folder = cells_project(base / "project", DECLARED, fit=f"C={strength}")
        cheap_keys(folder / ".hauberk" / "keyring")
        assert hauberk.protect(folder, **quiet(folder)).allowed
        shutil.copytree(folder / "release", base / f"kept{number}")
    return base


@pytest.fixture
def world(released, tmp_path):
    place = tmp_path / "world"
    shutil.copytree(released, place)
    return place


def back(world, **options):
    options = {"passphrase": lambda: b"correct horse", "seen": Seen(world / "project" / "seen")} | options
    return rollback(world / "project", **options)


def served(world):
    manifest = check(world / "project" / "release", seen=Seen(world / "another")).manifest
    assert manifest is not None
    return {model.name: model.sha256 for model in manifest.models}["model.onnx"]


def test_the_earlier_model_is_served_again_and_verifiers_see_that_it_was_meant(world):
    verifier = Seen(world / "verifier")
    newest = hauberk.verify(world / "project" / "release", seen=verifier)
    done = back(world, reason="it reads stop signs as yield signs")
    assert (done.target.number, done.left.number, done.made.number) == (2, 3, 4)
    assert done.made.model == done.target.model != done.left.model
    proven = hauberk.verify(done.release, key=done.key_id, seen=verifier)
    assert proven.ok
    assert "rolled back on purpose to release 2" in proven.steps[-1].detail
    assert "it reads stop signs" in proven.steps[-1].detail
    assert newest.manifest.restores is None
    # The old folder of the same model stays refused: only the signed return is fresh.
    old = check(world / "kept2", seen=verifier)
    assert old.failed.name == "freshness"


def test_the_release_before_is_counted_by_models_and_any_can_be_named(world):
    assert back(world).target.number == 2
    assert back(world).target.number == 1  # release 4 is release 2 again
    assert back(world, to=3).target.number == 3
    assert back(world, to=4).target.number == 2
    with pytest.raises(InvalidInput, match="no release 9"):
        back(world, to=9)
    back(world, to=1)
    with pytest.raises(InvalidInput, match="no release came before release 1"):
        back(world)


def test_it_takes_less_than_a_second_of_work(world):
    assert back(world).seconds < 10  # a loaded machine; benchmarks tell the figure


def test_the_main_job_leaves_what_was_put_there_on_purpose(world, quiet):
    done = back(world, to=1)
    again = hauberk.protect(world / "project", **quiet(world / "project"))
    assert all(step.cached for step in again.steps)
    assert served(world) == done.target.model


def test_a_damaged_target_changes_nothing(world):
    before = served(world)
    first = json.loads(run_list(world))["releases"][0]["model"]
    store = world / "project" / ".hauberk" / "store" / "sealed" / first[:2] / first[2:]
    store.write_bytes(b"another model")
    with pytest.raises(NotProven, match="damaged"):
        back(world, to=1)
    assert served(world) == before


def run_list(world):
    import contextlib
    import io

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        os.environ["HAUBERK_PASSPHRASE"] = "correct horse"
        os.environ["HAUBERK_STATE"] = str(world / "project" / "seen")
        try:
            assert run(["rollback", str(world / "project"), "--list", "--json"]) == 0
        finally:
            del os.environ["HAUBERK_PASSPHRASE"], os.environ["HAUBERK_STATE"]
    return out.getvalue()


def test_a_release_that_is_gone_or_foreign_is_healed_by_naming_one(world):
    shutil.rmtree(world / "project" / "release")
    with pytest.raises(InvalidInput, match="not on record"):
        back(world)
    assert back(world, to=3).left is None
    (world / "project" / "release" / "manifest.json").write_text("{}")
    assert back(world, to=3).left is None
    assert check(world / "project" / "release", seen=Seen(world / "x")).ok


def test_before_any_release_there_is_nothing_to_return_to(tmp_path, cells_project, cheap_keys):
    cells_project(tmp_path, DECLARED)
    cheap_keys(tmp_path / ".hauberk" / "keyring")
    with pytest.raises(InvalidInput, match="no release"):
        rollback(tmp_path, passphrase=lambda: b"correct horse", seen=Seen(tmp_path / "seen"))


def test_a_note_that_does_not_speak_of_this_model_is_refused(world):
    """The owner's own key cannot pass an earlier model off as meant without an event that names it."""
    from hauberk.custody import dsse, statements
    from hauberk.project.opening import open_workshop

    release = world / "project" / "release"
    place, seen = world / "project", Seen(world / "project" / "seen")
    with open_workshop(place, passphrase=lambda: b"correct horse", seen=seen) as workshop:
        told = statements.parse(dsse.decode((release / "manifest.json").read_bytes(), what="m").payload)
        entry = min(int(name.stem) for name in (release / "attestations").iterdir())
        changed = statements.Statement(
            told.subjects, told.predicate_type, dict(told.predicate) | {"restores": entry}
        )
        (release / "manifest.json").write_bytes(statements.attest(changed, workshop.signer))
    failed = check(release, seen=Seen(world / "verifier")).failed
    assert failed.name == "freshness"
    assert "does not" in failed.detail


@pytest.mark.parametrize("after", [0, 3, 9, 20, 45, 60, 66, 72])
def test_a_disk_that_fails_anywhere_leaves_a_whole_release(world, full_disk, after):
    before = served(world)
    try:
        done = back(world, to=1, disk=full_disk(after))
    except (Unavailable, HauberkError):
        assert check(world / "project" / "release", seen=Seen(world / "v")).ok
        assert served(world) in {before, json.loads(run_list(world))["releases"][0]["model"]}
        done = back(world, to=1)
    assert served(world) == done.target.model
    assert not list((world / "project").glob(".release*"))


class NoExchange(Disk):
    def exchange(self, one, other):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(one), None, str(other))


def test_a_file_system_without_exchange_takes_two_renames(world):
    done = back(world, to=1, disk=NoExchange())
    assert served(world) == done.target.model
    assert not list((world / "project").glob(".release*"))
