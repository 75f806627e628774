"""Bundles built by their own `CMakeLists.txt`, against what a release of TensorFlow Lite Micro has and lacks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from c_programs import HOST, require
from small_artifacts import make_two_state
from tflm_declarations import RELEASE, built_by_cmake

from keras_mtl.firmware_host.bundle import write_bundle
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.targets import load_target

_DEVICE = Path(__file__).parents[2] / "docs" / "device.md"


@pytest.fixture(scope="module")
def bundles(make_artifact, builder, tmp_path_factory) -> Path:
    """A folder with the bundles of a network and of a streaming artifact."""
    board, artifacts = load_target("stm32h743"), (make_artifact("int8"), make_two_state(builder, "int8"))
    checked = [(artifact, emulate(artifact, board, ("tflm",))) for artifact in artifacts]
    return write_bundle(checked, tmp_path_factory.mktemp("bundles") / "firmware").path


def test_bundle_links_with_a_release_of_tflm(bundles, tmp_path):
    """Such a library has no `MicroPrintf`, which its headers call unless they know that messages are stripped."""
    require(HOST)
    folder = bundles / "scenes_int8"
    assert built_by_cmake(folder, bundles, tmp_path) == {"scenes_int8_selftest_main"}


def test_two_bundles_build_in_one_project(bundles, tmp_path):
    require(HOST)
    project = tmp_path / "firmware"
    project.mkdir()
    folders = [path.parent for path in sorted(bundles.glob("*/CMakeLists.txt"))]
    added = [f'add_subdirectory("{folder}" {folder.name})' for folder in folders]
    # All programs in one folder, as some projects want it.
    lines = ["cmake_minimum_required(VERSION 3.16)", "project(firmware LANGUAGES C CXX)"]
    lines += ['set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")', *added]
    (project / "CMakeLists.txt").write_text("\n".join(lines))
    programs = {f"{folder.name}_selftest_main" for folder in folders} | {"stream_int8_listen"}
    assert built_by_cmake(project, bundles, tmp_path) == programs
    assert len(programs) == 3


def test_texts_agree_on_what_a_release_of_tflm_defines(bundles):
    """CMakeLists.txt, README and device.md; NDEBUG is for the library alone, since its headers compute the same."""
    wanted = {name for name in RELEASE if name.startswith("TF_LITE_")}
    for folder in (bundles / "scenes_int8", bundles / "stream_int8"):
        (default,) = re.findall(r'set\(TFLM_DEFINITIONS "([^"]*)"', (folder / "CMakeLists.txt").read_text())
        assert set(default.split(";")) == wanted
        readme = (folder / "README.md").read_text()
        assert "`BUILD_TYPE=release`" in readme
        assert {f"`{name}`" for name in wanted} <= set(re.findall(r"`[^`]*`", readme))
        assert f"build/{folder.name}_selftest_main" in readme
    told = _DEVICE.read_text().split("## Steps")[1].split("###")[0]
    assert all(f"`{name}`" in told for name in ("BUILD_TYPE=release", *wanted))
