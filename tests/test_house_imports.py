"""Data flows one way: what each station may import, and that the host part works without the training packages."""

from __future__ import annotations

import ast

import pytest

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
    "tomli_w",
)
# Of the station `tflite`, what a host machine uses.
_HOST_TFLITE = (
    "arena_placement",
    "artifact",
    "artifact_set",
    "audit",
    "consistency",
    "flatbuffer",
    "flatbuffer_verify",
    "golden_file",
    "loops",
    "macs",
    "manifest",
    "set_golden",
    "stream_set_manifest",
    "stream_set_wiring",
    "stream_wiring",
    "wiring",
)
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


def _of_station(repository, station: str) -> list[str]:
    """The station's modules; those of `keras_mtl` without the other stations, which lie under the same name."""
    others = [other for other in repository.stations if other != station and other.startswith(station + ".")]
    return [
        name
        for name in repository.modules()
        if (name + ".").startswith(station + ".") and not any((name + ".").startswith(other + ".") for other in others)
    ]


def _station_of(repository, dotted: str) -> str:
    return max((name for name in repository.stations if (dotted + ".").startswith(name + ".")), key=len)


def _ours(repository, name: str) -> set[str]:
    return {dotted for dotted in repository.imports(name) if dotted.partition(".")[0] == "keras_mtl"}


def _knows_every_station(name: str) -> bool:
    return (name + ".").startswith(("keras_mtl.cli.", "keras_mtl.demo."))


def test_datasets_import_little_of_ours(repository) -> None:
    allowed = {"keras_mtl.decoding", "keras_mtl.errors", "keras_mtl.files", "keras_mtl.labels"}
    for name in _of_station(repository, "keras_mtl.datasets"):
        foreign = {dotted for dotted in _ours(repository, name) if not dotted.startswith("keras_mtl.datasets")}
        assert foreign <= allowed, name


def test_training_does_not_know_what_follows_it(repository) -> None:
    for name in _of_station(repository, "keras_mtl"):
        if not _knows_every_station(name):
            stations = {_station_of(repository, dotted) for dotted in _ours(repository, name)}
            assert stations <= {"keras_mtl", "keras_mtl.datasets"}, name


def test_tflite_knows_neither_data_nor_host(repository) -> None:
    for name in _of_station(repository, "keras_mtl.tflite"):
        stations = {_station_of(repository, dotted) for dotted in _ours(repository, name)}
        assert stations <= {"keras_mtl", "keras_mtl.tflite"}, name


def test_host_imports_the_artifact_and_never_tensorflow(repository) -> None:
    shared = (
        "decoding",
        "decoding.events",
        "decoding.scenes",
        "decoding.settings",
        "decoding.timeline",
        "errors",
        "features",
        "files",
        "isolation",
        "labels",
        "tables",
        "typed",
    )
    base = {f"keras_mtl.{module}" for module in shared}
    allowed = base | {f"keras_mtl.tflite.{module}" for module in _HOST_TFLITE}
    for name in _of_station(repository, "keras_mtl.firmware_host"):
        foreign = {dotted for dotted in _ours(repository, name) if not dotted.startswith("keras_mtl.firmware_host")}
        assert foreign <= allowed, name
        tops = {dotted.partition(".")[0] for dotted in repository.imports(name)}
        assert not tops & set(_TRAINING_MODULES), name


def test_only_the_command_line_knows_every_station(repository) -> None:
    for name in repository.modules():
        if {_station_of(repository, dotted) for dotted in _ours(repository, name)} >= set(repository.stations):
            assert _knows_every_station(name), name


def test_imports_name_modules_that_exist(repository) -> None:
    """Imports inside functions too, which no other test may reach."""
    modules = repository.modules()
    for name in modules:
        assert _ours(repository, name) <= set(modules), name


def test_metrics_name_only_what_their_tool_exports(repository) -> None:
    """Its modules may move; what its packages export stays."""
    imports = {dotted for name in repository.modules() for dotted in repository.imports(name)}
    assert {dotted for dotted in imports if dotted.startswith("sed_scores_eval")} == {
        "sed_scores_eval.intersection_based"
    }


def test_host_part_imports_without_the_training_packages(repository, run_python) -> None:
    host = _of_station(repository, "keras_mtl.firmware_host")
    host += [f"keras_mtl.tflite.{module}" for module in _HOST_TFLITE]
    host += [f"keras_mtl.cli.{command}" for command in ("emulate", "bundle")]
    assert run_python(_IMPORT_WITHOUT, ",".join(_TRAINING_MODULES), *host) == len(host)


@pytest.mark.parametrize("package", ["keras_mtl", "keras_mtl.datasets", "keras_mtl.tflite", "keras_mtl.cli"])
def test_packages_import_without_the_training_packages(run_python, package: str) -> None:
    assert run_python(_IMPORT_WITHOUT, ",".join(_TRAINING_MODULES), package) == 1


def test_no_star_imports(repository) -> None:
    for name, path in repository.modules().items():
        nodes = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom))
        assert not [node for node in nodes if node.names[0].name == "*"], name
