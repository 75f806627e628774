"""The command line: every command has help and an example and is documented, and help loads nothing heavy."""

from __future__ import annotations

import re

import click
import pytest

from keras_mtl import cli

_HEAVY = {
    "tensorflow",
    "keras",
    "tf_keras",
    "tensorflow_datasets",
    "librosa",
    "pandas",
    "matplotlib",
    "sed_scores_eval",
}
# Runs the command line with its arguments; prints the exit status, what it wrote, and the top-level modules it loaded.
_RUN = """
import contextlib, io, json, sys
from keras_mtl import cli
sys.argv[0] = "keras_mtl"
out, err = io.StringIO(), io.StringIO()
code = 0
try:
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        cli.main()
except SystemExit as stop:
    code = stop.code
loaded = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue(), "loaded": loaded}))
"""


def _commands(group: click.Command = cli.group, before: str = "") -> list[str]:
    """Every command by its words; of a group those in it."""
    if not isinstance(group, click.Group):
        return [before.strip()]
    context = click.Context(group)
    return [
        words
        for name in group.list_commands(context)
        for words in _commands(group.get_command(context, name) or group, f"{before} {name}")
    ]


def _command(words: str) -> click.Command:
    found: click.Command = cli.group
    for name in words.split():
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), name) or pytest.fail(f"no command {words}")
    return found


def test_help_lists_every_command_and_loads_nothing_heavy(run_python) -> None:
    done = run_python(_RUN, "--help")
    assert done["code"] == 0
    assert [name for name in cli.COMMANDS if not re.search(rf"^  {name}  +\S", done["out"], re.M)] == []
    assert not _HEAVY & set(done["loaded"])
    assert "numpy" not in done["loaded"]


@pytest.mark.parametrize("name", _commands())
def test_command_has_help_with_an_example(run_python, name: str) -> None:
    done = run_python(_RUN, *name.split(), "--help")
    assert done["code"] == 0, done["err"]
    assert re.search(rf"Examples?:\n +keras_mtl {name} ", done["out"])
    assert not _HEAVY & set(done["loaded"])


@pytest.mark.parametrize("name", _commands())
def test_every_option_has_help(name: str) -> None:
    command = _command(name)
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert "--json" in {spelling for option in options for spelling in option.opts}
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("name", _commands())
def test_command_and_its_options_are_documented(repository, name: str) -> None:
    text = (repository.root / "docs" / "cli.md").read_text()
    section = re.search(rf"^## `keras_mtl {name}\b.*?(?=^## |\Z)", text, re.M | re.S)
    assert section
    options = {option.opts[-1] for option in _command(name).params if isinstance(option, click.Option)}
    assert [option for option in options if f"`{option}" not in section[0]] == []


def test_documents_name_no_command_that_is_not_there(repository) -> None:
    paths = [*repository.root.glob("*.md"), *(repository.root / "docs").glob("*.md")]
    named = {found for path in paths for found in re.findall(r"^ *\$? ?keras_mtl ([a-z]+)\b", path.read_text(), re.M)}
    assert named <= set(cli.COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["trian"], "trian"), (["--no-such-option"], "--no-such-option"), (["train"], "--recipe")],
)
def test_wrong_use_exits_with_2_and_says_what(run_python, arguments: list[str], says: str) -> None:
    done = run_python(_RUN, *arguments)
    assert done["code"] == 2
    assert says in done["err"]
    assert "Traceback" not in done["err"]
    assert done["out"] == ""


def test_version_is_the_package_s(run_python) -> None:
    assert run_python(_RUN, "--version")["out"] == f"keras_mtl, version {cli.__version__}\n"
