"""Data flows one way: which package may import which, by their faces only, and without circles.

Every rule is stated by the names of packages; the modules are read from the tree. Imports inside functions count, and
those for types only, too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

_MOST_MODULES = 24
_MOST_LINES = 400
# A host machine has none of these: they are the extra `train`.
_TRAINING_MODULES = (
    "keras",
    "librosa",
    "matplotlib",
    "pandas",
    "sed_scores_eval",
    "sklearn",
    "soundfile",
    "soxr",
    "tensorflow",
    "tensorflow_datasets",
    "tensorflow_model_optimization",
    "tf_keras",
)
_ROOT = "keras_mtl"
#: What faces are made of.
_LAZY = "keras_mtl.core.lazy"
#: What serves everyone.
_BASE = ("keras_mtl.core", "keras_mtl.decoding")
#: Packages with all inside them, and what of ours they may import beside themselves; the longest name that fits counts.
_MAY_IMPORT = {
    "keras_mtl": (*_BASE, "keras_mtl.datasets"),
    "keras_mtl.core": (),
    "keras_mtl.decoding": ("keras_mtl.core",),
    "keras_mtl.datasets": _BASE,
    "keras_mtl.tflite.flatbuffer": _BASE,
    "keras_mtl.tflite.artifact": (*_BASE, "keras_mtl.tflite.flatbuffer"),
    "keras_mtl.tflite": (*_BASE, "keras_mtl", "keras_mtl.tflite.flatbuffer", "keras_mtl.tflite.artifact"),
    "keras_mtl.firmware_host": (*_BASE, "keras_mtl.tflite.flatbuffer", "keras_mtl.tflite.artifact"),
}
#: These may import all.
_KNOW_ALL = ("keras_mtl.predictors", "keras_mtl.cli", "keras_mtl.demo", "keras_mtl.qat")
#: What a host machine imports.
_HOST = (*_BASE, "keras_mtl.tflite.flatbuffer", "keras_mtl.tflite.artifact", "keras_mtl.firmware_host")
# Makes these modules unimportable, as on a machine without them, and imports the modules given as arguments.
_IMPORT_WITHOUT = """
import importlib, json, sys
blocked = set(sys.argv[1].split(","))
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
for name in sys.argv[2:]:
    importlib.import_module(name)
print(json.dumps(len(sys.argv) - 2))
"""
# Asks every package for every name of its face.
_USE_FACES = """
import importlib, json, sys
packages = [importlib.import_module(package) for package in sys.argv[1:]]
names = [(package, name) for package in packages for name in getattr(package, "__all__", [])]
for package, name in names:
    getattr(package, name)
print(json.dumps(len(names)))
"""


@dataclass(frozen=True)
class Import:
    """An import statement's share: `name` of `module`, or the module itself where `name` is empty."""

    module: str
    name: str
    types_only: bool


def _within(name: str, package: str) -> bool:
    return (name + ".").startswith(package + ".")


def _longest(name: str, packages: Iterable[str]) -> str:
    return max((package for package in packages if _within(name, package)), key=len, default="")


class House:
    """The packages, their modules, and what these import of ours."""

    def __init__(self, modules: Mapping[str, Path]) -> None:
        self.paths = {name: path for name, path in modules.items() if not name.endswith("__main__")}
        self.packages = {name for name, path in self.paths.items() if path.name == "__init__.py"}
        self.trees = {name: ast.parse(path.read_text()) for name, path in self.paths.items()}
        # TFDS finds a builder by its folder, so its modules are named from outside of it.
        self.builders = {self.package(name) for name in self.paths if name.endswith("_dataset_builder")}
        self.imports = {name: self._imports(name) for name in self.paths}

    def package(self, name: str) -> str:
        """The package that a module lies in; a package's own is itself."""
        return name if name in self.packages else name.rpartition(".")[0]

    def modules_of(self, package: str) -> list[str]:
        """The modules that lie directly in a package."""
        return [name for name in self.paths if name not in self.packages and self.package(name) == package]

    def face(self, package: str) -> set[str]:
        """What a package exports: its `__all__`."""
        for node in self.trees[package].body:
            if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "__all__" for target in node.targets):
                return set(ast.literal_eval(node.value))
        return set()

    def crossings(self) -> list[tuple[str, Import]]:
        """Imports from one package into another; a face that gathers what lies inside it crosses nothing."""
        found = []
        for name, imports in self.imports.items():
            for one in imports:
                own, other = self.package(name), self.package(one.module)
                if own != other and not (name in self.packages and _within(other, own)) and one.module != _ROOT:
                    found.append((name, one))
        return found

    def _imports(self, name: str) -> list[Import]:
        guards = [node for node in ast.walk(self.trees[name]) if isinstance(node, ast.If)]
        guards = [node for node in guards if getattr(node.test, "id", "") == "TYPE_CHECKING"]
        typed = {id(inner) for guard in guards for statement in guard.body for inner in ast.walk(statement)}
        found = []
        for node in ast.walk(self.trees[name]):
            if isinstance(node, ast.Import):
                found += [Import(alias.name, "", id(node) in typed) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                for alias in node.names:
                    whole = f"{base}.{alias.name}"
                    if whole in self.paths:
                        found.append(Import(whole, "", id(node) in typed))
                    else:
                        found.append(Import(base, alias.name, id(node) in typed))
        return [one for one in found if _within(one.module, _ROOT)]


@pytest.fixture(scope="module")
def house(repository) -> House:
    found = House(repository.modules())
    assert len(found.paths) > 200, "the tree was not found"
    assert {*_BASE, *_KNOW_ALL, *_MAY_IMPORT} <= found.packages, "a rule names a package that is not there"
    return found


def _circle(edges: Mapping[str, set[str]]) -> list[str]:
    """Some circle of a graph, or nothing: leaves are taken off until none is left."""
    left = {node: set(others) for node, others in edges.items()}
    while leaves := [node for node, others in left.items() if not others & left.keys()]:
        for leaf in leaves:
            del left[leaf]
    return sorted(left)


def test_circles_are_found() -> None:
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["a", "b", "c"]
    assert _circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_packages_and_modules_are_small(house: House) -> None:
    counts = {package: len(house.modules_of(package)) for package in house.packages}
    assert sum(counts.values()) > 200
    assert {package: count for package, count in counts.items() if count > _MOST_MODULES} == {}
    lengths = {name: len(path.read_text().splitlines()) for name, path in house.paths.items()}
    assert {name: lines for name, lines in lengths.items() if lines > _MOST_LINES} == {}


def test_names_of_modules_drop_their_package(house: House) -> None:
    modules = [name for name in house.paths if name not in house.packages and house.package(name) not in house.builders]
    assert len(modules) > 200
    prefixed = [name for name in modules if name.split(".")[-1].startswith(name.split(".")[-2] + "_")]
    assert prefixed == []


def test_packages_import_what_they_may(house: House) -> None:
    crossings, wrong = house.crossings(), []
    assert len(crossings) > 500
    for name, one in crossings:
        if _longest(name, _KNOW_ALL):
            continue
        group, other = _longest(name, _MAY_IMPORT), _longest(one.module, [*_MAY_IMPORT, *_KNOW_ALL])
        of_data = other == "keras_mtl.datasets" and group == "keras_mtl.tflite" and one.types_only
        if other != group and other not in _MAY_IMPORT[group] and not of_data:
            wrong.append((name, one))
    assert wrong == []


def test_only_commands_know_commands(house: House) -> None:
    crossings = [(name, one) for name, one in house.crossings() if _longest(one.module, _KNOW_ALL)]
    assert crossings
    assert [(name, one) for name, one in crossings if not _longest(name, _KNOW_ALL[1:])] == []


def test_packages_import_each_other_by_their_faces(house: House) -> None:
    crossings, wrong = house.crossings(), []
    assert len(crossings) > 500
    for name, one in crossings:
        if name in house.packages and one.module == _LAZY:
            continue
        package = house.package(one.module)
        named = one.name or one.module.rpartition(".")[2]
        by_face = one.module in house.packages or (not one.name and named in house.face(package))
        if (package not in house.builders and not by_face) or (
            one.module in house.packages and one.name and one.name not in house.face(package)
        ):
            wrong.append((name, one))
    assert wrong == []


def test_no_module_imports_a_face_that_it_stands_behind(house: House) -> None:
    inside = [(name, one) for name, all_of in house.imports.items() for one in all_of if name not in house.packages]
    assert len(inside) > 1000
    behind = [
        (name, one) for name, one in inside if one.module in house.packages - {_ROOT} and _within(name, one.module)
    ]
    assert behind == []


def test_packages_make_no_circle(house: House) -> None:
    edges: dict[str, set[str]] = {package: set() for package in house.packages}
    for name, one in house.crossings():
        edges[house.package(name)].add(house.package(one.module))
    assert sum(map(len, edges.values())) > 100
    assert _circle(edges) == []


def test_modules_make_no_circle(house: House) -> None:
    """Within a package: between packages there is none, since packages make none."""
    modules = house.paths.keys() - house.packages
    edges = {name: {one.module for one in house.imports[name]} & modules for name in modules}
    assert sum(map(len, edges.values())) > 100
    assert _circle(edges) == []


def test_imports_name_modules_that_exist(house: House) -> None:
    found = [(name, one) for name, imports in house.imports.items() for one in imports]
    assert found
    assert [(name, one) for name, one in found if one.module not in house.paths] == []


def test_host_part_never_names_the_training_packages(repository, house: House) -> None:
    host = [name for name in house.paths if _longest(name, ("keras_mtl.firmware_host", "keras_mtl.tflite.artifact"))]
    assert len(host) > 50
    tops = {name: {dotted.partition(".")[0] for dotted in repository.imports(name)} for name in host}
    assert {name: found & {*_TRAINING_MODULES} for name, found in tops.items() if found & {*_TRAINING_MODULES}} == {}


def test_host_part_imports_without_the_training_packages(house: House, run_python) -> None:
    host = [name for name in house.paths if _longest(name, _HOST)]
    assert len(host) > 80
    host += [f"keras_mtl.cli.{command}" for command in ("emulate", "bundle")]
    assert run_python(_IMPORT_WITHOUT, ",".join(_TRAINING_MODULES), *host) == len(host)


@pytest.mark.parametrize("package", ["keras_mtl", "keras_mtl.datasets", "keras_mtl.tflite", "keras_mtl.cli"])
def test_packages_import_without_the_training_packages(run_python, package: str) -> None:
    assert run_python(_IMPORT_WITHOUT, ",".join(_TRAINING_MODULES), package) == 1


def test_faces_have_what_they_list(house: House, run_python) -> None:
    listed = sum(len(house.face(package)) for package in house.packages)
    assert listed > 200
    assert run_python(_USE_FACES, *sorted(house.packages)) == listed


def test_no_star_imports(house: House) -> None:
    nodes = [(name, node) for name, tree in house.trees.items() for node in ast.walk(tree)]
    imports = [(name, node) for name, node in nodes if isinstance(node, ast.ImportFrom)]
    assert len(imports) > 1000
    assert [name for name, node in imports if node.names[0].name == "*"] == []
