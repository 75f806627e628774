"""Two replicas, in a process with two logical CPUs, against one, with every augmentation."""

from pathlib import Path

import pytest

CODE = (Path(__file__).parent / "replicated_steps.py").read_text()
OTHERS = ("SoftMTL", "HardMTL", "CrossSoftMTL", "UncertaintyMTL", "PCGradMTL", "SingleTask", "FreezeMTL")


@pytest.mark.slow
@pytest.mark.parametrize(
    "algorithms", [("CrossHardMTL", "GradNormMTL"), pytest.param(OTHERS, marks=pytest.mark.slow)], ids=str
)
def test_two_replicas_train_as_one(algorithms, run_python):
    """Weights, teacher, moments, metrics after three steps; the draws and counters are the same to the bit."""
    apart = run_python(CODE, str(Path(__file__).parent), *algorithms)
    assert {name.partition(".")[0] for name in apart} == set(algorithms)
    assert all(value == 0.0 for name, value in apart.items() if name.endswith(".masking"))
    assert max(apart.values()) == pytest.approx(0.0, abs=1e-4), apart
