"""Faces of packages that import what they export only when it is asked for."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from collections.abc import Callable
from typing import Any


def lazy(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package, from the imports below `if TYPE_CHECKING:` in its `__init__`.

    So a face has one list of what it exports, which type checkers and editors read too.

    Args:
        package: its name, `__name__` in its `__init__`.
    """
    modules: dict[str, tuple[str, str]] = {}

    def known() -> dict[str, tuple[str, str]]:
        if not modules:
            modules.update(_guarded_imports(package))
        return modules

    def get(name: str) -> Any:
        # Python asks for names such as `__path__` too.
        if name.startswith("_") or name not in known():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        source, inside = known()[name]
        if source == package:
            value: Any = importlib.import_module(f"{package}.{inside}")
        else:
            value = getattr(importlib.import_module(source), inside)
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: sorted(known())


def _guarded_imports(package: str) -> dict[str, tuple[str, str]]:
    """Of every name that a package's `__init__` imports for type checkers: the module, and its name there."""
    spec = importlib.util.find_spec(package)
    source = spec.loader.get_source(package) if spec and spec.loader else ""  # type: ignore[attr-defined]
    guards = [node for node in ast.parse(source).body if isinstance(node, ast.If)]
    statements = [statement for guard in guards for statement in guard.body if isinstance(statement, ast.ImportFrom)]
    return {
        alias.asname or alias.name: (statement.module or "", alias.name)
        for statement in statements
        for alias in statement.names
    }
