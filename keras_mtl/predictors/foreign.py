"""Files that this project did not make: what is missing to give sound to one of them."""

from __future__ import annotations

from keras_mtl.core import ArtifactError
from keras_mtl.tflite.artifact import UNKNOWN, Artifact

#: An axis of an input that is as long as this holds samples of sound: features have at most some hundred frames.
_SAMPLES = 4000


def require_own(artifact: Artifact, name: str) -> None:
    """Refuses a file that this project did not make and that nobody described: sound can't be given to it.

    Raises:
        ArtifactError: naming what is missing.
    """
    if artifact.facts.part != UNKNOWN:
        return
    ports, outputs = artifact.network.inputs, artifact.network.outputs
    longest = max((size for port in ports for size in port.shape), default=0)
    takes = " and ".join(f"{port.dtype} {list(port.shape)}" for port in ports)
    gives = " and ".join(f"{port.dtype} {list(port.shape)}" for port in outputs)
    missing = "the sample rate" if longest >= _SAMPLES else "the features (sample rate, window, mel bands, scaling)"
    often = "" if artifact.facts.hop_s else ", how often it runs"
    raise ArtifactError(
        f"{name} is a network of others: it takes {takes} and gives {gives}, and {missing} that it was trained on"
        f"{often} and its labels are missing to run it on sound",
        hint="emulate and bundle take it as it is, and teach learns from one that takes sound",
    )
