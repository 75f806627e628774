"""What a sweep is of: axes of values, their product, and a readable name for each combination (no TensorFlow here)."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from keras_mtl.core import RecipeError
from keras_mtl.experiments.sweep_state import Sweep, SweepRun
from keras_mtl.recipes import Recipe, load_recipe, to_toml

_LONGEST_NAME = 120
_CLOSING = {"[": "]", "{": "}", "(": ")"}


@dataclass(frozen=True)
class Axis:
    """A key of the recipe and the values that it takes, as they were written."""

    key: str
    values: tuple[str, ...]


def plan_sweep(recipe: str, sets: Iterable[str], data: str, seeds: str | None = None) -> Sweep:
    """The product of all listed values, the last axis fastest, as a sweep of which nothing is done.

    Args:
        recipe: a shipped recipe's name, or the path of a TOML file.
        sets: strings "key=value" or "key=value,value,...".
        data: as of `keras_mtl train`.
        seeds: "0,1,2": the axis `train.seed`.

    Raises:
        RecipeError: no such recipe or key, a value that the recipe refuses, a key given twice, or two combinations that
            are the same training.

    Example:
        >>> [run.name for run in plan_sweep("mt", ["algorithm=soft,hard"], "soundscapes", "0,1").runs]
        ['algorithm=soft,seed=0', 'algorithm=soft,seed=1', 'algorithm=hard,seed=0', 'algorithm=hard,seed=1']
    """
    given = [_axis(item) for item in [*sets, *([f"train.seed={seeds}"] if seeds is not None else [])]]
    _require_keys_once(given)
    # Seeds stand in every name, be there one: a later sitting may add some.
    axes = [axis for axis in given if len(axis.values) > 1 or (seeds is not None and axis is given[-1])]
    fixed = tuple(f"{axis.key}={axis.values[0]}" for axis in given if axis not in axes)
    written = [tuple(f"{a.key}={v}" for a, v in zip(axes, c, strict=True)) for c in _product(axes)]
    names = names_of(axes)
    runs = tuple(SweepRun(name, (*fixed, *own)) for name, own in zip(names, written, strict=True))
    _require_different([(run.name, load_recipe(recipe, run.overrides)) for run in runs])
    resolved = to_toml(load_recipe(recipe, fixed))
    digest = hashlib.sha256(resolved.encode()).hexdigest()
    return Sweep(recipe, digest, data, fixed, {axis.key: axis.values for axis in axes}, runs)


def split_values(text: str) -> tuple[str, ...]:
    """Splits at the commas outside of brackets and quotes: '"a,b",[1,2],x' gives '"a,b"', '[1,2]' and 'x'.

    Raises:
        RecipeError: an empty value, or a bracket or quote without its other half.
    """
    values, start, open_brackets, quote = [], 0, [], ""
    for place, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote and text[place - 1] != "\\" else quote
        elif sign in "\"'":
            quote = sign
        elif sign in _CLOSING:
            open_brackets.append(_CLOSING[sign])
        elif open_brackets and sign == open_brackets[-1]:
            open_brackets.pop()
        elif sign == "," and not open_brackets:
            values.append(text[start:place].strip())
            start = place + 1
    values.append(text[start:].strip())
    if quote or open_brackets:
        raise RecipeError(f"{text!r}: {quote or open_brackets[-1]} is missing", hint="commas separate values")
    if "" in values:
        raise RecipeError(f"{text!r}: a value is empty", hint="commas separate values")
    return tuple(values)


def names_of(axes: Sequence[Axis]) -> list[str]:
    """A name for each combination, all of them different, fit to be a folder's: "algorithm=soft,seed=0".

    A name depends on the axes' keys and the combination's own values only, so that it stays when values are added.
    """
    leaves = [axis.key.rpartition(".")[2] for axis in axes]
    keys = [leaf if leaves.count(leaf) == 1 else axis.key for axis, leaf in zip(axes, leaves, strict=True)]
    return [
        _folder_name([f"{key}={value}" for key, value in zip(keys, values, strict=True)]) for values in _product(axes)
    ]


def _folder_name(words: Sequence[str]) -> str:
    written = ",".join(words)
    plain = ",".join(re.sub(r"[^\w.+=-]+", "-", word.replace('"', ""), flags=re.ASCII).strip("-") for word in words)
    if not words:
        return "run"
    if plain == written and len(plain) <= _LONGEST_NAME:
        return plain
    # What was left out may be the only difference of two combinations.
    mark = hashlib.sha256(written.encode()).hexdigest()[:8]
    return f"{plain[:_LONGEST_NAME]}-{mark}"


def _product(axes: Sequence[Axis]) -> list[tuple[str, ...]]:
    return list(itertools.product(*(axis.values for axis in axes)))


def _axis(item: str) -> Axis:
    key, equals, values = item.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {item}: no key and '=' in it", hint="for example --set algorithm=soft,hard")
    return Axis(key.strip(), split_values(values))


def _require_keys_once(axes: Sequence[Axis]) -> None:
    keys = [axis.key.removeprefix("train.") for axis in axes]
    for key in keys:
        if keys.count(key) > 1:
            raise RecipeError(f"{key} is set twice", hint="list its values in one place, separated by commas")


def _require_different(recipes: Sequence[tuple[str, Recipe]]) -> None:
    seen: dict[str, str] = {}
    for name, recipe in recipes:
        resolved = to_toml(recipe)
        if resolved in seen:
            raise RecipeError(f"{seen[resolved]} and {name} are the same training", hint="list each value once")
        seen[resolved] = name
