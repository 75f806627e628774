"""The firmware folder: contents, determinism, compiled sources, refusals.

The sources are compiled and run with the host's compiler. The resolver is compiled against a few declarations written
here, since no package ships TensorFlow Lite Micro's headers.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.core import ArtifactError, KerasMtlError, LogMelSettings, VerdictFailed
from keras_mtl.firmware_host.bundle import verify_bundle, write_bundle
from keras_mtl.firmware_host.bundle.text.resolver import registrations
from keras_mtl.firmware_host.bundle.text.settings import settings_header
from keras_mtl.firmware_host.c99 import identifier, real, string, values
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.engines import run
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.firmware_host.views import compute_lines
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact, Facts

ENGINES_RUN = ("tflm", "litert")
compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
FILES = {
    "CMakeLists.txt",
    "README.md",
    "golden_audio.bin",
    "golden_audio.c",
    "golden_audio.h",
    "golden_fixed_levels.bin",
    "golden_input.bin",
    "golden_levels.bin",
    "golden_network_input.bin",
    "golden_network_output.bin",
    "golden_output.bin",
    "golden_reference.bin",
    "golden_scene.bin",
    "golden_vectors.c",
    "golden_vectors.h",
    "kmtl/kmtl_log_mel.c",
    "kmtl/kmtl_log_mel.h",
    "kmtl/kmtl_log_mel_fixed.c",
    "kmtl/kmtl_log_mel_fixed.h",
    "kmtl/kmtl_log_mel_float.c",
    "kmtl/kmtl_log_mel_float.h",
    "kmtl/kmtl_network.h",
    "kmtl/kmtl_scene_smoother.c",
    "kmtl/kmtl_scene_smoother.h",
    "kmtl/kmtl_selftest.c",
    "kmtl/kmtl_selftest.h",
    "kmtl/kmtl_tflm.h",
    "kmtl/scenes_int8_log_mel_tables.c",
    "kmtl/scenes_int8_log_mel_tables.h",
    "manifest.json",
    "model.tflite",
    "model_data.cc",
    "model_data.h",
    "model_networks.cc",
    "model_networks.h",
    "model_resolver.h",
    "model_settings.h",
    "report.json",
    "sbom.cdx.json",
    "selftest.c",
    "selftest.h",
    "selftest_main.c",
}
#: What of TensorFlow Lite Micro the resolver touches, with a count of what was registered.
SHIM = """
#pragma once
#include <cstdint>
#include <string>
enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
namespace tflite {
struct TFLMRegistration { const char* kernel; };
inline TFLMRegistration Register_CONV_2D_INT8() { return {"CONV_2D_INT8"}; }
inline TFLMRegistration Register_CONV_2D_INT16() { return {"CONV_2D_INT16"}; }
inline TFLMRegistration Register_MAX_POOL_2D_INT8() { return {"MAX_POOL_2D_INT8"}; }
inline TFLMRegistration Register_MAX_POOL_2D_INT16() { return {"MAX_POOL_2D_INT16"}; }
inline TFLMRegistration Register_FULLY_CONNECTED_INT8() { return {"FULLY_CONNECTED_INT8"}; }
inline TFLMRegistration Register_FULLY_CONNECTED_INT16() { return {"FULLY_CONNECTED_INT16"}; }
template <unsigned int N> class MicroMutableOpResolver {
 public:
  std::string added;
  unsigned int count = 0;
  TfLiteStatus AddConv2D(const TFLMRegistration& r = {"any"}) { return Add("Conv2D", r); }
  TfLiteStatus AddMaxPool2D(const TFLMRegistration& r = {"any"}) { return Add("MaxPool2D", r); }
  TfLiteStatus AddFullyConnected(const TFLMRegistration& r = {"any"}) { return Add("FullyConnected", r); }
 private:
  TfLiteStatus Add(const char* op, const TFLMRegistration& r) {
    if (count == N) return kTfLiteError;
    ++count;
    added += std::string(op) + ":" + r.kernel + " ";
    return kTfLiteOk;
  }
};
}
"""
PROGRAM = """
#include <cstdint>
#include <cstdio>
#include "golden_vectors.h"
#include "model_data.h"
#include "model_resolver.h"
#include "model_settings.h"
int main() {
  keras_mtl::NAME::OpResolver resolver;
  if (keras_mtl::NAME::RegisterOperators(&resolver) != kTfLiteOk) return 2;
  if (reinterpret_cast<std::uintptr_t>(NAME_model) % 16 != 0) return 3;
  static const char* const labels[] = PREFIX_SCENES_LABELS;
  std::fprintf(stderr, "%s|%d|%s|%d|%d|%.9g|%.9g\\n", resolver.added.c_str(), PREFIX_ARENA_BYTES,
               labels[PREFIX_SCENES_COUNT - 1], PREFIX_MEL_BANDS, PREFIX_INPUT_ELEMENTS,
               static_cast<double>(PREFIX_INPUT_PER_DB), static_cast<double>(PREFIX_INPUT_AT_0_DB));
  std::fwrite(NAME_model, 1, NAME_model_bytes, stdout);
  std::fwrite(NAME_golden_input, 1, sizeof(NAME_golden_input), stdout);
  std::fwrite(NAME_golden_output, 1, sizeof(NAME_golden_output), stdout);
  return PREFIX_GOLDEN_COUNT == 3 ? 0 : 4;
}
"""


@pytest.fixture(scope="module")
def board():
    return load_target("stm32h743")


@pytest.fixture(scope="module")
def checked(make_artifact, board):
    formats = ("int8", "int16x8", "float16")
    return {fmt: (make_artifact(fmt), emulate(make_artifact(fmt), board, ENGINES_RUN)) for fmt in formats}


@pytest.fixture(scope="module")
def folder(checked, tmp_path_factory):
    return write_bundle([checked["int8"]], tmp_path_factory.mktemp("bundle") / "firmware").path


def test_folder_holds_what_it_says(folder, checked):
    artifact, _ = checked["int8"]
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == FILES
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["schema"] == "keras_mtl.bundle/1"
    assert manifest["artifact"]["sha256"] == hashlib.sha256(artifact.network.content).hexdigest()
    assert {entry["path"] for entry in manifest["files"]} == FILES - {"manifest.json"}
    for entry in manifest["files"]:
        content = (folder / entry["path"]).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert (folder / "model.tflite").read_bytes() == artifact.network.content


def test_golden_output_is_what_tflm_gives(folder, checked):
    artifact, _ = checked["int8"]
    given = artifact.golden.inputs["input_0"]
    inputs = np.frombuffer((folder / "golden_input.bin").read_bytes(), np.int8).reshape(given.shape)
    np.testing.assert_array_equal(inputs, given)
    outputs = np.frombuffer((folder / "golden_output.bin").read_bytes(), np.int8).reshape(len(inputs), -1)
    np.testing.assert_array_equal(outputs, run("tflm", artifact, {"input_0": inputs}).outputs["output_0"])
    reference = np.frombuffer((folder / "golden_reference.bin").read_bytes(), np.int8).reshape(outputs.shape)
    np.testing.assert_array_equal(reference, artifact.golden.outputs["output_0"])


def test_readme_names_every_file_and_leaves_nothing_open(folder):
    text = (folder / "README.md").read_text()
    for name in FILES - {"README.md"}:
        assert f"`{name}`" in text
    of_the_shell = re.sub(r"```sh\n.*?```", "", text, flags=re.S).replace("$TFLM_INCLUDE_DIRS", "")
    assert not re.search(r"\$\{?\w", of_the_shell.replace("$TFLM_LIBRARY", ""))
    assert "Apache-2.0" in text


def test_readme_has_the_estimate_and_what_is_not_in_it(folder, checked):
    text = (folder / "README.md").read_text()
    total, cycles, *_ = compute_lines(checked["int8"][1].compute)
    assert "instructions for a second of audio" in total and "M cycles" in cycles
    for words in (
        total,
        cycles,
        "43.2 M on an M0+",
        "Front end and decoders are in it",
        "`scenes_int8_run` is not re-entrant",
    ):
        assert words in text


def test_settings_say_window_and_fft_apart(checked):
    member = checked["int8"][0].network
    features = LogMelSettings(32_000, window=3072, fft=4096, hop=500, keep_last_frame=True).to_dict()

    def settings() -> str:
        known = replace(member, facts=Facts({**member.facts.values, "features": features}))
        return settings_header("net", known, 1000, (1024, 1040))

    text = settings()
    for line in ("NET_WINDOW 3072", "NET_FFT 4096", "NET_HOP 500", "NET_KEEP_LAST_FRAME 1", "NET_HIGH_HZ 16000.0f"):
        assert f"#define {line}\n" in text
    assert "is a frame too" in text
    for key in ("fft", "keep_last_frame"):  # a file from before there were these
        del features[key]
    text = settings()
    assert "#define NET_FFT 3072\n" in text
    assert "#define NET_KEEP_LAST_FRAME 0\n" in text
    assert "is no frame" in text


def test_arena_is_the_one_that_the_check_held_against_the_board(folder, checked):
    report = checked["int8"][1]
    setting = json.loads((folder / "manifest.json").read_text())["arena_bytes"]
    assert setting % 16 == 0
    assert setting == report.arena["device"]["arena_bytes"]
    assert report.check("arena_bytes").value == setting + report.arena["device"]["interpreter_bytes"]


def test_arena_has_the_reserve_of_the_target(make_artifact, board, tmp_path):
    own = replace(board, arena_reserve_bytes=2048)
    artifact = make_artifact("int8")
    report = emulate(artifact, own, ("tflm",))
    folder = write_bundle([(artifact, report)], tmp_path / "firmware").path
    device = report.arena["device"]
    planned = max(device["activations_bytes"], device["planning_bytes"]) + device["persistent_bytes"]
    settings = (folder / "model_settings.h").read_text()
    assert f"_ARENA_BYTES {-(-(planned + 2048) // 16) * 16}\n" in settings
    assert f"_ARENA_MEASURED_BYTES {report.arena['measured_bytes']}\n" in settings


def test_same_artifact_gives_the_same_bytes(folder, checked, make_artifact, board, tmp_path):
    again = emulate(make_artifact("int8"), board, ENGINES_RUN, path="/somewhere/else.tflite")
    other = write_bundle([(make_artifact("int8"), again)], tmp_path / "again").path
    assert all((other / name).read_bytes() == (folder / name).read_bytes() for name in FILES)


@compiler
@pytest.mark.parametrize("fmt", ["int8", "int16x8"])
def test_sources_compile_without_a_warning_and_hold_the_model(checked, fmt, tmp_path):
    artifact, _ = checked[fmt]
    folder = write_bundle([checked[fmt]], tmp_path / "firmware").path
    shim = tmp_path / "shim" / "tensorflow" / "lite" / "micro" / "micro_mutable_op_resolver.h"
    shim.parent.mkdir(parents=True)
    shim.write_text(SHIM)
    name, strict = f"scenes_{fmt}", ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion"]
    program = tmp_path / "main.cc"
    program.write_text(PROGRAM.replace("NAME", name).replace("PREFIX", name.upper()))
    includes = [f"-I{folder}", f"-I{tmp_path / 'shim'}"]
    vectors = tmp_path / "vectors.o"
    subprocess.run(["gcc", "-std=c99", *strict, "-c", str(folder / "golden_vectors.c"), "-o", str(vectors)], check=True)
    sources = [str(program), str(folder / "model_data.cc"), str(vectors)]
    subprocess.run(["g++", "-std=c++11", *strict, *includes, *sources, "-o", str(tmp_path / "main")], check=True)
    done = subprocess.run([str(tmp_path / "main")], capture_output=True, check=True)
    golden_output = (folder / "golden_output.bin").read_bytes()
    first = 3 * artifact.golden.inputs["input_0"][0].nbytes
    expected = (
        artifact.network.content
        + artifact.golden.inputs["input_0"].tobytes()[:first]
        + golden_output[: 3 * 5 * artifact.golden.outputs["output_0"].itemsize]
    )
    assert done.stdout == expected
    kind = "INT8" if fmt == "int8" else "INT16"
    added, arena, label, bands, elements, per_db, at_0_db = done.stderr.decode().strip().split("|")
    assert added.split() == [
        f"Conv2D:CONV_2D_{kind}",
        f"FullyConnected:FULLY_CONNECTED_{kind}",
        f"MaxPool2D:MAX_POOL_2D_{kind}",
    ]
    assert int(arena) % 16 == 0
    assert (label, int(bands), int(elements)) == ('"Straße" ??/1', 6, 48)
    (port,), level = artifact.network.inputs, -31.5
    normalised = (level + 40.0) / 12.0
    assert float(per_db) * level + float(at_0_db) == pytest.approx(normalised / port.scale + port.zero_point, rel=1e-5)


@compiler
def test_several_inputs_and_outputs_get_a_number_each(odd_models, board, tmp_path):
    artifact = Artifact.build(odd_models["several_ports"], {"part": "cell", "format": "float32", "audio_seconds": 1.0})
    folder = write_bundle([(artifact, emulate(artifact, board, ENGINES_RUN))], tmp_path / "firmware").path
    vectors = {path.name for path in folder.glob("golden_*.bin")}
    assert vectors == {f"golden_{kind}_{i}.bin" for kind in ("input", "output") for i in (0, 1)}
    a, twice = (np.frombuffer((folder / f"golden_{end}_0.bin").read_bytes(), "<f4") for end in ("input", "output"))
    np.testing.assert_array_equal(twice, 2 * a)
    text = (folder / "README.md").read_text()
    assert all(f"`{name}`" in text for name in vectors)
    assert "inputs of float32 1x4, float32 1x2" in text
    (tmp_path / "main.c").write_text(
        '#include "golden_vectors.h"\n#include "model_settings.h"\n'
        '_Static_assert(CELL_FLOAT32_INPUT_1_ELEMENTS == 2, "");\n'
        '_Static_assert(sizeof(cell_float32_golden_output_1[0]) == 4 * CELL_FLOAT32_OUTPUT_1_ELEMENTS, "");\n'
    )
    strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", f"-I{folder}"]
    subprocess.run(["gcc", *strict, str(tmp_path / "main.c"), str(folder / "golden_vectors.c")], check=True)


def test_two_artifacts_get_a_folder_each(checked, tmp_path):
    bundle = write_bundle([checked["int8"], checked["int16x8"]], tmp_path / "both")
    names = ("scenes_int8", "scenes_int16x8")
    expected = {f"{name}/{file.replace('scenes_int8', name)}" for name in names for file in FILES}
    above = {"CMakeLists.txt", "README.md"}
    assert set(bundle.files) == expected | above | {"manifest.json"}
    assert verify_bundle(bundle.path).files == len(expected | above)
    assert all(verify_bundle(bundle.path / name).passed for name in names)
    assert all((bundle.path / file).is_file() for file in bundle.files)
    with pytest.raises(ArtifactError, match="clash in a firmware: scenes_int8, scenes_int8"):
        write_bundle([checked["int8"], checked["int8"]], tmp_path / "twice")
    assert [path.name for path in tmp_path.iterdir()] == ["both"]


def test_failed_artifact_is_refused_and_nothing_is_left(checked, tmp_path):
    with pytest.raises(VerdictFailed, match="TFLM has no float16 kernels"):
        write_bundle([checked["int8"], checked["float16"]], tmp_path / "deep" / "firmware")
    assert list(tmp_path.iterdir()) == []


def test_budget_does_not_make_a_firmware_of_what_tflm_refuses(make_artifact, tmp_path):
    artifact = make_artifact("float16")
    report = emulate(artifact, load_target("dcase-asc"), ENGINES_RUN)
    assert report.passed
    with pytest.raises(VerdictFailed, match="does not run in TFLM"):
        write_bundle([(artifact, report)], tmp_path / "firmware")
    assert list(tmp_path.iterdir()) == []


def test_report_must_be_on_the_same_artifact(checked, tmp_path):
    with pytest.raises(ArtifactError, match="not on this artifact"):
        write_bundle([(checked["int8"][0], checked["int16x8"][1])], tmp_path / "firmware")


def test_folder_that_holds_something_is_kept(checked, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(KerasMtlError, match="not an empty folder"):
        write_bundle([checked["int8"]], tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_typed_registrations_only_where_all_uses_agree(models):
    calls = {fmt: registrations(flatbuffer.read_model(models[fmt])) for fmt in ("int8", "int16x8", "float32")}
    assert calls["int8"][0] == "AddConv2D(tflite::Register_CONV_2D_INT8())"
    assert calls["int16x8"][1] == "AddFullyConnected(tflite::Register_FULLY_CONNECTED_INT16())"
    assert calls["float32"] == ("AddConv2D()", "AddFullyConnected()", "AddMaxPool2D()")
    mixed = flatbuffer.read_model(models["int8"])
    mixed.subgraphs.append(flatbuffer.read_model(models["int16x8"]).subgraphs[0])
    assert registrations(mixed) == calls["float32"]


def test_weights_of_four_bits_have_registrations_of_their_own(models):
    """A kernel registered for weights of 8 bits reads two of 4 bits as one."""
    model = flatbuffer.read_model(models["int8"])
    for graph, operator in flatbuffer.operators(model):
        if flatbuffer.op_name(model, operator) in ("CONV_2D", "FULLY_CONNECTED"):
            flatbuffer.op_inputs(graph, operator)[1].type = schema.TensorType.INT4
    expected = (
        "AddConv2D(tflite::Register_CONV_2D_INT4())",
        "AddFullyConnected(tflite::Register_FULLY_CONNECTED_INT4())",
    )
    assert registrations(model)[:2] == expected


def test_pieces_of_c():
    assert identifier("Scenes int16x8!") == "scenes_int16x8"
    assert identifier("8-bit") == "m_8_bit"
    assert (real(1), real(0.1), real(1e-10)) == ("1.0f", "0.100000001f", "1.00000001e-10f")
    assert real(-11.5) == "(-11.5f)"
    assert string('a "b" \\ ü') == r'"a \042b\042 \134 \303\274"'
    assert string("what??/7") == r'"what\077\077/7"'
    assert values(b"\x00\xff").split() == ["0x00,", "0xff,"]
    assert values(np.array([-128, 127], np.int8)).split() == ["-128,", "127,"]
