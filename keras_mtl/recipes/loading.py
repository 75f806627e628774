"""Reads recipes: shipped ones by name or a TOML file, with overrides; refuses what it does not know by name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w

from keras_mtl.core import LogMelSettings, RecipeError, field_value, nearest
from keras_mtl.decoding import DecodeSettings
from keras_mtl.recipes.settings import Recipe
from keras_mtl.recipes.systems import system_of

Given = dict[str, dict[str, Any]]

# An "=" within quotes is part of a name.
_KEY_AND_VALUE = re.compile(r"""(?P<key>(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^"'=])*)=(?P<value>.*)""", re.DOTALL)
#: The dataclass of each group.
_KINDS: dict[str, Any] = {name: type(group) for name, group in vars(Recipe()).items() if name != "name"}


def names() -> list[str]:
    """Names of the shipped recipes."""
    folder = resources.files("keras_mtl.recipes")
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_recipe(name_or_file: str | Path, overrides: Iterable[str] = ()) -> Recipe:
    """Reads a recipe and applies overrides.

    Args:
        name_or_file: a shipped recipe's name, or the path of a TOML file.
        overrides: strings "group.key=value" or, where the key is in one group only, "key=value"; of a table in a group
            'group.key."name".key=value', as in TOML.

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
        raise RecipeError(f"no recipe {name!r}", hint=nearest(name, names()))
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{name} is not TOML: {error}") from None
    document.pop("name", None)
    # Collected first: what a key stands for, and whether it can be used, may depend on the others of its group.
    given: Given = {}
    for group, values in document.items():
        if not isinstance(values, dict):
            raise RecipeError(f"{name}: {group} stands outside of a group", hint=f"groups: {', '.join(_KINDS)}")
        for key, value in values.items():
            _take(given, group, key, value, name)
    for override in overrides:
        _override(given, override)
    groups = {group: _KINDS[group](**values) for group, values in given.items() if group != "features"}
    recipe = Recipe(name=stem, **groups)
    return replace(recipe, features=_features(system_of(recipe.model.system).features, given.get("features", {})))


def override_decoding(decoding: DecodeSettings, overrides: Iterable[str]) -> DecodeSettings:
    """Applies overrides to settings that are in no recipe, as those of an artifact.

    Args:
        decoding: the settings.
        overrides: as of `load_recipe`, of the group `decode` only.

    Raises:
        RecipeError: a key of another group, an unknown one, or a value of the wrong type or out of range.
    """
    given: Given = {"decode": asdict(decoding)}
    for override in overrides:
        _override(given, override)
    if others := sorted(given.keys() - {"decode"}):
        raise RecipeError(f"--set {others[0]}: only decode can be set here", hint="decode.threshold=0.4")
    return DecodeSettings(**given["decode"])


def _features(of_system: LogMelSettings, given: dict[str, Any]) -> LogMelSettings:
    """The system's own features, but for what is given; what follows from a given value is found anew."""
    follows = {"window": "fft", "sample_rate_hz": "high_hz"}
    anew = {follower: 0 for key, follower in follows.items() if key in given}
    return replace(of_system, **{**anew, **given})


def to_toml(recipe: Recipe) -> str:
    """The resolved recipe as TOML, with every key."""
    return tomli_w.dumps(asdict(recipe))


def _override(given: Given, override: str) -> None:
    split = _KEY_AND_VALUE.fullmatch(override)
    if not split:
        raise RecipeError(f"--set {override}: no '=' in it", hint="for example --set train.epochs=5")
    raw = split["value"]
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw
    group, *leaves = _parts(split["key"].strip())
    if not leaves:
        holders = [g for g in _KINDS if group in _keys(g)]
        if len(holders) > 1:
            raise RecipeError(
                f"--set {override}: {group!r} is in several groups",
                hint="say " + " or ".join(f"{g}.{group}" for g in holders),
            )
        if not holders:
            everything = [f"{g}.{k}" for g in _KINDS for k in _keys(g)]
            raise RecipeError(f"--set {override}: no key {group!r}", hint=nearest(group, everything))
        group, leaves = holders[0], [group]
    leaf, *inside = leaves
    if inside:  # a key of a table, as model.options.grn
        value = _within(given.get(group, {}).get(leaf, {}), inside, value)
    _take(given, group, leaf, value, "--set")


def _parts(key: str) -> list[str]:
    """The parts of a key: by TOML, where it is one, so that quoted names may hold dots."""
    try:
        node = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        return key.split(".")
    parts = []
    while isinstance(node, dict):
        ((part, node),) = node.items()
        parts.append(part)
    return parts


def _within(table: Any, path: list[str], value: Any) -> dict[str, Any]:
    """A table with the value at a path in it."""
    table, (key, *rest) = table if isinstance(table, dict) else {}, path
    return {**table, key: _within(table.get(key), rest, value) if rest else value}


def _keys(group: str) -> list[str]:
    return [field.name for field in fields(_KINDS[group])]


def _take(given: Given, group: str, key: str, value: Any, where: str) -> None:
    if group not in _KINDS:
        raise RecipeError(f"{where}: no group {group!r}", hint=nearest(group, _KINDS))
    given.setdefault(group, {})[key] = field_value(_KINDS[group], key, value, where, RecipeError, f"{group}.")
