"""Reads recipes: shipped ones by name or a TOML file, with overrides; refuses what it does not know by name."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from dataclasses import fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from keras_mtl.datasets.scene_subsets import PERCENTS
from keras_mtl.errors import RecipeError
from keras_mtl.features import LogMelSettings
from keras_mtl.recipes.settings import Recipe
from keras_mtl.systems import system_of

Given = dict[str, dict[str, Any]]

_DEFAULTS = Recipe()
_CHOICES = {
    "data.scene_subset": PERCENTS,
    "train.task": ("scenes", "events"),
    "train.keep": ("last", "best"),
    "train.precision": ("float32", "mixed_bfloat16", "mixed_float16"),
    "train.strategy": ("none", "mirrored", "multi_worker"),
}


def names() -> list[str]:
    """Names of the shipped recipes."""
    folder = resources.files("keras_mtl.recipes")
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_recipe(name_or_file: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Reads a recipe and applies overrides.

    Args:
        name_or_file: a shipped recipe's name, or the path of a TOML file.
        overrides: strings "group.key=value" or, where the key is in one group only, "key=value".

    Raises:
        RecipeError: no such recipe, not TOML, an unknown key, a value of the wrong type or out of range.
    """
    name = str(name_or_file)
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise RecipeError(f"no recipe file {name}", hint=f"shipped recipes: {', '.join(names())}")
        text, stem = path.read_text(encoding="utf-8"), path.stem
    elif name in names():
        text, stem = (resources.files("keras_mtl.recipes") / f"{name}.toml").read_text(encoding="utf-8"), name
    else:
        raise RecipeError(f"no recipe {name!r}", hint=_nearest(name, names()))
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{name} is not TOML: {error}") from None
    document.pop("name", None)
    # Collected first: what a key stands for, and whether it can be used, may depend on the others of its group.
    given: Given = {}
    for group, values in document.items():
        if not isinstance(values, dict):
            raise RecipeError(f"{name}: {group} stands outside of a group", hint=f"groups: {', '.join(_groups())}")
        for key, value in values.items():
            _take(given, group, key, value, name)
    for override in overrides:
        _override(given, override)
    groups = {
        group: type(getattr(_DEFAULTS, group))(**values) for group, values in given.items() if group != "features"
    }
    recipe = Recipe(name=stem, **groups)
    return replace(recipe, features=_features(system_of(recipe.model.system).features, given.get("features", {})))


def _features(of_system: LogMelSettings, given: dict[str, Any]) -> LogMelSettings:
    """The system's own features, but for what is given; what follows from a given value is found anew."""
    follows = {"window": "fft", "sample_rate_hz": "high_hz"}
    anew = {follower: 0 for key, follower in follows.items() if key in given}
    return replace(of_system, **{**anew, **given})


def to_toml(recipe: Recipe) -> str:
    """The resolved recipe as TOML, with every key."""
    lines = [f'name = "{recipe.name}"']
    for group in _groups():
        lines += ["", f"[{group}]"]
        settings = getattr(recipe, group)
        lines += [f"{f.name} = {_toml_value(getattr(settings, f.name))}" for f in fields(settings)]
    return "\n".join(lines) + "\n"


def _groups() -> list[str]:
    return [field.name for field in fields(Recipe) if field.name != "name"]


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        inner = ", ".join(f'"{key}" = {_toml_value(entry)}' for key, entry in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_toml_value(entry) for entry in value)}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _override(given: Given, override: str) -> None:
    key, equals, raw = override.partition("=")
    if not equals:
        raise RecipeError(f"--set {override}: no '=' in it", hint="for example --set train.epochs=5")
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw
    group, dot, leaf = key.strip().partition(".")
    if not dot:
        holders = [g for g in _groups() if group in _keys(g)]
        if len(holders) > 1:
            raise RecipeError(
                f"--set {override}: {group!r} is in several groups",
                hint="say " + " or ".join(f"{g}.{group}" for g in holders),
            )
        if not holders:
            everything = [f"{g}.{k}" for g in _groups() for k in _keys(g)]
            raise RecipeError(f"--set {override}: no key {group!r}", hint=_nearest(group, everything))
        group, leaf = holders[0], group
    leaf, dot, option = leaf.partition(".")
    if dot:  # a key of a table, as model.options.grn
        value = {**given.get(group, {}).get(leaf, {}), option: value}
    _take(given, group, leaf, value, "--set")


def _keys(group: str) -> list[str]:
    return [field.name for field in fields(getattr(_DEFAULTS, group))]


def _take(given: Given, group: str, key: str, value: Any, where: str) -> None:
    if group not in _groups():
        raise RecipeError(f"{where}: no group {group!r}", hint=_nearest(group, _groups()))
    if key not in _keys(group):
        raise RecipeError(f"{where}: no key {group}.{key}", hint=_nearest(key, _keys(group)))
    expected = type(getattr(getattr(_DEFAULTS, group), key))
    if expected is float and type(value) is int:
        value = float(value)
    if type(value) is not expected:
        raise RecipeError(f"{where}: {group}.{key} = {value!r} is not of type {expected.__name__}")
    if f"{group}.{key}" in _CHOICES and value not in _CHOICES[f"{group}.{key}"]:
        raise RecipeError(f"{where}: {group}.{key} = {value!r}", hint=f"one of {_CHOICES[f'{group}.{key}']}")
    if isinstance(value, (int, float)) and value < 0 and key not in ("mean_db",):
        raise RecipeError(f"{where}: {group}.{key} = {value!r} is negative")
    given.setdefault(group, {})[key] = value


def _nearest(word: str, known: list[str]) -> str:
    leaves = {k.rpartition(".")[2]: k for k in known} | {k: k for k in known}
    close = difflib.get_close_matches(word, leaves, n=1, cutoff=0.5)
    return f"did you mean {leaves[close[0]]}?" if close else f"known: {', '.join(known)}"
