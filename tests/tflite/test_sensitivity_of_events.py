"""Each layer of the event part rounding alone: encoder, recurrent cells and classifiers."""

from __future__ import annotations

import json
from pathlib import Path

import event_networks
import numpy as np
import pytest
from click.testing import CliRunner

from keras_mtl.cli import group
from keras_mtl.core import ConversionError
from keras_mtl.tflite.qat import build_qat, calibrate
from keras_mtl.tflite.sensitivity import plot_sensitivity, sensitivity_lines
from keras_mtl.tflite.sensitivity.measure import sensitivity
from keras_mtl.tflite.sensitivity.partial_quantization import run_partly
from keras_mtl.tflite.sensitivity.probes import EventProbe


@pytest.fixture(scope="module")
def network():
    return event_networks.small_network()


@pytest.fixture(scope="module")
def probe(network) -> EventProbe:
    """Encoder in 8 bits, cells in 16."""
    twin = build_qat(network, "int8", ["events"])
    calibrate(twin, {"events": event_networks.clips(4, event_networks.CLIP)})
    return EventProbe(twin)


def _outputs(model, clips: np.ndarray) -> np.ndarray:
    found = model(clips)
    return np.concatenate([found["strong"], np.asarray(found["weak"])[:, None]], axis=1)


@pytest.mark.slow
def test_nothing_rounding_is_the_float_network_and_everything_the_twin(network, probe):
    clips = event_networks.clips(3, event_networks.CLIP, 1)[..., None]
    np.testing.assert_allclose(probe(clips, ())[1], _outputs(network, clips), atol=1e-4, rtol=0)
    every = [layer for part in probe.parts for layer in part.layers]
    embeddings = run_partly(probe.twin.get_layer("encoder"), clips, every)
    found, expected = run_partly(probe.twin.get_layer("event_head"), embeddings, every), probe.twin(clips)
    assert all(np.array_equal(found[name], expected[name]) for name in ("strong", "weak"))
    # Compiled cells add in another order, which moves a value to the next level here and there.
    np.testing.assert_allclose(probe(clips, every)[1], _outputs(probe.twin, clips), atol=1e-3, rtol=0)
    embeddings = network.get_layer("encoder")(clips)
    np.testing.assert_allclose(probe(clips, ())[0], embeddings, atol=1e-4, rtol=0)


def test_every_cell_is_a_part_and_makes_noise(probe):
    names = [part.name for part in probe.parts]
    cells = [f"bigru_{i}_{way}" for i in (1, 2) for way in ("forward", "backward")]
    assert [name for name in names if name.startswith("bigru")] == cells
    assert "embeddings" not in names
    clips = event_networks.clips(3, event_networks.CLIP, 1)
    found = {row.part.name: row for row in sensitivity(probe, "int8", clips).parts}
    assert list(found) == names
    for name in (*cells, "strong", "event_attention"):
        assert found[name].cost.output_noise > 0.0, name
        assert found[name].cost.embeddings_noise == 0.0, name
        assert found[name].cost.accuracy is None
    assert found["conv_1"].cost.embeddings_noise > 0.0


def test_a_cell_that_is_hard_to_quantize_costs_the_most(probe):
    cell = probe.twin.get_layer("event_head").get_layer("bigru_2_backward").cell
    before = cell.get_weights()
    # One weight so large that all others round to nothing.
    kernel, bias = cell.states_of[2].get_weights()
    kernel[0, 0] = 500.0 * np.abs(kernel).max()
    cell.states_of[2].set_weights([kernel, bias])
    found = sensitivity(probe, "int8", event_networks.clips(3, event_networks.CLIP, 1))
    cell.set_weights(before)
    cells = {row.part.name: row.cost.output_noise for row in found.parts if row.part.kind == "GRU"}
    assert max(cells, key=lambda name: cells[name]) == "bigru_2_backward"


@pytest.mark.slow
def test_the_command_measures_events(network, tmp_path: Path):
    run = event_networks.run_of(tmp_path, network)
    arguments = ["sensitivity", run.path, "--part", "events", "--scheme", "int8", "--data", "soundscapes:tiny"]
    arguments += ["--cache", tmp_path / "cache"]
    done = CliRunner().invoke(group, [*map(str, arguments), "--clips", "2", "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert (document["part"], document["clips"], document["float_accuracy"]) == ("events", 2, None)
    assert document["proposal"] is None
    assert all(row["accuracy_change"] is None and 0.5 < row["agreement"] <= 1.0 for row in document["layers"])
    assert any(line.startswith("bigru_1_forward") for line in sensitivity_lines(document))
    assert plot_sensitivity(document, tmp_path / "bars.svg").stat().st_size
    refused = CliRunner().invoke(group, [*map(str, arguments), "--target", "stm32h743"])
    assert refused.exit_code == 2
    assert "scene part only" in refused.stderr
    info = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps(info | {"tasks": ["scenes"]}))
    with pytest.raises(ConversionError, match="was not trained on events"):
        CliRunner().invoke(group, [*map(str, arguments)], catch_exceptions=False)
