"""What a teacher is: its model, what goes in, and which of its tensors are used. Read from a small TOML."""

from __future__ import annotations

import functools
import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from keras_mtl.core import LogMelSettings, RecipeError, read

#: The teacher whose settings come with the package.
YAMNET = "yamnet.toml"
#: Suffixes of models.
SUFFIXES = (".tflite", ".keras")


@dataclass(frozen=True)
class ProbeSettings:
    """How the probes are fitted on a teacher's embeddings.

    Attributes:
        folds: parts that the training recordings are dealt into.
        c: inverse of the regularisation of the logistic regression for scenes.
        epochs: passes over the clips for the recurrent probe for events.
    """

    folds: Annotated[int, Meta(ge=2)] = 4
    c: Annotated[float, Meta(gt=0)] = 0.01
    epochs: Annotated[int, Meta(ge=1)] = 25


@dataclass(frozen=True)
class TeacherSettings:
    """A teacher's settings.

    Attributes:
        model: path of a `.tflite` or `.keras` file.
        input: "waveform", samples in [-1, 1], or "log_mel".
        sample_rate_hz: of what it takes.
        window: samples of one call.
        embedding: the output or the inner tensor (of a `.keras` file: the layer) that is the embedding: its name, or
            the output's number.
        hop_s: seconds from window to window, where a clip has room for two and more.
        scores: likewise the probabilities of its classes; "" for none.
        features: of "log_mel": the features that it takes, with their normalisation.
        probe: how probes are fitted on its embeddings.
    """

    model: str
    sample_rate_hz: Annotated[int, Meta(ge=1)]
    window: Annotated[int, Meta(ge=1)]
    embedding: str | int
    input: Literal["waveform", "log_mel"] = "waveform"
    hop_s: Annotated[float, Meta(gt=0)] = 0.16
    scores: str | int = ""
    features: LogMelSettings | None = None
    probe: ProbeSettings = field(default_factory=ProbeSettings)

    @property
    def name(self) -> str:
        """What messages call it."""
        return Path(self.model).name

    @property
    def hop(self) -> int:
        """Samples from window to window."""
        return max(1, round(self.hop_s * self.sample_rate_hz))

    @functools.cached_property
    def digest(self) -> str:
        """Stands for the model's content and all settings that its outputs depend on; the file is read once."""
        settings = {key: value for key, value in asdict(self).items() if key not in ("model", "probe")}
        with Path(self.model).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        return hashlib.sha256(json.dumps([content, settings], sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)


def load_teacher(path: str | Path, model: str | Path | None = None) -> TeacherSettings:
    """Reads a teacher's TOML.

    Args:
        path: the file; `yamnet.toml`, where there is no such file, is the one that comes with the package.
        model: the model's file, instead of the one that the TOML names.

    Raises:
        RecipeError: no such file, not TOML, an unknown or missing key, a value that can't be used, or no model.
    """
    path = Path(path)
    if path.is_file():
        text = path.read_text(encoding="utf-8")
    elif str(path) == YAMNET:
        text = (resources.files("keras_mtl.teachers") / YAMNET).read_text(encoding="utf-8")
    else:
        raise RecipeError(f"no teacher file {path}", hint=f"{YAMNET} comes with the package; another one is a copy")
    try:
        values: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is not TOML: {error}") from None
    tables = {"features": LogMelSettings, "probe": ProbeSettings}
    given = {key: values.pop(key) for key in tables if key in values}
    teacher = read(TeacherSettings, values, str(path), RecipeError)
    if "features" in given and isinstance(given["features"], dict):
        given["features"] = {"sample_rate_hz": teacher.sample_rate_hz, **given["features"]}
    inner: dict[str, Any] = {
        key: read(tables[key], table, str(path), RecipeError, f"{key}.") for key, table in given.items()
    }
    teacher = replace(teacher, **inner)
    _require_features(teacher, path)
    return replace(teacher, model=str(_model_file(teacher.model, model, path)))


def _require_features(teacher: TeacherSettings, path: Path) -> None:
    if (teacher.features is not None) != (teacher.input == "log_mel"):
        hint = 'input = "log_mel" takes a table [features], input = "waveform" none'
        raise RecipeError(f'{path}: input = "{teacher.input}" and [features] do not go together', hint=hint)
    if teacher.features is not None and teacher.features.sample_rate_hz != teacher.sample_rate_hz:
        rates = f"sample_rate_hz = {teacher.sample_rate_hz}, and features.sample_rate_hz another one"
        raise RecipeError(f"{path}: {rates}", hint="leave out features.sample_rate_hz")


def _model_file(named: str, given: str | Path | None, path: Path) -> Path:
    if given is None and not named:
        hint = "give it with --model FILE, or set `model` in a copy; models do not come with the package"
        raise RecipeError(f"{path} names no model", hint=hint)
    file = Path(given) if given is not None else path.parent / named
    if not file.is_file():
        raise RecipeError(f"no model file {file}", hint="a .tflite or .keras file: give it with --model FILE")
    if file.suffix not in SUFFIXES:
        raise RecipeError(f"{file} is no {' or '.join(SUFFIXES)} file")
    return file.resolve()
