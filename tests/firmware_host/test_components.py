"""Bundles as components of build systems: layouts, manifests, sources, examples, and networks over the air.

No vendor's tool is here: manifests are held against the published formats, build files are configured with stand-ins
for the vendors' functions, sources and examples are compiled against declarations of the vendors' APIs (vendor/).
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from c_programs import CORTEX_M4F, CORTEX_M55, HERE, HOST, Core, require
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from small_artifacts import make_two_state
from tflm_declarations import built_by_cmake, declare

from keras_mtl.cli.bundle import command
from keras_mtl.core import ArtifactError
from keras_mtl.firmware_host.bundle import verify_bundle, write_bundle
from keras_mtl.firmware_host.components import KINDS, component_files, model_image
from keras_mtl.firmware_host.components.component import relative_includes
from keras_mtl.firmware_host.components.image import interface_digest
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.targets import load_target

NAME = "stream_int8"
_VENDOR = HERE / "vendor"
_STRICT = ("-Wall", "-Wextra", "-Werror", "-Wshadow", "-fsyntax-only")
_SOURCES = HERE.parents[1] / "firmware_host" / "components" / "c"
_M0PLUS = Core("Cortex-M0+", ("arm-none-eabi-gcc", "-mcpu=cortex-m0plus", "-mthumb", "-mfloat-abi=soft"))
_M33 = Core("Cortex-M33", ("arm-none-eabi-gcc", "-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=hard"))
#: Schemas in JSON of what the vendors publish: Zephyr's `scripts/zephyr_module.py`, the ESP component manager's
#: "Manifest File", and PlatformIO's `library.json` (platformio-core), as far as components use them; nothing else is
#: allowed.
_MODULE_YML = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[a-zA-Z0-9_-]+$"},
        "build": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"cmake": {"type": "string"}, "kconfig": {"type": "string"}},
        },
    },
}
_IDF_COMPONENT_YML = {
    "type": "object",
    "additionalProperties": False,
    "required": ["version", "description", "license", "dependencies"],
    "properties": {
        "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
        "description": {"type": "string"},
        "license": {"type": "string", "const": "Apache-2.0"},
        "dependencies": {
            "type": "object",
            "required": ["idf"],
            "propertyNames": {"pattern": "^(idf|[a-z0-9_-]+/[a-z0-9_.-]+)$"},
            "additionalProperties": {"type": "string", "pattern": r"^(\^|>=|~)\d+(\.\d+){1,2}$"},
        },
    },
}
_LIBRARY_JSON = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "version", "description", "keywords"],
    "properties": {
        "name": {"type": "string", "maxLength": 50, "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"},
        "version": {"type": "string", "maxLength": 20, "pattern": r"^\d+\.\d+\.\d+$"},
        "description": {"type": "string", "maxLength": 255},
        "keywords": {"type": "array", "items": {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"}},
        "license": {"type": "string"},
        "frameworks": {"const": "*"},
        "platforms": {"const": "*"},
        "headers": {"type": "array", "items": {"type": "string"}},
        "build": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"srcDir": {"const": "src"}, "includeDir": {"const": "src"}},
        },
        "examples": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "base", "files"],
                "properties": {
                    "name": {"type": "string"},
                    "base": {"type": "string"},
                    "files": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
    },
}
#: Categories of Arduino's library specification.
_CATEGORIES = {
    "Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing", "Data Storage",
    "Data Processing", "Other",
}  # fmt: skip
#: What the vendors' build systems do with the functions that components call.
_STAND_INS = """
cmake_minimum_required(VERSION 3.16)
project(stand_in LANGUAGES C CXX)
include_directories(SYSTEM ${TFLM_INCLUDE_DIRS} "VENDOR")
add_definitions(-DTF_LITE_STATIC_MEMORY -DTF_LITE_STRIP_ERROR_STRINGS)
macro(zephyr_library_named name)
  set(ZEPHYR_CURRENT_LIBRARY ${name})
  add_library(${name} OBJECT)
endmacro()
function(zephyr_library_sources)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGV})
endfunction()
function(zephyr_include_directories)
  target_include_directories(${ZEPHYR_CURRENT_LIBRARY} PUBLIC ${ARGV})
endfunction()
function(zephyr_library_compile_definitions_ifdef option)
  if(${option})
    target_compile_definitions(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
  endif()
endfunction()
macro(idf_component_register)
  cmake_parse_arguments(_idf "" "" "SRCS;INCLUDE_DIRS;PRIV_REQUIRES" ${ARGN})
  get_filename_component(COMPONENT_LIB "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
  set(COMPONENT_LIB "idf_${COMPONENT_LIB}")
  if(_idf_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "unknown: ${_idf_UNPARSED_ARGUMENTS}")
  endif()
  add_library(${COMPONENT_LIB} OBJECT ${_idf_SRCS})
  target_include_directories(${COMPONENT_LIB} PUBLIC ${_idf_INCLUDE_DIRS})
endmacro()
set(CONFIG_KERAS_MTL_STREAM_INT8 y)
set(CONFIG_TENSORFLOW_LITE_MICRO_CMSIS_NN_KERNELS y)
add_subdirectory("COMPONENTS/zephyr/zephyr" zephyr)
add_subdirectory("COMPONENTS/esp-idf" esp)
"""


@pytest.fixture(scope="module")
def components(builder, make_artifact, tmp_path_factory) -> Path:
    """A folder with a component of each kind, by its name; `clip`: one of a network of clips, for CMake."""
    board, folder = load_target("stm32h743"), tmp_path_factory.mktemp("components")
    artifact, clip = make_two_state(builder, "int8"), make_artifact("int8")
    report = emulate(artifact, board, ("tflm",))
    for kind in KINDS:
        write_bundle([(artifact, report)], folder / kind, component=kind, model_version=3)
    file = clip.save(folder / "scenes.int8.tflite")
    arguments = [str(file), "--target", "stm32h743", "--engine", "tflm", "--as", "cmake", "--out", str(folder / "clip")]
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="module")
def plain(builder, tmp_path_factory) -> Path:
    """The same with networks in C."""
    folder = tmp_path_factory.mktemp("plain")
    artifact = make_two_state(builder, "int8")
    report = emulate(artifact, load_target("stm32h743"), ("tflm",), runtime="c99")
    for kind in KINDS:
        write_bundle([(artifact, report)], folder / kind, runtime="c99", component=kind)
    return folder


@pytest.mark.parametrize("kind", [*KINDS, "clip"])
def test_a_component_is_whole(components, kind):
    """Every file is listed, and everything that a text of it names is there."""
    folder = components / kind
    assert verify_bundle(folder).passed
    facts = json.loads((folder / "manifest.json").read_text())
    streams = kind != "clip"
    assert (facts["component"], facts["model_version"]) == ((kind, 3) if streams else ("cmake", 1))
    name = facts["name"]
    for path in [*(folder / "src").rglob("*.[ch]"), *(folder / "src").rglob("*.cc"), *(folder / "src").rglob("*.cpp")]:
        for included in re.findall(r'#include "([^"]+)"', path.read_text()):
            inside = (path.parent / included).resolve()
            assert inside.is_file() or included.startswith("tensorflow/lite/"), (path.name, included)
    readme = (folder / "README.md").read_text()
    assert "Nothing here was built with the vendor's tool" in readme
    assert f"src/{name}.h" in readme
    assert (folder / "examples" / "microphone").is_dir() == streams
    for named in re.findall(r"`((?:src|extras|examples)/[\w./-]+)`", readme):
        assert (folder / named).exists(), named
    bill = json.loads((folder / "sbom.cdx.json").read_text())
    (sources,) = (part for part in bill["components"] if part["bom-ref"] == "sources")
    assert f"src/{name}.h" in {part["name"] for part in sources["components"]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fixed", [False, True], ids=["float", "fixed point"])
def test_networks_in_c_need_no_interpreter(plain, kind, fixed, tmp_path):
    """With `runtime="c99"`: every source compiles, TensorFlow Lite Micro is not asked for, nothing is swapped."""
    require(HOST)
    folder = plain / kind
    assert verify_bundle(folder).passed
    assert json.loads((folder / "manifest.json").read_text())["runtime"] == "c99"
    texts = {path: path.read_text() for path in folder.rglob("*") if path.suffix in (".c", ".h", ".cc", ".cpp", ".yml")}
    assert not any(re.search(r"tensorflow|kmtl_tflm", text) for text in texts.values())
    assert not list(folder.rglob("*.kmtlimg")) and "no interpreter" in (folder / "README.md").read_text()
    sources = [path for path in texts if path.suffix == ".c" and (folder / "src") in path.parents]
    assert len(sources) > 10 and not [path for path in (folder / "src").rglob("*") if path.suffix in (".cc", ".cpp")]
    options = [
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-DKMTL_LOG_MEL_FIXED={int(fixed)}",
        "-I",
        str(folder / "src"),
    ]
    for source in sources if kind == "cmake" else ():
        _compile(HOST, options, [source])


def test_module_yml_is_zephyr_s(components):
    folder = components / "zephyr"
    module = yaml.safe_load((folder / "zephyr" / "module.yml").read_text())
    Draft202012Validator(_MODULE_YML).validate(module)
    # Both are relative to the module's root.
    assert (folder / module["build"]["cmake"] / "CMakeLists.txt").is_file()
    kconfig = (folder / module["build"]["kconfig"]).read_text()
    (option,) = re.findall(r"^config (\w+)$", kconfig, re.M)
    assert all(re.match(r"(#|config |\t|$)", line) for line in kconfig.splitlines())
    settings = (folder / "examples/microphone/prj.conf").read_text()
    assert f"CONFIG_{option}=y\n" in settings
    for depends in re.findall(r"^\tdepends on (\w+)$", kconfig, re.M):
        assert f"CONFIG_{depends}=y\n" in settings
    assert all(re.match(r"(#.*|CONFIG_\w+=\w+)?$", line) for line in settings.splitlines())


def test_idf_component_yml_is_the_component_manager_s(components):
    folder = components / "esp-idf"
    manifest = yaml.safe_load((folder / "idf_component.yml").read_text())
    Draft202012Validator(_IDF_COMPONENT_YML).validate(manifest)
    assert set(manifest["dependencies"]) == {"idf", "espressif/esp-tflite-micro"}
    main = folder / "examples" / "microphone" / "main"
    (dependency,) = yaml.safe_load((main / "idf_component.yml").read_text())["dependencies"].values()
    # `override_path` is relative to the manifest that has it.
    assert (main / dependency["override_path"]).resolve() == folder.resolve()
    rows = [
        [cell.strip() for cell in line.split(",")]
        for line in (main.parent / "partitions.csv").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert all(len(row) == 5 for row in rows)
    room = next(int(row[4], 0) for row in rows if row[0] == "model")
    assert room % 0x10000 == 0
    assert "CONFIG_ESPTOOLPY_FLASHSIZE_4MB=y" in (main.parent / "sdkconfig.defaults").read_text()
    assert 0x210000 + room <= 4 << 20
    assert 0 <= room - (folder / "extras" / "model.kmtlimg").stat().st_size < 0x10000


def test_library_properties_are_arduino_s(components):
    """Library specification 2.2: fields, layout, and names of files."""
    folder = components / "arduino"
    lines = (folder / "library.properties").read_text().splitlines()
    fields = dict(line.split("=", 1) for line in lines)
    assert len(fields) == len(lines)
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"}
    assert required <= set(fields) <= required | {"includes"}
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9 _.-]{0,62}", fields["name"])
    assert not fields["name"].lower().startswith("arduino")
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"])
    assert fields["category"] in _CATEGORIES
    assert all(fields.values())
    assert (folder / "src" / fields["includes"]).is_file()
    sources = [path for path in (folder / "src").rglob("*") if path.is_file()]
    assert {path.suffix for path in sources} == {".c", ".cpp", ".h"}
    # Only `src` is an include folder, and what lies beside it is not compiled.
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"src", "extras", "examples"}
    assert (folder / "examples" / "microphone" / "microphone.ino").is_file()
    assert not [path for path in sources if re.search(r"\bint main\s*\(", path.read_text())]


def test_library_json_is_platformio_s(components):
    folder = components / "platformio"
    manifest = json.loads((folder / "library.json").read_text())
    Draft202012Validator(_LIBRARY_JSON).validate(manifest)
    assert (folder / "src" / manifest["headers"][0]).is_file()
    (example,) = manifest["examples"]
    assert all((folder / example["base"] / file).is_file() for file in example["files"])
    project = (folder / example["base"] / "platformio.ini").read_text()
    assert f"\n  {manifest['name']}=symlink://../..\n" in project


@pytest.mark.parametrize("core", [HOST, _M0PLUS, CORTEX_M4F, _M33, CORTEX_M55], ids=lambda core: core.name)
def test_sources_compile_for_cores(components, tmp_path, core: Core):
    """All of a component with `src` as the only include folder, and the C examples."""
    _needs(core)
    include = ["-I", str(components / "cmake" / "src")]
    sources = [*(components / "cmake" / "src").rglob("*.c"), *(components / "cmake").glob("examples/*/*.c")]
    _compile(core, ["-std=c99", "-pedantic", "-Wconversion", *include], sources)
    if core is HOST:
        declare(components / "cmake", tmp_path)
        cpp = list((components / "cmake" / "src").rglob("*.cc"))
        assert len(cpp) == 8
        system = ["-isystem", str(tmp_path)]
        _compile(Core("host", ("g++",)), ["-std=c++11", "-pedantic", "-Wconversion", *include, *system], cpp)


@pytest.mark.parametrize("partition", [0, 1])
@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("zephyr", "src/main.c"),
        ("esp-idf", "main/main.c"),
        ("arduino", "microphone.ino"),
        ("platformio", "src/main.cpp"),
    ],
)
def test_examples_compile_against_the_vendors_apis(components, kind, file, partition):
    """With and without a partition for the model."""
    require(HOST)
    path = components / kind / "examples" / "microphone" / file
    options = ["-isystem", str(_VENDOR), "-I", str(components / kind / "src"), f"-DMODEL_PARTITION={partition}"]
    if path.suffix == ".c":
        return _compile(HOST, ["-std=gnu11", *options], [path])
    # Arduino's builder puts its core before a sketch.
    sketch = ["-x", "c++", "-std=gnu++17", "-include", "Arduino.h"] if kind == "arduino" else ["-std=gnu++17"]
    mapped = ["-DMODEL_ADDRESS=0x10000", "-DMODEL_BYTES=4096"] if partition else []
    return _compile(Core("host", ("g++",)), [*options, *mapped, *sketch], [path])


def test_build_files_of_zephyr_and_esp_idf_take_every_source(components, tmp_path):
    """Their CMake, with stand-ins for the vendors' functions: it configures, and names every source once."""
    if shutil.which("cmake") is None:
        pytest.skip("needs cmake")
    project = tmp_path / "project"
    project.mkdir()
    text = _STAND_INS.replace("VENDOR", str(_VENDOR)).replace("COMPONENTS", str(components))
    (project / "CMakeLists.txt").write_text(text)
    options = ["-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", "-DTFLM_INCLUDE_DIRS=/"]
    done = subprocess.run(
        ["cmake", "-S", str(project), "-B", str(tmp_path / "build"), *options], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    commands = json.loads((tmp_path / "build" / "compile_commands.json").read_text())
    built = [Path(entry["file"]).resolve() for entry in commands]
    for kind in ("zephyr", "esp-idf"):
        there = {path for path in (components / kind / "src").resolve().rglob("*") if path.suffix in (".c", ".cc")}
        assert sorted(path for path in built if (components / kind).resolve() in path.parents) == sorted(there)
    assert any("-DCMSIS_NN" in entry["command"] for entry in commands if "/zephyr/src/" in entry["file"])


def test_cmake_builds_the_example_for_a_pc(components, tmp_path):
    """Linked with a stand-in for TensorFlow Lite Micro, which starts no network; the example says so."""
    require(HOST)
    example = components / "cmake" / "examples" / "microphone"
    assert built_by_cmake(example, components / "cmake", tmp_path) == {f"{NAME}_microphone"}
    done = subprocess.run([tmp_path / "build" / f"{NAME}_microphone"], input=b"", capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (100, b"the networks do not start (1)\n")


def test_component_passes_its_self_test_and_predicts(components, tmp_path):
    """Networks on TensorFlow Lite Micro: what is called back is the golden."""
    require(HOST)
    folder, library = components / "arduino", tmp_path / "component.so"
    stub = tmp_path / "networks.c"
    stub.write_text(
        f'#include "{NAME}/listener_networks.h"\n'
        "int (*component_run)(void *, int, const void *const *, void *const *);\n"
        f"int {NAME}_run(void *context, int network, const void *const *inputs, void *const *outputs) {{\n"
        "  return component_run(context, network, inputs, outputs);\n}\n"
        f"int {NAME}_start_with(const unsigned char *const *models) {{ (void)models; return 0; }}\n"
    )
    sources = [str(path) for path in sorted((folder / "src").rglob("*.c"))]
    options = ["-std=c99", "-O1", "-fPIC", "-shared", "-I", str(folder / "src"), "-o", str(library)]
    done = subprocess.run(["gcc", *options, str(stub), *sources, "-lm"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    program = [sys.executable, str(HERE / "run_component.py"), str(library), str(folder), NAME]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["lines"][-1] == "PASS"
    assert found["lines"][0] == "features: passed"
    assert (found["started"], found["pushed"]) == (0, True)
    labels = json.loads((folder / "extras" / "artifact.json").read_text())["labels"]
    golden = np.fromfile(folder / "extras" / "golden_heard.bin", "<i4").reshape(-1, 5).tolist()
    names = [[kind, labels["events" if kind else "scenes"][label]] for kind, label, *_ in golden]
    assert len(found["heard"]) > 5
    for task in (True, False):
        goal = [name for name in names if (name[0] == 0) == task]
        heard = [row for row in found["heard"] if (row[0] == 0) == task]
        # The golden rows end with what `finish` gives, which a microphone never comes to.
        assert [row[:2] for row in heard] == goal[: len(heard)]
        times = [row[2] for row in heard]
        assert times[0] >= 0 and times[-1] > times[0]


@pytest.fixture(scope="module")
def image_library(tmp_path_factory) -> Any:
    """`kmtl_image` for this machine."""
    require(HOST)
    path = tmp_path_factory.mktemp("image") / "image.so"
    checked = ["-fsanitize=undefined", "-fno-sanitize-recover=all"]
    subprocess.run(
        ["gcc", "-std=c99", "-O1", "-fPIC", "-shared", *checked, "-o", str(path), str(_SOURCES / "kmtl_image.c")],
        check=True,
    )
    return ctypes.CDLL(str(path))


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000])
def test_sha256_is_hashlib_s(image_library, size):
    message, digest = np.random.default_rng(size).bytes(size), ctypes.create_string_buffer(32)
    image_library.kmtl_sha256(message, ctypes.c_size_t(size), digest)
    assert digest.raw == hashlib.sha256(message).digest()


_OK, _NO_IMAGE, _DAMAGED, _OTHER, _OLD = range(5)
_MODELS = (b"first model", b"a second one that is longer" * 3)
_INTERFACE = hashlib.sha256(b"of the firmware").digest()


def _open(
    library: Any, image: bytes, least: int = 1, interface: bytes = _INTERFACE, count: int = 2
) -> tuple[int, list]:
    # A copy that ends with the image: what is read beyond it is none of its bytes.
    place = ctypes.create_string_buffer(image, len(image))
    models = (ctypes.c_void_p * count)()
    status = library.kmtl_image_open(
        place, ctypes.c_size_t(len(image)), interface, least, models, ctypes.c_size_t(count)
    )
    begin = ctypes.addressof(place)
    return status, [None if model is None else image[model - begin :] for model in models]


def test_image_gives_its_networks(image_library):
    image = model_image(_MODELS, _INTERFACE, 7)
    status, found = _open(image_library, image, least=7)
    assert status == _OK
    assert [part[: len(model)] for part, model in zip(found, _MODELS, strict=True)] == [*_MODELS]
    assert [(len(image) - len(part)) % 16 for part in found] == [0, 0]
    # A partition is larger than what lies in it.
    assert _open(image_library, image + b"\xff" * 500)[0] == _OK


def test_image_that_does_not_fit_is_refused(image_library):
    image = model_image(_MODELS, _INTERFACE, 7)
    refused = {
        _NO_IMAGE: [b"\xff" * 4096, b"", image[:51], b"X" + image[1:]],
        _DAMAGED: [image[:-1], image[:60], image[:8] + b"\xff\xff\xff\xff" + image[12:]],
    }
    for status, images in refused.items():
        for each in images:
            assert _open(image_library, each) == (status, [None, None])
    assert _open(image_library, image, interface=bytes(32)) == (_OTHER, [None, None])
    assert _open(image_library, image, count=3) == (_OTHER, [None, None, None])
    assert _open(image_library, image, least=8) == (_OLD, [None, None])


def test_any_flipped_bit_of_an_image_is_found(image_library):
    image = model_image(_MODELS, _INTERFACE, 7)
    for bit in range(8 * len(image)):
        spoiled = bytearray(image)
        spoiled[bit // 8] ^= 1 << bit % 8
        assert _open(image_library, bytes(spoiled))[0] in (_NO_IMAGE, _DAMAGED)


@pytest.mark.parametrize("entry", [(0, 4), (8, 4), (1 << 31, 4), (80, 1 << 31), (17 * 16, 4)])
def test_image_with_a_wrong_table_is_refused(image_library, entry):
    """Hashes are right: whoever made it did so wrongly, or on purpose."""
    image = bytearray(model_image(_MODELS, _INTERFACE, 7))[:-32]
    image[52:60] = np.array(entry, "<u4").tobytes()
    assert _open(image_library, bytes(image) + hashlib.sha256(image).digest()) == (_DAMAGED, [None, None])


def test_image_of_a_component_fits_it(components, image_library):
    """The digest of `image.c` is the image's, and changes with what is compiled in, but not with weights."""
    folder = components / "cmake"
    cells = re.findall(r"0x(\w\w)", (folder / "src" / NAME / "image.c").read_text())
    image = (folder / "extras" / "model.kmtlimg").read_bytes()
    status, found = _open(image_library, image, least=3, interface=bytes.fromhex("".join(cells)), count=7)
    assert status == _OK
    models = sorted(path.read_bytes() for path in (folder / "extras" / "models").glob("*.tflite"))
    assert sorted(part[: len(model)] for part in found for model in models if part.startswith(model)) == models
    sources = {"a_data.cc": b"weights", "kmtl/kmtl_cells.c": b"code", "a_settings.h": b"scale 1"}
    same = {**sources, "a_data.cc": b"others"}
    assert interface_digest(same) == interface_digest(sources)
    assert interface_digest({**sources, "a_settings.h": b"scale 2"}) != interface_digest(sources)


def test_audio_queue_keeps_order_and_counts_what_is_lost(tmp_path):
    """Written and read at random by turns; what the queue refused is counted, and nothing else is missing."""
    require(HOST)
    library = tmp_path / "queue.so"
    source = _SOURCES / "kmtl_audio_queue.c"
    subprocess.run(["gcc", "-std=c99", "-fPIC", "-shared", "-o", str(library), str(source)], check=True)
    queue = ctypes.CDLL(str(library))
    queue.kmtl_audio_queue_room.restype = queue.kmtl_audio_queue_oldest.restype = ctypes.POINTER(ctypes.c_int16)
    state, samples = ctypes.create_string_buffer(64), (ctypes.c_int16 * 8)()
    queue.kmtl_audio_queue_init(state, samples, 2, 4)
    generator, waiting, lost = np.random.default_rng(1), [], 0
    for number in range(300):
        if generator.random() < 0.55:
            room = queue.kmtl_audio_queue_room(state)
            assert bool(room) == (len(waiting) < 4)
            if room:
                room[0], room[1] = number, -number
                queue.kmtl_audio_queue_filled(state)
                waiting.append(number)
            else:
                lost += 1
        else:
            block = queue.kmtl_audio_queue_oldest(state)
            assert bool(block) == bool(waiting)
            if block:
                assert (block[0], block[1]) == (waiting[0], -waiting[0])
                queue.kmtl_audio_queue_done(state)
                waiting.pop(0)
    assert queue.kmtl_audio_queue_lost(state) == lost > 0


@pytest.mark.parametrize("kind", KINDS)
def test_networks_that_are_compiled_in_need_no_interpreter_and_no_image(components, tmp_path, kind):
    """A bundle without TensorFlow Lite Micro, whose networks can't start with other files."""
    folder = components / "zephyr" / "src" / NAME
    added = ("image.", "kmtl_image.", "predictor.", "kmtl_tflm.h", ".cc")
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not any(part in path.name for part in added)
    }
    header = re.sub(rf"int {NAME}_start_with\([^)]*\);", "", files["listener_networks.h"].decode())
    files |= {"listener_networks.h": header.encode(), "Makefile": b"", "README.md": b"", "listener_main.c": b"int main"}
    made = component_files(kind, NAME, files, [])
    assert not [path for path in made if "kmtlimg" in path or "image." in path or path.endswith("listener_main.c")]
    manifests = b"".join(made.get(path, b"") for path in ("idf_component.yml", "CMakeLists.txt", "zephyr/Kconfig"))
    assert b"TENSORFLOW" not in manifests and b"TFLM" not in manifests and b"tflite" not in manifests
    assert b"Links no interpreter" in made["README.md"]
    assert b"over the air" not in made["README.md"]
    if kind == "cmake":
        _needs(HOST)
        for path, content in made.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content)
        sources = [tmp_path / "src" / NAME / "predictor.c", tmp_path / "examples" / "microphone" / "main.c"]
        _compile(HOST, ["-std=c99", "-pedantic", "-I", str(tmp_path / "src")], sources)


def test_includes_become_relative():
    """From the own folder, the root or `kmtl`, in this order; what lies nowhere stays."""
    sources = {
        "models/a.c": b'#include "a.h"\n#include "kmtl_nn.h"\n#include <string.h>\n#include "dsp/x.h"',
        "models/a.h": b"",
        "kmtl/kmtl_nn.h": b'#include "top.h"',
        "top.h": b'#include "kmtl/kmtl_nn.h"',
    }
    settled = relative_includes(sources)
    assert (
        settled["models/a.c"]
        == b'#include "a.h"\n#include "../kmtl/kmtl_nn.h"\n#include <string.h>\n#include "dsp/x.h"'
    )
    assert settled["kmtl/kmtl_nn.h"] == b'#include "../top.h"'
    assert settled["top.h"] == sources["top.h"]


def test_what_is_no_component_is_refused(make_artifact, tmp_path):
    artifact = make_artifact("int8")
    report = emulate(artifact, load_target("stm32h743"), ("tflm",))
    for options, says in (
        ({"component": "mbed"}, "no component as 'mbed'"),
        ({"component": "cmake", "names": ["n" * 51]}, "too long for a component"),
        ({"component": "cmake", "model_version": -1}, "no version of a model"),
        ({"component": "arduino", "names": ["arduino_sounds"]}, "Arduino's own libraries"),
    ):
        with pytest.raises(ArtifactError, match=says):
            write_bundle([(artifact, report)], tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()
    with pytest.raises(ArtifactError, match="a component holds one artifact, not 2"):
        write_bundle([(artifact, report)] * 2, tmp_path / "out", names=["a", "b"], component="cmake")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a.tflite", "b.tflite", "--as", "zephyr"], "--as takes one ARTIFACT"),
        (["a.tflite", "--model-version", "2"], "--model-version belongs to --as"),
        (["--verify", "folder", "--as", "zephyr"], "--verify takes a folder and nothing else"),
        (["a.tflite", "--as", "mbed"], "'mbed' is not one of"),
    ],
)
def test_wrong_use_of_the_command(arguments, says):
    done = CliRunner().invoke(
        command, [*arguments, *([] if "--verify" in arguments else ["--target", "x", "--out", "y"])]
    )
    assert done.exit_code == 2
    assert says in done.output


def test_command_names_every_kind():
    (option,) = (option for option in command.params if option.name == "component")
    assert option.type.choices == KINDS


def _needs(core: Core) -> None:
    if core is HOST:
        require(core)
    elif shutil.which(core.compiler[0]) is None:
        pytest.skip(f"needs {core.compiler[0]}; `make test-firmware` gets what it may")


def _compile(core: Core, options: list[str], sources: list[Path]) -> None:
    assert sources
    done = subprocess.run(
        [*core.compiler, *_STRICT, *options, *map(str, sources)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
