"""Runs a teacher in a process of its own: windows of audio in, embeddings and scores out, as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.core import EngineRefused, LogMelSettings, nearest
from keras_mtl.teachers.settings import ProbeSettings, TeacherSettings
from keras_mtl.teachers.windows import windows

_BATCH = 32
#: Samples [n, window] to (embedding [n, D], scores [n, S] or None).
Model = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
#: The tensors of a model by name, each with its number of values, and the names of its outputs in their order.
Tensors = tuple[dict[str, int], list[str]]


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Opens a model and, where there is audio, runs it on that.

    Args:
        request: `teacher`, its settings; `audio`, a file int16 or float32 [clips, samples], or ""; `out`, a folder for
            `embedding.npy` [clips, windows, D] and `scores.npy` [clips, windows, S], float16.

    Returns:
        `outputs`, name and number of values of each output.

    Raises:
        EngineRefused: the model can't be read, lacks a tensor, or takes something else.
    """
    values = request["teacher"]
    features = LogMelSettings(**values["features"]) if values["features"] else None
    teacher = TeacherSettings(**{**values, "features": features, "probe": ProbeSettings(**values["probe"])})
    names = [name for name in (teacher.embedding, teacher.scores) if name != ""] if request["audio"] else []
    opened = _open_keras if teacher.model.endswith(".keras") else _open_tflite
    (sizes, outputs), run = opened(teacher, names)
    if request["audio"]:
        _run_all(teacher, run, np.load(request["audio"], mmap_mode="r"), Path(request["out"]))
    return {"outputs": [[name, sizes[name]] for name in outputs]}


def _run_all(teacher: TeacherSettings, run: Callable[[np.ndarray], list[np.ndarray]], audio: Any, out: Path) -> None:
    files: list[np.ndarray] = []
    for number, samples in enumerate(audio):
        cut = windows(samples, teacher)
        parts = [run(_as_input(cut[first : first + _BATCH], teacher)) for first in range(0, len(cut), _BATCH)]
        for place, rows in enumerate(np.concatenate(each) for each in zip(*parts, strict=True)):
            if len(files) == place:
                path, shape = out / f"{('embedding', 'scores')[place]}.npy", (len(audio), *rows.shape)
                files.append(np.lib.format.open_memmap(path, "w+", np.float16, shape))
            with np.errstate(over="ignore"):  # too large becomes infinite, which is refused with the clip's name
                files[place][number] = rows
    for file in files:
        file.flush()  # type: ignore[attr-defined]


def _as_input(cut: np.ndarray, teacher: TeacherSettings) -> np.ndarray:
    if teacher.features is None:
        return cut
    from keras_mtl.features import normalise, shared_log_mel

    return normalise(shared_log_mel(teacher.features)(cut), teacher.features)


def _open_tflite(teacher: TeacherSettings, names: list[str | int]) -> tuple[Tensors, Callable[..., list[np.ndarray]]]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        interpreter = Interpreter(
            teacher.model,
            num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        (source,) = interpreter.get_input_details()
        shape = _input_shape(source["shape_signature"], teacher)
        interpreter.resize_tensor_input(source["index"], shape)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise EngineRefused(f"{teacher.name} can't be read: {_first_line(error)}") from None
    if source["dtype"] != np.float32:
        raise EngineRefused(f"{teacher.name} takes {np.dtype(source['dtype'])}", hint="a teacher takes float32")
    outputs = interpreter.get_output_details()
    tensors = {each["name"]: each for each in (*interpreter.get_tensor_details(), *outputs) if each["name"]}
    chosen = [tensors[_named(name, list(tensors), [each["name"] for each in outputs], teacher)] for name in names]
    sizes = {name: int(np.prod(each["shape"], dtype=np.int64)) for name, each in tensors.items()}

    def run(batch: np.ndarray) -> list[np.ndarray]:
        rows: list[list[np.ndarray]] = [[] for _ in chosen]
        for window in batch:
            interpreter.set_tensor(source["index"], window.reshape(shape))
            interpreter.invoke()
            for column, each in zip(rows, chosen, strict=True):
                column.append(_vector(_real(interpreter.get_tensor(each["index"]), each), each["name"], teacher))
        return [np.stack(column) for column in rows]

    return (sizes, [each["name"] for each in outputs]), run


def _real(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Numbers of a quantized tensor, float32; others stay as they are."""
    scale, zero = details["quantization"]
    return (values.astype(np.float32) - zero) * np.float32(scale) if scale else values.astype(np.float32)


def _open_keras(teacher: TeacherSettings, names: list[str | int]) -> tuple[Tensors, Callable[..., list[np.ndarray]]]:
    import keras

    import keras_mtl.models  # noqa: F401  registers the layers of the networks

    try:
        model = keras.saving.load_model(teacher.model, compile=False)
        (source,) = model.inputs
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineRefused(f"{teacher.name} can't be read: {_first_line(error)}") from None
    shape = _input_shape([-1 if size is None else size for size in source.shape], teacher)
    by_key = model.output if isinstance(model.output, dict) else {each.name: each for each in model.outputs}
    tensors = {layer.name: layer.output for layer in model.layers if hasattr(layer.output, "shape")} | by_key
    chosen = [_named(name, list(tensors), list(by_key), teacher) for name in names]
    part = keras.Model(model.inputs, [tensors[name] for name in chosen]) if chosen else model
    sizes = {name: int(np.prod([size or 1 for size in each.shape[1:]])) for name, each in tensors.items()}

    def run(batch: np.ndarray) -> list[np.ndarray]:
        found = part.predict_on_batch(batch.reshape(len(batch), *shape[1:]))
        found = found if isinstance(found, list) else [found]
        return [
            np.stack([_vector(row, name, teacher) for row in np.asarray(each)])
            for name, each in zip(chosen, found, strict=True)
        ]

    return (sizes, list(by_key)), run


def _input_shape(signature: Any, teacher: TeacherSettings) -> list[int]:
    """The shape of one call's input: what the model says, with the settings' sizes where it leaves them open."""
    features = teacher.features
    wanted = [teacher.window] if features is None else [features.frames(teacher.window), features.mel_bands]
    found = [int(size) for size in signature]
    for before in range(len(found) - len(wanted) + 1):
        inside = found[before : before + len(wanted)]
        around = found[:before] + found[before + len(wanted) :]
        fits = all(has in (-1, size) for has, size in zip(inside, wanted, strict=True))
        if fits and all(size in (-1, 1) for size in around):
            return [1] * before + wanted + [1] * (len(found) - before - len(wanted))
    what = "window" if features is None else "window and [features]"
    has, gives = (" x ".join("any" if s == -1 else str(s) for s in sizes) for sizes in (found, wanted))
    hint = "see sample_rate_hz, window and input in the teacher's TOML"
    raise EngineRefused(f"{teacher.name} takes {has} values, {what} give {gives}", hint=hint)


def _named(name: str | int, tensors: list[str], outputs: list[str], teacher: TeacherSettings) -> str:
    if isinstance(name, int):
        if not 0 <= name < len(outputs):
            raise EngineRefused(f"{teacher.name} has no output {name}", hint=f"it has {len(outputs)}, from 0 on")
        return outputs[name]
    if name not in tensors:
        close = nearest(name, tensors)
        hint = close if close.startswith("did") else f"its outputs are {', '.join(outputs)}"
        raise EngineRefused(f"{teacher.name} has no tensor {name!r}", hint=hint)
    return name


def _vector(values: np.ndarray, name: str, teacher: TeacherSettings) -> np.ndarray:
    """The numbers of one window: [n]."""
    if values.size != max(values.shape, default=1):
        shape = " x ".join(map(str, values.shape))
        raise EngineRefused(f"{teacher.name}: {name} is {shape}", hint="one vector a window is wanted")
    return values.reshape(-1)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
