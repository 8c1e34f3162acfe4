"""ProjectCode: the modules of one project's folder, imported without a trace in the process's import system.

A project's `import helpers` must find the folder's helpers.py, and two projects in one process, also in two threads,
must each find their own. Adding the folder to `sys.path` or a finder to `sys.meta_path` would change imports of all
threads. Instead, every module of the project is run with its own `__builtins__`, whose `__import__` first looks into
the folder; Python looks `__import__` up there for each import statement, also inside functions that run later.

`importlib.import_module("helpers")` and imports from strings (`exec` with fresh globals) do not use it, so they do not
find the folder's files. Modules are listed in `sys.modules` under private names that contain a digest of path and
content, because dataclasses, `inspect` and torch.compile look a class's module up there; never under their own names.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib.util
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_PREFIX = "_hauberk_project_"


class ProjectCode:
    """The modules of a folder, each run once for this object."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._modules: dict[str, ModuleType] = {}  # by the name that the project uses
        self._names: dict[str, str] = {}  # from the private name to the project's
        self._lock = threading.RLock()  # held while files run; a file that imports another enters again
        self._builtins = {**vars(builtins), "__import__": self._imported}

    def load(self, name: str) -> ModuleType:
        """Return the folder's module of this dotted name; its file and its parents are run if they were not yet.

        Files are compiled from source each time, so cached bytecode never hides an edit. Raises ModuleNotFoundError
        when the folder has no such module, and whatever the file raises.
        """
        with self._lock:
            if name in self._modules:
                return self._modules[name]
            parent, _, last = name.rpartition(".")
            above = self.load(parent) if parent and self._path(parent) is not None else None
            if name in self._modules:  # the parent imported it
                return self._modules[name]
            path = self._path(name)
            if path is None:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            module = self._run(name, path)
            if above is not None:
                setattr(above, last, module)
            return module

    def has(self, name: str) -> bool:
        """Return whether the folder has a file for this module, or a package with an `__init__.py`."""
        path = self._path(name)
        return path is not None and path.is_file()

    def _path(self, name: str) -> Path | None:
        """Return the file of a module, `__init__.py` of a package, or a folder without one; None if there is none."""
        place = self._folder.joinpath(*name.split("."))
        for path in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if path.is_file():
                return path
        return place if place.is_dir() else None

    def _run(self, name: str, path: Path) -> ModuleType:
        source = path.read_bytes() if path.is_file() else b""
        key = hashlib.sha256(str(path).encode() + b"\0" + source).hexdigest()[:12]
        private = f"{_PREFIX}{key}_{name.replace('.', '_')}"
        package = [str(path.parent)] if path.name == "__init__.py" else [str(path)] if path.is_dir() else None
        spec = importlib.util.spec_from_file_location(
            private, path if path.is_file() else path / "__init__.py", submodule_search_locations=package
        )
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        vars(module)["__builtins__"] = self._builtins
        self._modules[name], self._names[private] = module, name
        before = sys.modules.get(private)
        sys.modules[private] = module
        try:
            # dont_inherit: the future statements of this file are not the project's.
            exec(compile(source, str(path), "exec", dont_inherit=True), vars(module))  # noqa: S102 - the user named it
        except BaseException:
            del self._modules[name]
            if before is None:
                sys.modules.pop(private, None)
            else:
                sys.modules[private] = before
            raise
        return module

    def _imported(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,  # noqa: A002 - the signature of `__import__`
        locals: Mapping[str, Any] | None = None,  # noqa: A002 - as above
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> Any:  # noqa: ANN401 - as `__import__`
        """Import for the project's statements: from the folder if it has the module, else as Python does."""
        absolute = self._absolute(name, globals or {}, level) if level else name
        top = absolute.partition(".")[0]
        if not level and not self.has(top):
            # A folder without __init__.py comes last, as it does on `sys.path`.
            try:
                return builtins.__import__(name, globals, locals, fromlist, level)
            except ModuleNotFoundError as error:
                if error.name != top or self._path(top) is None:
                    raise
        module = self.load(absolute)
        if not fromlist:
            return module if level else self.load(top)
        for each in fromlist:
            if each != "*" and not hasattr(module, each) and self._path(f"{absolute}.{each}") is not None:
                self.load(f"{absolute}.{each}")
        return module

    def _absolute(self, name: str, scope: Mapping[str, Any], level: int) -> str:
        """Return the project's name of a relative import. Raises ImportError outside a package, as Python does."""
        parts = self._names[scope["__name__"]].split(".")
        package = parts if "__path__" in scope else parts[:-1]
        base = package[: len(package) - level + 1]
        if not package or level > len(package):
            raise ImportError("attempted relative import with no known parent package")
        return ".".join([*base, name] if name else base)
