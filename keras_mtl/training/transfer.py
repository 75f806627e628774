"""Transfer: a training starts from the weights of another run, which a recipe names as `train.init`."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras

from keras_mtl.algorithms import decoder_name, decoders_of
from keras_mtl.core import FeatureMismatch, Labels, LogMelSettings, RecipeError, RunError, files
from keras_mtl.models import build
from keras_mtl.recipes import Recipe
from keras_mtl.runs import Run
from keras_mtl.training.checkpoints import Checkpoints

#: The initialised network lies among the checkpoints as a phase does, so that a resumed training needs no other run.
_NAME = "init"
_KEPT = "init.json"


class Initial:
    """What a training takes of another run: found and checked or, where it was begun before, what was taken then.

    Taken are the encoder and, of each decoder of a task that the run was trained on, all layers where the labels of the
    task are the same, and else those whose weights do not depend on the number of classes. A decoder of another make
    (other options) starts fresh.

    Args:
        recipe: of the training, with its labels.
        network: as the training builds it.
        checkpoints: the folder of the training's checkpoints; it need not be there.

    Attributes:
        normalisation: mean_db and std_db of the run, which its encoder expects.
        record: for `run.json`: {"run", "sha256" of its network, "taken", "fresh"}, names of parts or of their layers.

    Raises:
        RunError: no finished run is there, or a quantized one.
        FeatureMismatch: its features are of another kind.
        RecipeError: its encoder is another one.
    """

    def __init__(self, recipe: Recipe, network: keras.Model, checkpoints: Path) -> None:
        self._source: keras.Model | None = None
        self.record: dict[str, Any]
        kept = checkpoints / _KEPT
        if kept.is_file():
            document = json.loads(kept.read_text(encoding="utf-8"))
            self.normalisation, self.record = document["normalisation"], document["record"]
            return
        run = Run.load(Path(recipe.train.init).expanduser())
        if run.info["stage"] != "float":
            raise RunError(f"train.init: {run.path} is a quantized run", hint="name the float run that it was made of")
        require_same_features(run, recipe, "train.init:", "this training")
        self._source = run.network()
        if differing := _difference(self._source.get_layer("encoder"), network.get_layer("encoder")):
            raise RecipeError(
                f"train.init: {run.path} (system {run.info['system']}) has another encoder than this training (system "
                f"{recipe.model.system}): {differing}",
                hint="take its system and model.options",
            )
        taken: list[str] = ["encoder"]
        fresh: list[str] = []
        for task in decoders_of(network):
            layers, others = _of_decoder(task, run, self._source, recipe, network)
            taken, fresh = taken + layers, fresh + others
        with (run.path / "network.keras").open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.normalisation = [run.settings.mean_db, run.settings.std_db]
        self.record = {"run": str(run.path), "sha256": digest, "taken": taken, "fresh": fresh}

    def normalised(self, features: LogMelSettings) -> LogMelSettings:
        """A recipe's features with the run's normalisation, where the recipe sets none of its own."""
        return features.normalised(*self.normalisation) if features.std_db == 1.0 else features

    def assign(self, network: keras.Model, checkpoints: Checkpoints) -> None:
        """Gives a network the weights that are taken, and keeps it for `--resume`; says in a line what was taken."""
        if self._source is None:
            network.load_weights(checkpoints.done(_NAME))
            return
        for name in self.record["taken"]:
            _layer(network, name).set_weights(_layer(self._source, name).get_weights())
        checkpoints.finish(network, _NAME)
        files.write_json(checkpoints.folder / _KEPT, {"normalisation": self.normalisation, "record": self.record})
        taken, fresh = (", ".join(self.record[key]) or "nothing" for key in ("taken", "fresh"))
        print(f"initialised from {self.record['run']}: {taken}; fresh: {fresh}", file=sys.stderr)


def require_same_features(run: Run, recipe: Recipe, role: str, other: str) -> None:
    """Refuses a run whose features differ from a recipe's in more than the scalar normalisation.

    Args:
        run: a finished run.
        recipe: of the training that wants to use it.
        role: what stands before the run in the message.
        other: what stands for the training.

    Raises:
        FeatureMismatch: naming both systems and every setting.
    """
    theirs, ours = (settings.normalised(0.0, 1.0) for settings in (run.settings, recipe.features))
    if differing := theirs.differences(ours):
        raise FeatureMismatch(
            f"{role} {run.path} (system {run.info['system']}) and {other} (system {recipe.model.system}) have other "
            f"features: {', '.join(differing)}",
            hint="train one of them on the other's features",
        )


def _of_decoder(
    task: str, run: Run, source: keras.Model, recipe: Recipe, network: keras.Model
) -> tuple[list[str], list[str]]:
    """What is taken of a task's decoder, and what starts fresh: the decoder's name, or those of its layers."""
    name = decoder_name(task)
    mine = network.get_layer(name)
    if task not in run.info["tasks"] or task not in decoders_of(source):
        return [], [name]
    same = run.labels.by_task()[task] == recipe.labels.by_task()[task]
    classifiers = [] if same else _classifiers(task, mine, recipe)
    below = [f"{name}/{layer.name}" for layer in mine.layers if layer.weights and layer.name not in classifiers]
    if not below or _difference(source.get_layer(name), mine, classifiers):
        return [], [name]
    return ([name], []) if same else (below, [f"{name}/{layer}" for layer in classifiers])


def _classifiers(task: str, decoder: keras.Model, recipe: Recipe) -> list[str]:
    """Names of a decoder's layers whose weights depend on the number of classes: with another number they differ."""
    names = ("a", "b") if len(recipe.labels.by_task()[task]) != 2 else ("a", "b", "c")
    network = build(recipe.model.system, Labels(names, names), recipe.features, recipe.model.options)
    other = network.get_layer(decoder.name)
    return [layer.name for layer in decoder.layers if _shapes(layer) != _shapes(other.get_layer(layer.name))]


def _difference(theirs: keras.Model, ours: keras.Model, without: Iterable[str] = ()) -> str:
    """What sets the layers of two models apart, but for some; empty where nothing does."""
    first, second = ([layer for layer in model.layers if layer.name not in without] for model in (theirs, ours))
    if len(first) != len(second):
        return f"{len(first)} layers against {len(second)}"
    for one, other in zip(first, second, strict=True):
        if _make(one) != _make(other):
            return f"layer {other.name} differs"
    return ""


def _make(layer: keras.layers.Layer) -> tuple[Any, ...]:
    """All that makes a layer but its weights' values. As JSON, since one that was read back has lists for tuples."""
    return type(layer), json.dumps({**layer.get_config(), "dtype": None}), _shapes(layer)


def _shapes(layer: keras.layers.Layer) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]


def _layer(network: keras.Model, name: str) -> keras.layers.Layer:
    part, _, layer = name.partition("/")
    return network.get_layer(part).get_layer(layer) if layer else network.get_layer(part)
