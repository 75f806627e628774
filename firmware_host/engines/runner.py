"""Runs an artifact on one engine, in a process of its own; arrays travel as files in a temporary folder."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from keras_mtl.core import ArtifactError, EngineRefused
from keras_mtl.firmware_host.engines.exchange import FROM_RESET
from keras_mtl.firmware_host.engines.request import make_request, run_worker
from keras_mtl.tflite.artifact import Artifact

_WORKER = "keras_mtl.firmware_host.engines.worker"


@dataclass(frozen=True, eq=False)
class EngineRun:
    """What one engine gave for the inputs.

    Attributes:
        engine: its name.
        version: version of its package.
        outputs: arrays by their names, see `run`.
        from_reset: of a file that keeps a state, the same with a reset before each row; else empty.
        arena_bytes: bytes of tensor arena of each member by its name; None for engines without one.
        busy_s: seconds that it spent on the inputs.
    """

    engine: str
    version: str
    outputs: dict[str, np.ndarray]
    arena_bytes: dict[str, int | None]
    busy_s: float = 0.0
    from_reset: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def arena_total_bytes(self) -> int | None:
        """Tensor arena of all members; None for engines without one."""
        sizes = [size for size in self.arena_bytes.values() if size is not None]
        return sum(sizes) if len(sizes) == len(self.arena_bytes) else None


def run(
    engine: str,
    artifact: Artifact,
    inputs: Mapping[str, np.ndarray],
    pushes: Sequence[int] | None = None,
    timeout_s: float = 600.0,
) -> EngineRun:
    """Runs an artifact as a device would.

    Args:
        engine: its name, as of the table of `keras_mtl.firmware_host.engines`.
        artifact: the artifact.
        inputs: of an artifact that takes clips `input_0`, ... for each input of the file: [n, ...] in the input's type,
            without the batch dimension. Of a streaming one either `recording`, log-mel [frames, mel_bands] in the
            encoder's input type, which goes through it from a start to its end; or `scene_clips`, `event_clips` or
            both, [n, frames, mel_bands, 1], of which each goes through it from a start to its end.
        pushes: frames of the parts in which a recording comes; all at once by default.
        timeout_s: seconds after which the engine's process is stopped.

    Returns:
        The run. Its outputs are, of an artifact that takes clips, `output_0`, ...: [n, ...] in the output's type,
        without the batch dimension. Of a recording, each where there is such a decoder: `scenes`, logits
        [calls, scenes], and `calls`, embeddings that there were at each call of the scene decoder, int64 [calls];
        `strong`, probabilities [embeddings, events], and `integers`, the same as the file gave them. Of clips `scenes`,
        the last logits [n, scenes]; `strong` [n, steps, events] and `weak`, probabilities of the clips [n, events].

    Raises:
        ArtifactError: inputs that do not fit the artifact's schedule or its members.
        EngineMissing: the engine isn't installed.
        EngineRefused: inputs that do not fit the file, or the engine can't run a member.
        EngineCrash: its process died.
        EngineTimeout: it did not come back in time.
    """
    arrays = _stream_inputs(artifact, inputs, pushes) if artifact.streams else _batches(artifact, inputs)
    with tempfile.TemporaryDirectory(prefix="keras_mtl_engine_") as name:
        folder = Path(name)
        request = make_request(engine, artifact, folder) | {"inputs": list(arrays)}
        request["pushes"] = list(map(int, pushes)) if pushes is not None else [len(next(iter(arrays.values())))]
        request["from_reset"] = not artifact.streams and artifact.network.keeps_state
        for key, values in arrays.items():
            np.save(folder / f"{key}.npy", values)
        answer = run_worker(_WORKER, request, artifact, timeout_s)
        found = {key: np.load(folder / f"out_{key}.npy") for key in answer["outputs"]}
    from_reset = {name.removeprefix(FROM_RESET): found.pop(name) for name in [*found] if name.startswith(FROM_RESET)}
    outputs = _stream_outputs(engine, artifact, arrays, found) if artifact.streams else _single(found)
    arenas, busy_s = answer["arena_bytes"], answer["busy_s"]
    return EngineRun(engine, answer["version"], outputs, arenas, busy_s, _single(from_reset))


def _batches(artifact: Artifact, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inputs, each row in the shape of the file's input."""
    wanted = {f"input_{number}": port.shape for number, port in enumerate(artifact.network.inputs)}
    if set(inputs) != set(wanted) or not wanted:
        raise EngineRefused(f"the model takes {len(wanted)} inputs {[*wanted]}, not {[*inputs]}")
    counts = {len(values) for values in inputs.values()}
    if len(counts) > 1 or 0 in counts:
        raise EngineRefused(f"inputs of {', '.join(map(str, sorted(counts)))} rows: as many of each are needed, not 0")
    batches = {}
    for name, shape in wanted.items():
        values = inputs[name]
        try:
            batches[name] = np.ascontiguousarray(values).reshape((len(values), *shape))
        except ValueError:
            raise EngineRefused(f"inputs of shape {list(values.shape)} do not fit the model's {list(shape)}") from None
    return batches


def _single(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs without the batch dimension."""
    return {name: rows[:, 0] if rows.ndim > 1 and rows.shape[1] == 1 else rows for name, rows in found.items()}


def _stream_inputs(
    artifact: Artifact, inputs: Mapping[str, np.ndarray], pushes: Sequence[int] | None
) -> dict[str, np.ndarray]:
    port, kinds = artifact.network.inputs[0], set(inputs)
    if kinds != {"recording"} and not (kinds and kinds <= {"scene_clips", "event_clips"}):
        raise ArtifactError(f"a streaming artifact takes a recording or clips, not {', '.join(kinds) or 'nothing'}")
    for name, values in inputs.items():
        axes = 2 if name == "recording" else 4
        fits = values.ndim == axes and str(values.dtype) == port.dtype
        if not fits or values.shape[1 if axes == 2 else 2] != port.shape[2]:
            raise ArtifactError(
                f"{name} of {list(values.shape)} {values.dtype}",
                hint=f"{port.shape[2]} bands of {port.dtype} are wanted",
            )
    if pushes is not None and sum(pushes) != len(inputs.get("recording", ())):
        raise ArtifactError(f"parts of {sum(pushes)} frames in all, where there are {len(inputs.get('recording', ()))}")
    return dict(inputs)


def _stream_outputs(
    engine: str, artifact: Artifact, given: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Integers as real values, of the shapes of the members' ports: a damaged member gives others."""
    wiring, stride = artifact.wiring, artifact.wiring.stream.stride
    ports = {}
    if wiring.scene_head:
        ports["scenes"] = artifact.members[wiring.scene_head].outputs[0]
    if wiring.classifiers:
        strong, attention = artifact.members[wiring.classifiers].outputs
        ports |= {"strong": strong, "attention": attention}
    rows: dict[str, tuple[int, ...]] = {}
    if "recording" in given:
        steps = max(0, len(given["recording"]) // stride - wiring.stream.latency)
        rows |= {"scenes": (len(found["calls"]),), "strong": (steps,)}
    else:
        clips = given.get("event_clips", np.zeros((0, 0)))
        events = (len(clips), clips.shape[1] // stride)
        rows |= {"scenes": (len(given.get("scene_clips", ())),), "strong": events, "attention": events}
    real = {}
    for name, port in ports.items():
        if name not in found or name not in rows:
            continue
        shape = (*rows[name], *port.shape[1:])
        if found[name].shape != shape and 0 not in rows[name]:
            raise EngineRefused(f"{engine} gives {name} of shape {list(found[name].shape)}, not {list(shape)}")
        real[name] = port.dequantize(found[name])
    if "recording" in given:
        real |= {"calls": found["calls"]} if "scenes" in real else {}
        return real | ({"integers": found["strong"]} if "strong" in real else {})
    if "attention" in real:
        real["weak"] = _clip_probabilities(real["strong"], real.pop("attention"))
    return real


def _clip_probabilities(strong: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """Clips' probabilities [n, events]: the mean of their steps', weighted by the softmax of the attention."""
    weights = np.exp(attention - attention.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return (strong * weights).sum(axis=1) / weights.sum(axis=1)
