"""The digest of the code that a result depends on: a module, and what it imports, transitively.

Imports are read from the source, and nothing is imported for it. Of Hauberk, imports at the top and inside functions
count; imports under TYPE_CHECKING do not run, so they do not count. A name that a package only passes on
(`from hauberk.training import Options`) leads to the module that defines it, so that what a package lists beside it
does not count. Of a package that finds its names when they are asked for (`__getattr__`), all modules count unless one has
the name. Members that are found by name in a registry are no imports: `registry.look_ups` records these.

Of a module outside of Hauberk (a plug-in) all files of its package count, what lies beside it and is imported, the
name, version and files of its distribution, and the versions that are installed of what this requires.

Files are read once in a process: an edit during a run does not change the code that runs.
"""

from __future__ import annotations

import ast
import os
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from hauberk.core import canonical
from hauberk.core.registry import plug_ins

_ROOT = Path(__file__).parents[1]
_OURS = _ROOT.name
_SIMPLE = (
    ast.Expr,
    ast.Assign,
    ast.AnnAssign,
    ast.AugAssign,
    ast.Return,
    ast.Raise,
    ast.Assert,
    ast.Pass,
)  # hold no statements


def code_digest(modules: Iterable[str]) -> str | None:
    """Return the SHA-256 (hex) of these modules and of what they import; None when one has no readable source.

    Costs about 1 ms for each module of Hauberk at the first use in a process.
    """
    return _digest(frozenset(modules))


@cache
def _digest(modules: frozenset[str]) -> str | None:
    ours = {name for name in modules if _is_ours(name)}
    parts: dict[str, str] = {}
    for name in sorted(modules - ours):
        if name.partition(".")[0] in sys.stdlib_module_names - {"__main__"}:
            continue  # comes with the version of Python
        parts |= _about_distribution(name)
        files = {} if _is_recorded(name) else _outside(name)
        if not files and not _is_recorded(name):
            return None
        for shown, path in files.items():
            parts[f"{name}: {shown}"] = canonical.sha256(path.read_bytes())
            if path.suffix == ".py":
                ours |= {one for wanted in _imports(path, name) for one in _homes(*wanted)}
    for name in _closure(ours):
        file = _file(name)
        if file is None:
            return None
        parts[name] = canonical.sha256(file.read_bytes())
    return canonical.digest(parts)


def members_of(package: str) -> frozenset[str]:
    """Return the names of the modules of a family's package, which register its members."""
    spec = find_spec(package) if not _is_ours(package) else None
    file = _file(package) if spec is None else Path(spec.origin or "")
    own = [] if file is None else [f"{package}.{one.name}" for one in pkgutil.iter_modules([str(file.parent)])]
    return frozenset([package, *own])


def imported(module: str) -> frozenset[str]:
    """Return the names of the modules of Hauberk that a module of Hauberk depends on, its own included."""
    return frozenset(_closure({module}))


def _closure(modules: set[str]) -> list[str]:
    known: set[str] = set()
    open_ = set(modules)
    while open_:
        name = open_.pop()
        if name not in known:
            known.add(name)
            open_ |= _direct(name)
    return sorted(known)


@cache
def _direct(module: str) -> frozenset[str]:
    path = _file(module)
    if path is None:
        return frozenset()
    return frozenset(home for wanted in _imports(path, module) for home in _homes(*wanted)) - {module}


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == _OURS


@cache
def _file(module: str) -> Path | None:
    """Return the source file of a module of Hauberk, None when there is no such module."""
    if not _is_ours(module):
        return None
    place = _ROOT.parent.joinpath(*module.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


@cache
def _homes(module: str, name: str) -> frozenset[str]:
    """Return the modules of Hauberk that `from module import name` depends on; name "": `import module`."""
    if name and _file(f"{module}.{name}") is not None:
        return _whole(f"{module}.{name}")
    path = _file(module)
    if path is None:
        return frozenset()
    if name and path.name == "__init__.py":
        for one in _scan(path):
            if (one.alias or one.name) == name and one.name:
                home = (one.base(module, path), one.name)
                if _is_ours(home[0]) and home != (module, name):
                    return _homes(*home)
        made = frozenset(one for one in _whole(module) if one.endswith(f".{name}"))
        if made:  # made by the package's `__getattr__` from the module of that name
            return made | {module}
        if re.search(rf"^{re.escape(name)}\b", path.read_text(encoding="utf-8"), re.MULTILINE):
            return frozenset({module})
    return _whole(module)


@cache
def _whole(module: str) -> frozenset[str]:
    """Return the module, and all modules below a package that finds its names when they are asked for."""
    path = _file(module)
    if path is None or path.name != "__init__.py" or b"\ndef __getattr__(" not in path.read_bytes():
        return frozenset({module})
    below = (file.relative_to(path.parent).with_suffix("").parts for file in path.parent.rglob("*.py"))
    return frozenset(".".join([module, *parts]).removesuffix(".__init__") for parts in below)


def _imports(path: Path, module: str) -> Iterator[tuple[str, str]]:
    """Yield (module, name) for each import that a file runs and that is of Hauberk."""
    for one in _scan(path):
        base = one.base(module, path)
        if one.runs and _is_ours(base):
            yield base, "" if one.name == "*" else one.name


@dataclass(frozen=True, slots=True)
class _Import:
    """`from module import name as alias`, `import module` (name ""). runs: it is not for type checkers only."""

    module: str
    name: str
    alias: str
    level: int
    runs: bool

    def base(self, module: str, path: Path) -> str:
        """Return the absolute name of the imported module, for a relative import in `module`."""
        if not self.level:
            return self.module
        parts = module.split(".")
        parts = parts[: len(parts) - self.level + (path.name == "__init__.py")]
        return ".".join([*parts, *([self.module] if self.module else [])])


@cache
def _scan(path: Path) -> tuple[_Import, ...]:
    """Return every import of a file: at its top, in functions, and by a name that is written out."""
    text = path.read_bytes()
    try:
        tree = ast.parse(text, filename=str(path))
    except SyntaxError:  # it cannot be imported either, and its bytes are digested
        return ()
    found = list(_statements(tree))
    if b"import_module" in text:
        found += _by_name(tree)
    return tuple(found)


def _statements(tree: ast.Module) -> Iterator[_Import]:
    open_: list[tuple[ast.AST, bool]] = [(tree, True)]
    while open_:
        node, runs = open_.pop()
        if isinstance(node, ast.Import):
            yield from (_Import(alias.name, "", "", 0, runs) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield _Import(node.module or "", alias.name, alias.asname or "", node.level, runs)
        elif not isinstance(node, _SIMPLE):
            only_types = isinstance(node, ast.If) and _name(node.test) == "TYPE_CHECKING"
            for part in ("body", "orelse", "finalbody", "handlers", "cases"):
                below = runs and not (only_types and part == "body")
                open_ += [(each, below) for each in getattr(node, part, ())]


def _name(node: ast.expr) -> str:
    """Return the last part of a dotted name, "" for any other expression."""
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _by_name(tree: ast.Module) -> Iterator[_Import]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) == "import_module" and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield _Import(first.value, "", "", 0, runs=True)


def _outside(module: str) -> dict[str, Path]:
    """Return the files that a module outside of Hauberk depends on, by name; none when it has no file."""
    top = module.partition(".")[0]
    spec = PathFinder.find_spec(top)
    origin = getattr(sys.modules.get(top), "__file__", None) or (spec.origin if spec is not None else None)
    if origin is None:  # a namespace package, or no package: the module's own file
        origin = getattr(sys.modules.get(module), "__file__", None)
    if origin is None or not Path(origin).is_file():
        return {}
    first = Path(origin).resolve()
    package = first.name == "__init__.py"
    base = first.parent.parent if package else first.parent
    files = {first, *(_in_folder(first.parent) if package else ())}
    files |= _beside(base, files)
    dist = _distribution(top)
    for file in (dist.files or []) if dist is not None else []:
        path = Path(str(file.locate())).resolve()
        if path.is_file() and path.suffix != ".pyc" and not file.parts[0].endswith(".dist-info"):
            files.add(path)
    return {os.path.relpath(path, base): path for path in sorted(files)}


def _in_folder(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and path.suffix != ".pyc" and not hidden:
            yield path


def _beside(parent: Path, files: set[Path]) -> set[Path]:
    """Return the files of packages that lie beside a package and are imported by it, as in an editable install."""
    if parent.name in {"site-packages", "dist-packages"}:  # strangers lie there; the distribution lists its own
        return set()
    found: set[Path] = set()
    open_ = {path for path in files if path.suffix == ".py"}
    while open_:
        for name in {one.module.partition(".")[0] for one in _scan(open_.pop()) if not one.level}:
            package, single = parent / name, parent / f"{name}.py"
            new = set(_in_folder(package)) if (package / "__init__.py").is_file() else set()
            new = (new | ({single} if name and single.is_file() else set())) - files - found
            open_ |= {path for path in new if path.suffix == ".py"}
            found |= new
    return found


def _about_distribution(module: str) -> dict[str, str]:
    """Return name and version of the distribution of a module, and the versions of what it requires."""
    dist = _distribution(module.partition(".")[0])
    if dist is None:
        return {}
    found = {f"distribution {dist.name}": dist.version}
    found[f"record of {dist.name}"] = canonical.sha256((dist.read_text("RECORD") or "").encode())
    for requirement in dist.requires or []:
        name = re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0]
        try:
            found[f"requirement {name}"] = metadata.version(name)
        except metadata.PackageNotFoundError:  # of an extra, or of another platform
            found[f"requirement {name}"] = "absent"
    return found


def _is_recorded(module: str) -> bool:
    """Whether a library that is no plug-in holds the module: its installer recorded a digest of each of its files."""
    top = module.partition(".")[0]
    dist = _distribution(top)
    if dist is None or any(point.module.partition(".")[0] == top for point in plug_ins()):
        return False
    return any(file.parts[0].partition(".")[0] == top and file.hash is not None for file in dist.files or [])


@cache
def _distribution(top: str) -> metadata.Distribution | None:
    """Return the distribution of a top-level package: by its entry point, which editable installs have too."""
    for point in plug_ins():
        if point.module.partition(".")[0] == top:
            return point.dist
    names = metadata.packages_distributions().get(top, [])
    return metadata.distribution(names[0]) if names else None
