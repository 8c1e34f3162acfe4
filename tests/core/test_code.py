from __future__ import annotations

import shutil
import sys

import pytest

from hauberk.core import code


def forget():
    """Clear what was read of files: a process that goes on does not see an edit, and these tests edit."""
    for cached in (
        code._digest,
        code._direct,
        code._homes,
        code._whole,
        code._scan,
        code._file,
        code._distribution,
    ):
        cached.cache_clear()


@pytest.fixture
def digest(tmp_path, monkeypatch):
    """The digest of a module beside the test, as another process would compute it now."""
    monkeypatch.syspath_prepend(tmp_path)

    def now(*modules):
        forget()
        return code.code_digest(modules)

    yield now
    forget()


def test_what_runs_counts_and_what_is_for_type_checkers_does_not():
    found = code.imported("hauberk.training.methods")
    assert "hauberk.training.guard" in found  # imported in a function
    assert "hauberk.training.adversarial" in found
    assert "hauberk.training.heldout" in code.imported("hauberk.training.guard")
    assert not any(name.startswith(("hauberk.cli", "hauberk.report", "hauberk.attacks.evasion.")) for name in found)


def test_a_name_that_a_package_passes_on_leads_to_its_home_alone():
    assert "hauberk.training" not in code.imported("hauberk.training.planning")
    assert code._homes("hauberk.attacks.evasion", "ATTACKS") == {"hauberk.attacks.attack"}
    assert code._homes("hauberk.training", "plan") == {"hauberk.training.planning"}


def test_a_name_that_a_package_imports_when_it_is_asked_for_leads_to_its_home(tmp_path, digest):
    (tmp_path / "scratch_user.py").write_text("from hauberk.data import screen\n")
    assert digest("scratch_user")
    paths = {*code._imports(tmp_path / "scratch_user.py", "scratch_user")}
    assert {home for one in paths for home in code._homes(*one)} == {"hauberk.data.poison.screening"}


def test_a_name_that_a_package_makes_from_a_module_leads_to_this_module():
    pgd = "hauberk.attacks.evasion.methods.pgd"
    assert code._homes("hauberk.attacks.evasion", "pgd") == {"hauberk.attacks.evasion", pgd}
    assert code._homes("hauberk.attacks.evasion", "function") >= {"hauberk.attacks.evasion"}
    assert {pgd, "hauberk.attacks.evasion._functions"} <= code._homes("hauberk.attacks", "evasion")
    assert code._homes("hauberk.attacks", "budget") == {"hauberk.attacks.budget"}


def test_every_module_of_hauberk_has_a_digest_and_its_own_code_is_in_it(digest):
    assert digest("hauberk.core.text") not in (None, digest("hauberk.core.disk"))
    assert digest("hauberk.no_such_module") is None


@pytest.fixture
def plug_in(tmp_path, write_plug_in):
    files = {
        "scratch/__init__.py": "",
        "scratch/deep/__init__.py": "",
        "scratch/deep/check.py": "from hauberk.core.evidence import Measurement\nimport scratch_beside\n",
        "scratch/weights.bin": "1",
    }
    write_plug_in(tmp_path, "scratch", files, announces="scratch.deep.check")
    (tmp_path / "scratch_beside.py").write_text("LIMIT = 1\n")
    return tmp_path


@pytest.mark.parametrize(
    "file", ["scratch/__init__.py", "scratch/deep/check.py", "scratch/weights.bin", "scratch_beside.py"]
)
def test_every_file_of_a_plug_in_counts(plug_in, digest, file):
    before = digest("scratch.deep.check")
    assert before == digest("scratch.deep.check")
    (plug_in / file).write_text((plug_in / file).read_text() + "\n")
    assert digest("scratch.deep.check") != before


def test_what_python_writes_beside_a_plug_in_does_not_count(plug_in, digest):
    before = digest("scratch.deep.check")
    (plug_in / "scratch" / "__pycache__").mkdir()
    (plug_in / "scratch" / "__pycache__" / "x.pyc").write_bytes(b"1")
    assert digest("scratch.deep.check") == before


def test_the_version_of_a_plug_in_and_of_what_it_requires_count(plug_in, digest):
    about = plug_in / "scratch-1.0.dist-info" / "METADATA"
    seen = [digest("scratch.deep.check")]
    about.write_text(about.read_text().replace("Version: 1.0", "Version: 1.1"))
    seen.append(digest("scratch.deep.check"))
    about.write_text(about.read_text() + "Requires-Dist: scratch-needs>=1; python_version > '3'\n")
    seen.append(digest("scratch.deep.check"))
    needed = plug_in / "scratch_needs-2.0.dist-info"
    needed.mkdir()
    (needed / "METADATA").write_text("Metadata-Version: 2.1\nName: scratch-needs\nVersion: 2.0\n")
    seen.append(digest("scratch.deep.check"))
    assert len(set(seen)) == 4


def test_an_editable_install_lists_no_files_and_its_package_counts_all_the_same(plug_in, digest):
    (plug_in / "scratch-1.0.dist-info" / "RECORD").write_text("scratch.pth,,\n")
    before = digest("scratch.deep.check")
    (plug_in / "scratch" / "deep" / "check.py").write_text("import hauberk\n")
    assert digest("scratch.deep.check") != before


@pytest.mark.usefixtures("plug_in")
def test_the_modules_of_hauberk_that_a_plug_in_imports_count(digest, tmp_path, monkeypatch):
    root = tmp_path / "copy" / "hauberk"
    shutil.copytree(code._ROOT / "core", root / "core", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "_ROOT", root)
    before = digest("scratch.deep.check")
    (root / "core" / "tls.py").write_text("# not imported by evidence\n")
    assert digest("scratch.deep.check") == before
    (root / "core" / "findings.py").write_text("# imported by evidence\n")
    assert digest("scratch.deep.check") != before


def test_a_module_without_a_file_has_no_digest_and_the_standard_library_needs_none(digest, monkeypatch):
    monkeypatch.setitem(sys.modules, "typed_at_a_prompt", type(sys)("typed_at_a_prompt"))
    assert digest("typed_at_a_prompt") is None
    assert digest("json", "hauberk.core.text") == digest("hauberk.core.text")


def test_a_library_counts_by_what_its_installer_recorded(digest):
    assert digest("numpy.linalg") not in (None, digest("rich.table"))
