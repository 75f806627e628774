"""Each layer rounding alone: what it computes, which one costs the most, and what is proposed within an arena."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import scene_networks as networks
from click.testing import CliRunner

from keras_mtl.cli import group
from keras_mtl.core import LogMelSettings, RunError, TargetError
from keras_mtl.models import BUILDERS, build_mt, build_scene_part
from keras_mtl.recipes import Recipe, to_toml
from keras_mtl.runs import Samples, save_samples
from keras_mtl.runs.folder import SCHEMA
from keras_mtl.tflite.qat import build_qat, calibrate
from keras_mtl.tflite.sensitivity import plot_sensitivity, sensitivity_lines
from keras_mtl.tflite.sensitivity.measure import Cost, PartCost, Sensitivity, decibels, sensitivity
from keras_mtl.tflite.sensitivity.mixed_precision import (
    INTERPRETER_BYTES,
    LiveTensors,
    Tensor,
    estimated_noise,
    live_tensors,
    propose,
)
from keras_mtl.tflite.sensitivity.partial_quantization import Part, parts_of, run_partly
from keras_mtl.tflite.sensitivity.probes import SceneProbe
from keras_mtl.tflite.sensitivity.run import Measured

SCHEMES = ("int8", "int16x8")
SMALL = {
    "blocks": lambda: networks.cp_mobile(26, 32),
    "grn": lambda: networks.cp_mobile(26, 32, blocks=networks.FEW[:1], grn=True),
    "baseline": lambda: networks.baseline(25, 40),
}
_BOARD = """kind = "board"
name = "small"
core = "cortex-m7"
clock_hz = 100_000_000
flash_bytes = 2_000_000
ram_bytes = {ram}
arena_ram_bytes = {ram}
application_flash_bytes = 0
application_ram_bytes = 0
audio_latency_s = 10.0
kernels = "cmsis-nn"
"""


def _calibrated(network: Any, scheme: str, clips: np.ndarray) -> keras.Model:
    twin = build_qat(network, scheme, frames=clips.shape[1])
    calibrate(twin, {"scenes": clips})
    return twin


def _every(twin: keras.Model) -> list[str]:
    return [layer for part in parts_of(twin) for layer in part.layers]


@pytest.fixture(scope="module")
def eight_bits(network: keras.Model, clips: Any) -> keras.Model:
    return _calibrated(network, "int8", clips.calibration)


@pytest.fixture(scope="module")
def float_run(network: keras.Model, clips: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("float")
    info = {
        "schema": SCHEMA,
        "stage": "float",
        "system": "mt",
        "tasks": ["scenes", "events"],
        "seed": 3,
        "features": LogMelSettings(mean_db=-30.0, std_db=15.0).to_dict(),
        "metrics": {},
    }
    network.save(folder / "network.keras")
    save_samples(folder, Samples(clips.calibration, clips.golden))
    (folder / "recipe.toml").write_text(to_toml(Recipe(name="test")))
    (folder / "run.json").write_text(json.dumps(info))
    return folder


@pytest.mark.parametrize("scheme", SCHEMES)
def test_without_rounding_the_twin_is_the_float_network(network, clips, scheme):
    twin = _calibrated(network, scheme, clips.calibration[:8])
    heard = clips.golden[..., None]
    expected = np.asarray(build_scene_part(network, 100)(heard))
    np.testing.assert_allclose(run_partly(twin, heard, ()), expected, atol=1e-4, rtol=0)
    assert np.abs(np.asarray(twin(heard)) - expected).max() > 1e-3


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        pytest.param("blocks", "int8", marks=pytest.mark.slow),
        pytest.param("grn", "int16x8", marks=pytest.mark.slow),
        ("baseline", "int8"),
        ("baseline", "int16x8"),
    ],
)
def test_of_all_layer_kinds_nothing_and_everything_round_as_they_should(name, scheme):
    network = SMALL[name]()
    frames, bands = network.get_layer("encoder").input_shape[1:3]
    values = networks.clips(12, frames, bands)
    twin = _calibrated(network, scheme, values)
    inputs = values[..., None]
    expected = np.asarray(network.get_layer("scene_head")(network.get_layer("encoder")(inputs)))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(run_partly(twin, inputs, ()), expected, atol=1e-4 * scale, rtol=0)
    assert np.array_equal(run_partly(twin, inputs, _every(twin)), twin(inputs))


def test_everything_rounding_is_the_twin_to_the_bit_before_and_after(eight_bits, clips):
    inputs = clips.golden[..., None]
    before = np.asarray(eight_bits(inputs))
    for part in parts_of(eight_bits):
        assert not np.array_equal(run_partly(eight_bits, inputs[:4], part.layers), before[:4]), part.name
    assert np.array_equal(run_partly(eight_bits, inputs, _every(eight_bits)), before)
    assert np.array_equal(eight_bits(inputs), before)


def test_parts_are_operators_with_their_range_and_ranges_by_themselves(eight_bits):
    parts = {part.name: part for part in parts_of(eight_bits)}
    assert parts["conv_1"] == Part("conv_1", "Conv2D", ("conv_1", "conv_1_range"), ("conv_1_range",))
    assert parts["log_mel"] == Part("log_mel", "range", ("log_mel_range",), ("log_mel_range",))
    assert list(parts) == [
        "log_mel",
        *(f"conv_{i}" for i in range(1, 7)),
        "attention_hidden",
        "attention_tanh",
        "attention_score",
        "attention",
        "weighted_mean",
        "scene_logits",
    ]


@pytest.mark.slow
def test_a_layer_that_is_hard_to_quantize_costs_the_most(clips):
    """One weight far larger than the others, for a channel that is always 0: the float network does not notice."""
    name, before = "conv_4", "conv_3"
    keras.utils.set_random_seed(3)
    network = build_mt(scenes=10, events=10)
    encoder = network.get_layer("encoder")
    normalisation = encoder.layers[encoder.layers.index(encoder.get_layer(before)) + 1]
    gamma, beta, mean, variance = normalisation.get_weights()
    gamma[0], beta[0] = 0.0, -1.0
    normalisation.set_weights([gamma, beta, mean, variance])
    kernel, bias = encoder.get_layer(name).get_weights()
    kernel[1, 1, 0] = 100.0 * np.abs(kernel).max()
    encoder.get_layer(name).set_weights([kernel, bias])
    found = sensitivity(
        SceneProbe(_calibrated(network, "int8", clips.calibration)), "int8", clips.golden, np.zeros(len(clips.golden))
    )
    order = sorted(found.parts, key=lambda row: -row.cost.output_noise)
    assert order[0].part.name == name
    assert order[0].cost.output_noise > 10 * order[1].cost.output_noise
    assert order[0].activations_noise < 0.1 * order[0].cost.output_noise
    assert order[0].cost.embeddings_noise > 10 * order[1].cost.embeddings_noise


@pytest.mark.slow
def test_figures_are_those_of_all_clips_at_once(eight_bits, clips):
    seen: list[tuple[int, int]] = []
    many = np.concatenate([clips.calibration, clips.golden])
    scenes = np.arange(len(many)) % 10
    found = sensitivity(SceneProbe(eight_bits), "int8", many, scenes, lambda done, of: seen.append((done, of)))
    assert seen == [(50, 56), (56, 56)]
    quiet = np.asarray(run_partly(eight_bits, many[..., None], ()), float)
    loud = np.asarray(eight_bits(many[..., None]), float)
    noise = np.square(loud - quiet).sum() / np.square(quiet).sum()
    assert found.everything.output_noise == pytest.approx(noise, rel=1e-3)
    assert found.accuracy == np.mean(quiet.argmax(-1) == scenes)
    assert found.everything.accuracy == np.mean(loud.argmax(-1) == scenes)
    assert found.everything.agreement == np.mean(loud.argmax(-1) == quiet.argmax(-1))
    rows = {row.part.name: row for row in found.parts}
    assert rows["scene_logits"].cost.embeddings_noise == 0.0
    assert 0.0 < rows["conv_1"].activations_noise < rows["conv_1"].cost.output_noise
    assert decibels(0.0) is None
    assert decibels(0.001) == pytest.approx(30.0)


@pytest.mark.slow
def test_sixteen_bits_cost_less_than_eight():
    network, values = networks.baseline(25, 40), networks.clips(12, 25, 40)
    coarse, fine = (
        sensitivity(SceneProbe(_calibrated(network, scheme, values)), scheme, values).parts for scheme in SCHEMES
    )
    for less, more in zip(fine, coarse, strict=True):
        assert less.activations_noise < 0.01 * more.activations_noise, more.part.name
        assert more.cost.accuracy is None


def _even(names: tuple[str, ...], noise: dict[str, float]) -> Sensitivity:
    """Costs of 1e-4 for the activations of each part but those given, and as much for its weights."""
    rows = []
    for name in names:
        own = noise.get(name, 1e-4)
        rows.append(PartCost(Part(name, "Conv2D", (name, "r"), ("r",)), Cost(own + 1e-4, 0.0, 0.5, 1.0), own))
    return Sensitivity("int8", 1, 0.5, Cost(1e-3, 0.0, 0.5, 1.0), tuple(rows))


def _peak_bytes(live: LiveTensors, wide: Collection[str] = ()) -> int:
    """The most bytes that are alive at a time; of parts that are wide 2 for each value."""
    return max(
        sum(each.values * (1 + (each.part in wide)) for each in live.tensors if each.made <= number <= each.read)
        for number in range(len(live.operators))
    )


def test_live_bytes_are_counted_by_hand(eight_bits):
    live = live_tensors(eight_bits)
    # conv_1: 100 x 128 x 8, pooled to 50 x 64 x 8, while the input of 100 x 128 is gone.
    assert _peak_bytes(live) == 102_400 + 25_600
    assert _peak_bytes(live, live.parts()) == 2 * _peak_bytes(live)
    assert _peak_bytes(live, ["log_mel"]) == 102_400 + 2 * 12_800
    assert live.values_of("conv_1") == 102_400 + 25_600
    # The embeddings are kept for the weighted mean while attention is computed.
    number = live.operators.index("attention_score")
    assert sorted(tensor.part for tensor in live.tensors if tensor.made <= number <= tensor.read) == [
        "attention_score",
        "attention_tanh",
        "conv_6",
    ]


def test_tensors_are_laid_out_as_by_tflm(eight_bits):
    """TFLM measured 226,736 and 435,632 bytes for `cp_mobile`: 17,840 more than this in either scheme."""
    network = BUILDERS["cp_mobile"](scenes=10)
    live = live_tensors(build_qat(network, "int8", frames=network.get_layer("encoder").input_shape[1]))
    assert (_peak_bytes(live), _peak_bytes(live, live.parts())) == (174_080, 348_160)
    assert (live.planned_bytes(), live.planned_bytes(live.parts())) == (208_896, 417_792)
    # A chain without branches has no gaps.
    chain = live_tensors(eight_bits)
    assert chain.planned_bytes() == _peak_bytes(chain)
    # What was placed before leaves a gap that is too small.
    gap = LiveTensors(["a", "b", "c"], [Tensor(160, -1, "a", 0), Tensor(80, 0, "b", 2), Tensor(96, 2, "c", 2)])
    gap.tensors.append(Tensor(112, 1, "d", 1))
    assert gap.planned_bytes() == 240
    assert gap.planned_bytes((), 1) == 192


@pytest.mark.parametrize("limit", range(100_000, 320_000, 20_000))
def test_a_proposal_keeps_within_the_limit_or_says_that_nothing_fits(eight_bits, limit):
    live = live_tensors(eight_bits)
    costs = _even(live.parts(), {"conv_3": 1e-2})
    found = propose(costs, live, limit, reserve_bytes=1000)
    assert found.activation_bytes == live.planned_bytes(found.wide)
    assert found.fits == (live.planned_bytes() <= limit - 1000)
    assert sorted((*found.wide, *found.left)) == sorted(live.parts())
    if not found.fits:
        assert not found.wide
        assert found.split is None
        return
    for name in found.left:
        assert live.planned_bytes([*found.wide, name]) > limit - 1000
    assert (not found.left) == (live.planned_bytes(live.parts()) <= limit - 1000)
    assert found.noise == pytest.approx(estimated_noise(costs, found.wide))
    assert found.noise < found.before_noise
    if found.split is not None:
        assert found.split.activation_bytes <= limit - 1000
        assert found.split.noise < found.before_noise


def test_the_most_sensitive_per_byte_come_first():
    """Three tensors of 16 values in a row, and room for what two of them take with one in 16 bits."""
    row = [Tensor(16, number - 1, name, number) for number, name in enumerate("abc")]
    live = LiveTensors(["first", "second", "third"], row)
    assert (_peak_bytes(live), _peak_bytes(live, "b"), _peak_bytes(live, "ac"), _peak_bytes(live, "ab")) == (
        32,
        48,
        48,
        64,
    )
    names = live.parts()
    assert propose(_even(names, {"b": 1.0}), live, 48, 0).wide == ("b",)
    assert propose(_even(names, {"c": 1.0, "b": 0.5}), live, 48, 0).wide == ("c", "a")
    row[2].values = 48  # As much noise on more bytes is worth less.
    assert propose(_even(names, {"c": 1.0, "b": 0.5}), live, 96, 0).wide == ("b", "a")


def test_a_network_is_split_where_it_gains_the_most(eight_bits):
    live = live_tensors(eight_bits)
    found = propose(_even(live.parts(), {"conv_4": 1.0}), live, live.planned_bytes() + 30_000, 0).split
    assert found is not None
    assert (found.first, found.second) == ("int8", "int16x8")
    assert "conv_4" in found.wide
    assert "conv_1" not in found.wide
    # What is handed over has 8 bits and is kept beside both files: 50 x 64 x 8 after the first pool.
    assert found.after == "pool_1"
    first, second = live.planned_bytes((), 0, 1), live.planned_bytes(live.parts(), 2)
    assert found.activation_bytes == max(first, second) + 25_600
    # Attention and embeddings cross together, so there is no boundary between.
    late = propose(_even(live.parts(), {"weighted_mean": 1.0}), live, 10**6, 0).split
    assert late is not None
    assert late.after not in ("attention_hidden", "attention_score", "attention")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_the_command_measures_proposes_and_draws(float_run, cache, tmp_path):
    (tmp_path / "small.toml").write_text(_BOARD.format(ram=180_000))
    arguments = ["sensitivity", float_run, "--scheme", "int8", "--data", "soundscapes:tiny", "--cache", cache]
    options = ["--clips", 6, "--target", tmp_path / "small.toml", "--plot", tmp_path / "bars.png", "--json"]
    done = CliRunner().invoke(group, [*map(str, arguments + options)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["schema"] == "keras_mtl.sensitivity/1"
    assert document["clips"] == 6 < document["evaluation_clips"]
    assert len(document["layers"]) == 13
    for row in (*document["layers"], document["all_layers"]):
        assert row["accuracy"] == pytest.approx(document["float_accuracy"] + row["accuracy_change"])
    found = document["proposal"]
    assert found["limit_bytes"] == 180_000
    assert found["interpreter_reserve_bytes"] == INTERPRETER_BYTES
    assert found["fits"]
    assert found["activation_bytes"] <= found["limit_bytes"] - INTERPRETER_BYTES
    assert found["unrounded_snr_db"] > found["int8_snr_db"] == document["all_layers"]["output_snr_db"]
    assert "int8: 6 of 6 clips" in done.stderr
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")
    text = "\n".join(sensitivity_lines(document))
    assert "an estimate and advice" in text
    for name in ("conv_1", "all together", "split    as two files"):
        assert name in text


@pytest.mark.slow
def test_sixteen_bits_are_proposed_for_from_what_eight_cost(float_run, cache, tmp_path):
    (tmp_path / "large.toml").write_text(_BOARD.format(ram=400_000))
    arguments = ["sensitivity", float_run, "--scheme", "int16x8", "--data", "soundscapes:tiny", "--cache", cache]
    arguments += ["--clips", 2, "--target", tmp_path / "large.toml", "--json"]
    done = CliRunner().invoke(group, [*map(str, arguments)], catch_exceptions=False)
    document = json.loads(done.stdout)
    assert "int16x8: 2 of 2 clips" in done.stderr
    assert "int8: 2 of 2 clips" in done.stderr
    assert document["proposal"]["int8_layers"] == []
    assert document["proposal"]["int8_snr_db"] < document["all_layers"]["output_snr_db"]
    assert any("convert with --format int16x8" in line for line in sensitivity_lines(document))


def test_it_is_said_that_nothing_fits_and_drawn_what_has_no_noise(eight_bits, tmp_path):
    live = live_tensors(eight_bits)
    costs = _even(live.parts(), {})
    document = Measured(
        "run", {}, "scenes", 1, costs, "small", propose(costs, live, 100_000), (1e-3, None, None)
    ).to_dict()
    assert document["proposal"]["fits"] is False
    assert document["proposal"]["int16_layers"] == []
    assert any("nothing fits" in line for line in sensitivity_lines(document))
    quiet = [{**row, "output_snr_db": None, "activations_output_snr_db": None} for row in document["layers"]]
    plot_sensitivity({**document, "layers": quiet}, tmp_path / "quiet.svg")
    lines = sensitivity_lines({**document, "layers": quiet, "proposal": None})
    assert lines[-2].startswith("all together")


def test_the_command_refuses_what_has_no_arena_and_what_is_quantized(float_run, cache, tmp_path):
    common = ["--scheme", "int8", "--data", "soundscapes:tiny", "--cache", str(cache)]
    with pytest.raises(TargetError, match="dcase-asc has no limit for an arena"):
        CliRunner().invoke(
            group, ["sensitivity", str(float_run), *common, "--target", "dcase-asc"], catch_exceptions=False
        )
    info = json.loads((float_run / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(info | {"stage": "qat"}))
    with pytest.raises(RunError, match="is quantized already"):
        CliRunner().invoke(group, ["sensitivity", str(tmp_path), *common], catch_exceptions=False)


def test_estimates_do_not_fall_below_zero(eight_bits):
    costs = _even(live_tensors(eight_bits).parts(), {})
    row = replace(costs.parts[0], activations_noise=1.0)
    assert estimated_noise(replace(costs, parts=(row,)), [row.part.name]) == 0.0
