"""Every system as files: MACs and parameters counted from the file are the network's, and who passes `dcase-asc`."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_mtl.core import DCASE
from keras_mtl.cost import cost
from keras_mtl.cost.network import Cost
from keras_mtl.firmware_host.emulate import emulate
from keras_mtl.firmware_host.targets import load_target
from keras_mtl.models import build, build_event_part, build_scene_part
from keras_mtl.recipes import SYSTEMS, Recipe, to_toml
from keras_mtl.runs import Run, Samples, save_samples
from keras_mtl.runs.folder import SCHEMA
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.convert import convert
from keras_mtl.tflite.quantize import quantize_network

OF_SCENES = [name for name, system in SYSTEMS.items() if "scenes" in system.tasks and name != "mt"]
OF_EVENTS = [name for name, system in SYSTEMS.items() if "events" in system.tasks and name != "mt"]
CLIPS = 6
_EVENT_CLIP_S = 10


def _uneven(network: keras.Model) -> None:
    """No normalisation with statistics that do nothing, and no bias of 0: a fold that is wrong must show."""
    generator = np.random.default_rng(3)
    for layer in network._flatten_layers(include_self=False):
        if isinstance(layer, keras.layers.BatchNormalization):
            width = layer.gamma.shape[0]
            statistics = generator.normal(0, 0.3, width), generator.uniform(0.3, 1.5, width)
            layer.set_weights([generator.uniform(0.6, 1.6, width), generator.normal(0, 0.3, width), *statistics])
    for weight in network.weights:
        if "bias" in weight.path:
            weight.assign(weight.numpy() + generator.uniform(0.02, 0.2, weight.shape))


def _clips(settings, seconds: int, count: int) -> np.ndarray:
    generator = np.random.default_rng(1)
    frames, bands = settings.frames(seconds * settings.sample_rate_hz), settings.mel_bands
    drift = generator.normal(size=(count, frames, 1)).cumsum(1) * 0.1
    colour = generator.normal(size=(count, 1, bands)).cumsum(2) * 0.1
    return (drift + colour + generator.normal(size=(count, frames, bands)) * 0.4).astype(np.float32)


def _save(
    folder: Path, system: str, network: keras.Model, scheme: str | None = None, qat: keras.Model | None = None
) -> Run:
    known = SYSTEMS[system]
    network.save(folder / "network.keras")
    if qat is not None:
        qat.save(folder / "qat.keras")
    settings = known.features.normalised(-30.0, 15.0)
    scenes = _clips(settings, 1, 24 + CLIPS)
    events = _clips(settings, _EVENT_CLIP_S, 1 if "events" in known.tasks else 0)
    save_samples(folder, Samples(scenes[:24], scenes[24:], events))
    (folder / "recipe.toml").write_text(to_toml(Recipe(name="test")))
    info = {"schema": SCHEMA, "stage": "qat" if scheme else "float", "scheme": scheme, "system": system, "seed": 3}
    info |= {"tasks": list(known.tasks), "features": settings.to_dict(), "metrics": {}, "git_revision": None}
    (folder / "run.json").write_text(json.dumps({**info, "data": {"name": "noise", "fingerprint": "0"}}))
    return Run.load(folder)


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    made: dict[str, Run] = {}

    def run(system: str) -> Run:
        if system not in made:
            keras.utils.set_random_seed(3)
            network = build(system, DCASE)
            _uneven(network)
            made[system] = _save(tmp_path_factory.mktemp(system), system, network)
        return made[system]

    return run


def _values_of_floats(artifact: Artifact) -> int:
    """Numbers in the float constants that operators read, each once.

    Without the single numbers of formulas, as the 1 of 1 - z, and without biases of 0: where two layers read what was
    normalised (GLU, context gating), the converter adds the shift after the convolution, whose own bias is 0 then.
    """
    model = artifact.network.model
    found = {}
    for subgraph, operator in flatbuffer.operators(model):
        for tensor in flatbuffer.op_inputs(subgraph, operator):
            if tensor is not None and flatbuffer.tensor_dtype(tensor) == "float32":
                values = flatbuffer.constant(model, tensor)
                if values is not None and values.shape and values.any():
                    found[tensor.buffer] = values.size
    return sum(found.values())


def _counted(system: str, part: str) -> Cost:
    """The cost of a system's network over the audio that its file hears."""
    known = SYSTEMS[system]
    seconds = 1 if part == "scenes" else _EVENT_CLIP_S
    frames = known.features.frames(seconds * known.features.sample_rate_hz)
    network = build(system, DCASE, frames=frames)
    wrap = build_scene_part if part == "scenes" else build_event_part
    return cost(wrap(network, frames), seconds)


def _check(report, name):
    (check,) = [check for check in report.checks if check.name == name]
    return check


@pytest.mark.parametrize("system", OF_SCENES)
def test_a_scene_file_costs_what_the_network_costs(run_of, system):
    artifact = convert(run_of(system), "scenes", "float32")
    counted = _counted(system, "scenes")
    assert artifact.manifest["macs_per_second"] == counted.macs_per_second
    assert _values_of_floats(artifact) == counted.folded_params


@pytest.fixture(scope="module")
def event_file_of(run_of):
    made: dict[str, Artifact] = {}

    def convert_once(system: str) -> Artifact:
        if system not in made:
            made[system] = convert(run_of(system), "events", "float32")
        return made[system]

    return convert_once


@pytest.mark.parametrize(
    "system", [pytest.param(s, marks=[] if s == "crnn" else [pytest.mark.slow]) for s in OF_EVENTS]
)
def test_an_event_file_costs_what_the_network_costs(event_file_of, system):
    artifact = event_file_of(system)
    counted = _counted(system, "events")
    assert artifact.manifest["macs_per_second"] == pytest.approx(counted.macs_per_second, abs=1e-6)
    assert round(artifact.manifest["macs_per_second"] * _EVENT_CLIP_S) == counted.macs
    assert _values_of_floats(artifact) == counted.folded_params
    assert artifact.manifest["frames_per_embedding"] == (16 if system == "cp_mobile_rnn" else 4)


def _slow(system, kind):
    """All but one of each kind; `mt` is converted in every format elsewhere."""
    return [] if (system, kind) in (("baseline_asc", "int8"), ("cp_mobile", "float16")) else [pytest.mark.slow]


@pytest.mark.parametrize(
    ("system", "kind"),
    [
        pytest.param(system, kind, marks=_slow(system, kind), id=f"{system}-{kind}")
        for system in OF_SCENES
        for kind in ("float16", "int8", "int16x8")
    ],
)
def test_scene_files_pass_dcase_asc(run_of, system, kind, tmp_path):
    run = run_of(system)
    if kind != "float16":
        quantized = quantize_network(run.network(), kind, {"scenes": run.samples().calibration})
        run = _save(tmp_path, system, run.network(), kind, quantized.model)
    artifact = convert(run, "scenes", kind)
    report = emulate(artifact, load_target("dcase-asc"))
    assert report.verdict == "passed", report.failures()
    counted = _counted(system, "scenes")
    assert _check(report, "macs_per_second").value == counted.macs_per_second
    assert _check(report, "parameter_bytes").value <= 128_000
    if kind != "float16":
        assert all(engine.ran for engine in report.engines), [engine.reason for engine in report.engines]
        assert _check(report, "integer_only").ok
        measured = report.arena["measured_bytes"]
        assert measured <= report.arena["planned_bytes"] <= 1.05 * measured


@pytest.mark.parametrize(
    ("system", "params", "macs_per_second"),
    [
        ("crnn", 627_284, 43_059_200),
        pytest.param("baseline_sed", 1_111_172, 91_755_315.2, marks=pytest.mark.slow),
        pytest.param("cp_mobile_rnn", 963_900, 32_430_387.2, marks=pytest.mark.slow),
        pytest.param("fdy_lka", 9_013_404, 738_041_600, marks=pytest.mark.slow),
    ],
)
def test_event_systems_are_refused_by_dcase_asc(event_file_of, system, params, macs_per_second):
    # One engine: the limits are on the file, and ten seconds of fdy_lka take reference kernels long.
    report = emulate(event_file_of(system), load_target("dcase-asc"), engines=["litert"])
    assert report.verdict == "failed"
    parameters, macs = _check(report, "parameter_bytes"), _check(report, "macs_per_second")
    assert (parameters.limit, macs.limit) == (128_000, 30_000_000)
    # Besides the parameters: shapes, axes, counters of loops, biases of 0.
    assert 4 * params <= parameters.value <= 4 * params + 8_000
    assert macs.value == pytest.approx(macs_per_second, abs=0.05)
    for check in (parameters, macs):
        assert not check.ok
        assert f"is over {check.limit:,}" in check.why
    assert [engine.ran for engine in report.engines] == [True]
