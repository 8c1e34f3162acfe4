"""Library code leaves the process as it is: no module writes what other threads and the caller share."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "hauberk"
CALLS = [
    "catch_warnings",
    "filterwarnings",
    "simplefilter",
    "redirect_stdout",
    "redirect_stderr",
    "manual_seed",
    "np.random.seed",
    "random.seed",
    "setLevel",
    "putenv",
    "chdir",
]
SHARED = ("os.environ", "sys.path", "sys.modules", "sys.meta_path", "sys.stdout", "sys.stderr")
EDITS = {"append", "clear", "extend", "insert", "pop", "remove", "setdefault", "update"}
EXCEPTIONS = {
    (
        "training/_project_code.py",
        "sys.modules",
    ): "lists the project's modules under private names, for pickle and dataclasses",
    ("data/poison/detectors/_nets.py", "manual_seed"): "lazy layers take torch's generator; fork_rng restores it",
    # Filters of warnings are shared between threads: these are known and remain to be removed.
    ("data/reading/formats/folder.py", "catch_warnings"): "turns Pillow's warning on large pictures into a refusal",
    ("data/poison/detectors/_table_views.py", "catch_warnings"): "scikit-learn: rows that every tree trained on",
    ("data/poison/detectors/_folds.py", "catch_warnings"): "scikit-learn: a class with fewer rows than folds",
    ("data/poison/detectors/clean_labels.py", "catch_warnings"): "scikit-learn: an unconverged FastICA is enough",
    (
        "data/poison/detectors/targeted_flips.py",
        "catch_warnings",
    ): "scikit-learn: an unconverged regression is enough",
}


def _writes(tree: ast.AST) -> Iterator[str]:
    """Yield the name of each shared thing that the code writes: a call from CALLS, or an edit of one of SHARED."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            owner, _, method = name.rpartition(".")
            if owner in SHARED and method in EDITS:
                yield owner
            # A torch.Generator of one's own is seeded with the same word, and is no shared state.
            own = "Generator(" in owner or "generator" in owner.lower()
            yield from (call for call in CALLS if (name == call or name.endswith(f".{call}")) and not own)
        elif isinstance(node, ast.Assign | ast.AugAssign | ast.Delete):
            targets = [node.target] if isinstance(node, ast.AugAssign) else node.targets
            for target in targets:
                written = ast.unparse(target.value if isinstance(target, ast.Subscript) else target)
                yield from (one for one in SHARED if one == written)


def test_library_code_writes_no_process_wide_state_but_for_the_listed_places() -> None:
    written = {
        (path.relative_to(SOURCE).as_posix(), what)
        for path in SOURCE.rglob("*.py")
        if path.relative_to(SOURCE).parts[0] != "cli"
        for what in _writes(ast.parse(path.read_text(encoding="utf-8")))
    } - {(file, "simplefilter") for file, what in EXCEPTIONS if what == "catch_warnings"}
    assert written == set(EXCEPTIONS)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("os.environ['A'] = 'b'", "os.environ"),
        ("sys.path.insert(0, '.')", "sys.path"),
        ("del sys.modules['a']", "sys.modules"),
        ("torch.manual_seed(1)", "manual_seed"),
        ("sys.stdout = None", "sys.stdout"),
    ],
)
def test_the_scan_sees_a_write(line: str, what: str) -> None:
    assert list(_writes(ast.parse(line))) == [what]


def test_a_generator_of_its_own_may_be_seeded() -> None:
    assert not list(_writes(ast.parse("torch.Generator().manual_seed(1)")))
