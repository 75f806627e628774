"""`keras_mtl targets`: the targets with their figures, and a file of one's own checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from keras_mtl.cli.emulate import command as emulate
from keras_mtl.cli.targets import command as targets
from keras_mtl.core import TargetError
from keras_mtl.firmware_host.targets import load_target, target_names


def test_lists_every_target_with_its_figures():
    done = CliRunner().invoke(targets, [])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(target_names())
    (row,) = (line for line in lines if line.startswith("stm32h743"))
    for figure in ("cortex-m7", "480", "2,097,152", "1,081,344", "1,572,864", "458,752", "cmsis-nn", "15"):
        assert figure in row.split()
    assert "parameter_bytes 128,000" in done.stdout


def test_json_has_the_fields_of_the_files():
    document = json.loads(CliRunner().invoke(targets, ["--json"]).stdout)
    assert document["schema"] == "keras_mtl.targets/1"
    assert document["targets"] == [load_target(name).to_dict() for name in target_names()]


@pytest.mark.parametrize(
    ("encoding", "shown"), [("utf-8", "кашель ß"), ("latin-1", r"\u043a\u0430\u0448\u0435\u043b\u044c ß")]
)
def test_letters_that_a_terminal_lacks_are_written_out(tmp_path, encoding, shown):
    """As JSON writes them, so that a document stays one; an emoji are two units there."""
    path, description = tmp_path / "mine.toml", "кашель ß \N{DOG FACE}"
    path.write_text(f'kind = "budget"\nname = "mine"\ndescription = "{description}"\n', encoding="utf-8")
    program = [sys.executable, "-P", "-c", "from keras_mtl.cli import main; main()", "targets", str(path)]
    said = [
        subprocess.run(
            [*program, *options], env={**os.environ, "PYTHONIOENCODING": encoding}, capture_output=True, check=True
        ).stdout.decode(encoding)
        for options in ([], ["--json"])
    ]
    assert shown in said[0]
    assert json.loads(said[1])["targets"][0]["description"] == description


def test_a_file_of_one_s_own_is_checked(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('kind = "budget"\nname = "mine"\nparameter_bytes = 1000\n')
    done = CliRunner().invoke(targets, [str(path), "rp2040"])
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == ["mine", "rp2040"]
    path.write_text('kind = "board"\nname = "mine"\n')
    refused = CliRunner().invoke(targets, [str(path)])
    assert isinstance(refused.exception, TargetError)
    with pytest.raises(TargetError, match="core is missing"):
        raise refused.exception


def test_emulate_s_help_names_every_target():
    words = set(CliRunner().invoke(emulate, ["--help"]).stdout.replace(",", " ").split())
    assert set(target_names()) <= words
