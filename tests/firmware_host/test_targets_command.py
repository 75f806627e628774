"""`keras_mtl targets`: the targets with their figures, and a file of one's own checked."""

from __future__ import annotations

import json

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
    for figure in ("cortex-m7", "480", "2,097,152", "1,081,344", "1,572,864", "458,752", "cmsis-nn", "10"):
        assert figure in row.split()
    assert "parameter_bytes 128,000" in done.stdout


def test_json_has_the_fields_of_the_files():
    document = json.loads(CliRunner().invoke(targets, ["--json"]).stdout)
    assert document["schema"] == "keras_mtl.targets/1"
    assert document["targets"] == [load_target(name).to_dict() for name in target_names()]


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
