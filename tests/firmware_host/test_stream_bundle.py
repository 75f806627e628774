"""Bundles of streaming artifact: their golden results, their sources, and what they need on a board.

Their self-tests are in test_bundle_selftest.py, and on emulated cores in test_c_bundles.py.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_programs import HERE
from click.testing import CliRunner
from small_artifacts import DECODED_OTHERWISE, FEATURES, ODD_NAMES, make_two_state
from tflm_declarations import check_for_tflm

from keras_mtl.cli.bundle import command
from keras_mtl.core import ArtifactError, Labels, VerdictFailed
from keras_mtl.decoding import DecodeSettings, Grid
from keras_mtl.firmware_host.bundle import bundle_names, verify_bundle, write_bundle
from keras_mtl.firmware_host.bundle.golden.chain import frames_of
from keras_mtl.firmware_host.device import LISTENER_STATE_BYTES
from keras_mtl.firmware_host.device.predictor import LogMelStream
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.targets import load_target

KINDS: dict[str, tuple[Any, ...]] = {
    "both ways": ("int8",),
    "causal": ("int16", 2),
    "scenes": ("int8", 0, "scenes"),
    "otherwise": ("int8", 0, "joint", DECODED_OTHERWISE),
    "named": ("int8", 0, "joint", DecodeSettings(0.5, 0.06), Labels(ODD_NAMES, ODD_NAMES[:3])),
}


@pytest.fixture(scope="module")
def bundled(builder, tmp_path_factory) -> Callable[[str], tuple[Any, Any, Path]]:
    """A streaming artifact, its report and its bundle."""

    @functools.cache
    def write(kind: str) -> tuple[Any, Any, Path]:
        artifact = make_two_state(builder, *KINDS[kind])
        report = emulate(artifact, load_target("stm32h743"), ("tflm",))
        folder = tmp_path_factory.mktemp("bundle") / "firmware"
        return artifact, report, write_bundle([(artifact, report)], folder).path

    return write


@pytest.mark.parametrize("kind", KINDS)
def test_golden_detections_are_those_of_the_predictor(bundled, tmp_path, kind):
    """The golden log-mel, pushed into `StreamPredictor`, gives the golden scenes and events."""
    artifact, _, folder = bundled(kind)
    artifact.save(tmp_path / "artifact")
    samples = (folder / "golden_audio.bin").stat().st_size // 2
    heard_bytes = frames_of(FEATURES, samples) * FEATURES.mel_bands * (2 if kind == "causal" else 1)
    (tmp_path / "frames").write_bytes((folder / "golden_network_input.bin").read_bytes()[:heard_bytes])
    (tmp_path / "out").mkdir()
    arguments = [str(tmp_path / part) for part in ("artifact", "frames", "out")]
    program = [sys.executable, str(HERE / "record_listener.py"), *arguments, "frames"]
    subprocess.run(program, check=True, capture_output=True, timeout=120)
    wanted = json.loads((tmp_path / "out" / "heard.json").read_text())
    wanted.sort(key=lambda each: each["kind"] != "scene")
    rows = np.fromfile(folder / "golden_heard.bin", "<i4").reshape(-1, 5).tolist()
    assert [_as_told(row, artifact) for row in rows] == [
        {key: each[key] for key in ("kind", "label", "onset_s", "offset_s")}
        | {"score": None if each["kind"] == "scene" else each["score"]}
        for each in wanted
    ]
    events = set() if kind == "scenes" else {"event_begin", "event_end"}
    assert {each["kind"] for each in wanted} == {"scene", *events}


def _as_told(row: list[int], artifact: Any) -> dict[str, Any]:
    """A golden row as `Detection` has it, but for the score of a scene and for when it was known."""
    number, label, step, onset, score_sum = row
    wiring, kind = artifact.wiring, ("scene", "event_begin", "event_end")[number]
    grid = Grid.over(FEATURES, wiring.stream.stride, wiring.stream.stride)
    onset_s, end_s = (round(max(0.0, grid.start_s + grid.step_s * each), 6) for each in (onset, step))
    labels = artifact.facts.labels
    told = {"kind": kind, "label": (labels.events if number else labels.scenes)[label]}
    told |= {"onset_s": onset_s, "offset_s": None, "score": None}
    if kind == "event_end":
        port = artifact.members[wiring.classifiers].outputs[0]
        mean = score_sum / (step - onset) - port.zero
        told |= {"offset_s": end_s, "score": round(float(mean * port.scale), 6)}
    return told


@pytest.mark.parametrize("samples", [0, 1, 900, 2_000, 16_000, 16_001, 16_159])
def test_frames_of_samples_are_those_of_the_front_end(samples):
    assert frames_of(FEATURES, samples) == len(LogMelStream(FEATURES).push(np.zeros(samples, np.int16)))


@pytest.mark.parametrize("kind", KINDS)
def test_cpp_is_well_formed_and_has_one_arena(bundled, tmp_path, kind):
    artifact, report, folder = bundled(kind)
    assert check_for_tflm(folder, tmp_path) == len(artifact.members) + 1  # and what runs them
    source = (folder / "listener_networks.cc").read_text()
    assert source.count("_ARENA_BYTES]") == 1
    facts = json.loads((folder / "manifest.json").read_text())
    name = facts["name"].upper()
    assert f"#define {name}_ARENA_BYTES {facts['arena_bytes']}\n" in (folder / "listener_networks.h").read_text()
    others = sum(size for buffer, size in facts["buffers"].items() if buffer not in ("history", "ring"))
    assert f"#define {name}_LISTENER_BUFFER_BYTES ({others}u + " in (folder / "listener.h").read_text()
    assert f"\nadd_executable({name.lower()}_listen listener_main.c)\n" in (folder / "CMakeLists.txt").read_text()
    # What the emulator held against the board is what the folder has.
    told = report.artifact["memory"]
    assert told["arena_bytes"] == facts["arenas"]
    assert told["shared_arena_bytes"] == facts["arena_bytes"]
    assert told["listener_bytes"] == sum(facts["buffers"].values()) + LISTENER_STATE_BYTES
    readme = (folder / "README.md").read_text()
    assert f"one arena of {facts['arena_bytes']:,} bytes" in readme
    assert ("bidirectional" in readme) == (kind == "both ways")
    assert bool(re.search(r"The longest push is .* M\s+cycles by .* at 480 MHz: [\d,]+ samples", readme, re.S)) == (
        kind == "both ways"
    )


def test_two_streaming_artifacts_are_told_apart_by_their_folders(bundled):
    artifact, *_ = bundled("causal")
    assert bundle_names([(artifact, "kitchen.int16x8/")]) == [f"stream_{artifact.facts.format}"]
    paths = ("rooms/kitchen.int16x8/", "rooms/hall/artifact.json")
    assert bundle_names([(artifact, path) for path in paths]) == ["kitchen_int16x8", "hall"]


def test_emulator_and_bundle_agree_on_the_last_byte_of_ram(bundled, tmp_path):
    """Arena, interpreters and the listener's struct with the front end fill a board; a byte less is too little."""
    artifact, report, folder = bundled("both ways")
    facts = json.loads((folder / "manifest.json").read_text())
    needed = facts["arena_bytes"] + sum(facts["buffers"].values()) + LISTENER_STATE_BYTES
    needed += report.artifact["memory"]["interpreter_bytes"] + report.artifact["memory"]["kept_audio_bytes"]
    board = load_target("stm32h743")
    full = replace(board, arena_ram_bytes=needed + (board.application_ram_bytes or 0))
    passed = emulate(artifact, full, ("tflm",))
    assert passed.passed, passed.failures()
    assert (passed.check("arena_bytes").value, passed.check("arena_bytes").limit) == (needed, needed)
    write_bundle([(artifact, passed)], tmp_path / "firmware")
    short = replace(full, arena_ram_bytes=(full.arena_ram_bytes or 0) - 1)
    failed = emulate(artifact, short, ("tflm",))
    assert [check.name for check in failed.checks if not check.ok] == ["arena_bytes"]
    assert f"{needed:,} bytes is over {needed - 1:,}" in failed.check("arena_bytes").why
    with pytest.raises(VerdictFailed, match="arena_bytes"):
        write_bundle([(artifact, failed)], tmp_path / "none")
    # A report that was kept while the board became smaller.
    with pytest.raises(VerdictFailed, match="does not fit stm32h743") as refused:
        write_bundle([(artifact, replace(report, target=short.to_dict()))], tmp_path / "none")
    assert f"{needed:,} bytes is over" in str(refused.value)
    assert not (tmp_path / "none").exists()


def test_command_writes_the_same_folder(bundled, tmp_path):
    artifact, _, folder = bundled("causal")
    saved, out = artifact.save(tmp_path / "artifact"), tmp_path / "firmware"
    done = CliRunner().invoke(command, [str(saved), "--target", "stm32h743", "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    assert verify_bundle(out).passed
    # All engines ran for this one, so the reports differ, and what tells of them.
    apart = {"report.json", "README.md", "manifest.json", "sbom.cdx.json"}
    files = {path.relative_to(out) for path in out.rglob("*") if path.is_file()}
    assert files == {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    differ = {str(file) for file in files if (out / file).read_bytes() != (folder / file).read_bytes()}
    assert differ <= apart


def test_windowed_set_is_refused_before_it_is_emulated(tmp_path):
    known = {"schema": "keras_mtl.artifact_set/1", "part": "joint", "format": "int8", "wiring": {"windows": {}}}
    (tmp_path / "set.json").write_text(json.dumps(known))
    out = tmp_path / "firmware"
    done = CliRunner().invoke(command, [str(tmp_path), "--target", "stm32h743", "--out", str(out)])
    assert isinstance(done.exception, ArtifactError), done.output
    assert "keras_mtl convert RUN --part joint --format int8" in str(done.exception.hint)
    assert "checking" not in done.stderr
    assert not out.exists()
