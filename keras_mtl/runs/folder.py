"""A run folder: what a training leaves behind, saved so that every later stage can read it back.

recipe.toml        the resolved recipe, every key
data.json          the data that the training was begun on (`data`)
run.json           what was trained, on what, with which versions, and the figures it reached
network.keras      the network with its final weights
samples.npz        log-mel of scene clips: for calibration (training clips) and as golden inputs (evaluation clips); of
                   event clips: as golden inputs
PHASE.csv          Keras's log of each phase;  tensorboard/PHASE  the same for TensorBoard
PHASE.conflict.csv where asked for: the cosine between the tasks' gradients, step by step
checkpoints/       where the training is, and best and last weights of each phase
qat.keras          after `keras_mtl quantize`: the network with fake quantization
qat_tfmot.npz      where tfmot quantized, instead of it: tfmot's model;  qat_tfmot.pb  its forward pass
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
import zipfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_mtl import __version__
from keras_mtl.core import DataError, Labels, LogMelSettings, RunError, files, read_labels
from keras_mtl.datasets import Corpus, open_corpus
from keras_mtl.recipes import Recipe, load_recipe

if TYPE_CHECKING:
    import keras

SCHEMA = "keras_mtl.run/1"
_PACKAGES = ("keras", "tensorflow", "numpy", "librosa", "tensorflow-datasets", "ai-edge-litert")


@dataclass(frozen=True)
class Samples:
    """Normalised log-mel of clips of the tasks that a run was trained on, float32 [clips, frames, mel_bands].

    Attributes:
        calibration: scene clips from the training split, as long as those that were trained on (a second).
        golden: scene clips from the evaluation split.
        golden_events: event clips from the evaluation split, as long as those that were trained on (ten seconds).
    """

    calibration: np.ndarray
    golden: np.ndarray
    golden_events: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))


_SAMPLES = tuple(each.name for each in fields(Samples))


@dataclass(frozen=True)
class Run:
    """A finished run folder.

    Attributes:
        path: the folder.
        info: the content of `run.json`.
    """

    path: Path
    info: dict[str, Any]

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Reads a run folder.

        Raises:
            RunError: it is missing, not a run folder, unfinished, or of another version.
        """
        path = Path(path)
        if not path.is_dir():
            raise RunError(f"no run folder {path}", hint="keras_mtl train --out RUN makes one")
        try:
            info = json.loads((path / "run.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(f"{path} is not a finished run: no run.json", hint="finish it with train --resume") from None
        except ValueError as error:
            raise RunError(f"{path / 'run.json'} is not JSON: {error}") from None
        if info.get("schema") != SCHEMA:
            raise RunError(f"{path / 'run.json'} has schema {info.get('schema')!r}, not {SCHEMA!r}")
        return cls(path, info)

    @property
    def settings(self) -> LogMelSettings:
        """The features the network was trained on, with their normalisation."""
        return LogMelSettings.from_dict(self.info["features"])

    @property
    def labels(self) -> Labels:
        """The classes of the tasks it was trained on; DCASE's of a run from before labels were kept."""
        return read_labels(self.info.get("labels")).of(self.info.get("tasks", ("scenes", "events")))

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        return load_recipe(self.path / "recipe.toml")

    def network(self) -> keras.Model:
        """The float network.

        Raises:
            RunError: the file is missing or can't be read, or has other outputs than the run has labels.
        """
        network = self.load_keras("network.keras")
        for task, key in (("scenes", "scenes"), ("events", "strong")):
            names, outputs = self.labels.by_task()[task], network.output[key].shape[-1] if key in network.output else 0
            if names and len(names) != outputs:
                raise RunError(f"{self.path}: run.json names {len(names)} {task}, network.keras has {outputs} outputs")
        return network

    def samples(self) -> Samples:
        """The clips kept for calibration and as golden inputs."""
        try:
            with np.load(self.path / "samples.npz") as arrays:
                return Samples(**{name: arrays[name] for name in arrays if name in _SAMPLES})
        except (OSError, TypeError, ValueError, zipfile.BadZipFile):
            raise RunError(f"{self.path / 'samples.npz'} is missing or damaged") from None

    def load_keras(self, name: str) -> keras.Model:
        """A Keras model of the folder; layers that are not ours to know must be registered before.

        Raises:
            RunError: the file is missing or can't be read.
        """
        import keras

        import keras_mtl.models  # noqa: F401  registers the layers of the networks

        try:
            return keras.saving.load_model(self.path / name, compile=False)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise RunError(f"{self.path / name} can't be read: {reason}") from None


def open_data(run: Run, data: str, cache: Path, scoring: bool = False) -> Corpus:
    """Opens data as a run was trained on them: its rate, clips, split and labels.

    Args:
        run: the run.
        data: as of `open_corpus`.
        cache: the folder that `--cache` of the commands names.
        scoring: as of `open_corpus`.

    Raises:
        DataError: as of `open_corpus`.
    """
    rate_hz, settings = run.settings.sample_rate_hz, run.recipe.data
    return open_corpus(
        data, cache / "tfds", sample_rate_hz=rate_hz, settings=settings, labels=run.labels, scoring=scoring
    )


def describe(recipe: Recipe, settings: LogMelSettings, data: dict[str, Any]) -> dict[str, Any]:
    """What `run.json` says of any run: the schema, the data (`Corpus.stamp`), versions and the state of the source."""
    return {
        "schema": SCHEMA,
        "stage": "float",
        "system": recipe.model.system,
        "recipe": recipe.name,
        "seed": recipe.train.seed,
        "features": settings.to_dict(),
        "labels": recipe.labels.to_dict(),
        # As asked for: "auto" where the recipe in the folder has the numbers of these data.
        "decode": asdict(recipe.decode.asked),
        "data": data,
        "git_revision": git_revision(),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of the packages that bear on a result."""
    found = {"keras_mtl": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_revision() -> str | None:
    """The source's commit, with "+changes" where the tree differs from it; None outside of a checkout."""
    folder = Path(__file__).resolve().parent
    try:
        git = ["git", "-C", str(folder)]
        inside = subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True, check=False)
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
        if inside.returncode or head.returncode:
            return None
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return None
    return head.stdout.strip() + ("+changes" if changed.strip() else "")


def save_samples(path: Path, samples: Samples) -> None:
    """Writes `samples.npz`."""
    import io

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{name: getattr(samples, name) for name in _SAMPLES})
    files.write_bytes(path / "samples.npz", buffer.getvalue())


_DATA_SCHEMA = "keras_mtl.run_data/1"
_DATA_NAME = "data.json"


def stamp_data(out: Path, corpus: Corpus) -> None:
    """Writes into a run folder what data its training is on: name, fingerprints and the clips of each split."""
    clips = {each.name: each.count for splits in (corpus.scenes, corpus.events) for each in splits.values()}
    files.write_json(out / _DATA_NAME, {"schema": _DATA_SCHEMA, **corpus.stamp, "parts": corpus.parts, "clips": clips})


def require_same_data(out: Path, fingerprint: str, parts: dict[str, str]) -> None:
    """Raises where a run was begun on other data. One that says nothing of its data is taken as it is.

    Args:
        out: the run folder, finished or not; it need not be there.
        fingerprint: of the data now.
        parts: that of each data set in them, and of the soundbank, where it is used.

    Raises:
        DataError: the data are other ones; it says what differs.
    """
    then = _stamped(out)
    before = then.get("parts") or parts
    # Clips that are mixed for the training alone are no part of the fingerprint.
    if not then or (then.get("fingerprint") == fingerprint and before.get("soundbank") == parts.get("soundbank")):
        return
    raise DataError(
        f"{out} was begun on other data ({then.get('name')}, {str(then.get('fingerprint'))[:12]}) than these "
        f"({fingerprint[:12]}){_difference(then.get('parts') or {}, parts)}",
        hint="give --data as it was then, or train anew in another folder",
    )


def _stamped(out: Path) -> dict[str, Any]:
    for path in (out / _DATA_NAME, out / "run.json"):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        found = document.get("data") if path.name == "run.json" else document
        if found:
            return found
    return {}


def _difference(then: dict[str, str], now: dict[str, str]) -> str:
    """What of two data sets differs, as far as both are known."""
    if not then or not now:
        return ""
    differ = [
        f"{name} is {'not there now' if name not in now else 'new' if name not in then else 'not as it was'}"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]
    same = [f"{name} is the same" for name in sorted(then.keys() & now.keys()) if then[name] == now[name]]
    return ": " + ", ".join(differ + same)
