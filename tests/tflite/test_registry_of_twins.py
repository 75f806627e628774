"""The twins of this project's networks come from the registry of kinds, and are those that they have always been."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_mtl.core import ConversionError
from keras_mtl.tflite.qat import TracedCall, build_qat

sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))
from golden_artifacts import FOLDER
from make_networks import CAUSAL, FLAT, RUNS, SECOND, log_mel, network, set_ranges

OPTIONS = {"causal-int8": CAUSAL, "joint-int16x8": FLAT}


#: Building a recurrent decoder takes seconds.
NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] if "events" in tasks else [])
    for name, (tasks, scheme, _) in RUNS.items()
    if scheme
]


@pytest.mark.parametrize("name", NAMES)
def test_twins_are_those_that_were_kept(name):
    """The kept ones were built before there was a registry; `test_golden_artifacts.py` holds what they become."""
    tasks, scheme, cells = RUNS[name]
    twin = build_qat(network(**OPTIONS.get(name, {})), scheme, tasks, cells, frames=SECOND)
    set_ranges(twin)
    kept = keras.saving.load_model(FOLDER / name / "qat.keras", compile=False)
    assert json.loads(twin.to_json()) == json.loads(kept.to_json())
    assert [weight.path for weight in twin.trainable_weights] == [weight.path for weight in kept.trainable_weights]
    for found, goal in zip(twin.weights, kept.weights, strict=True):
        np.testing.assert_array_equal(found, goal, err_msg=goal.path)
    if tasks == ("scenes",):
        clips = log_mel(2, SECOND, 5)[..., None]
        np.testing.assert_array_equal(twin(clips), kept(clips))


def test_the_scene_part_of_mt_is_built_by_the_registry(monkeypatch):
    """Without its entry a kind has no twin."""
    made = network()
    for kind in (keras.layers.MaxPooling2D, keras.layers.Softmax, keras.layers.Dot):
        with monkeypatch.context() as patched:
            patched.delitem(TracedCall.kinds, kind)
            with pytest.raises(ConversionError, match=rf"\({kind.__name__}\) has no quantization-aware twin"):
                build_qat(made, "int8", frames=SECOND)
