"""Every notebook runs from top to bottom on the smallest data, keeps outputs that fit, and uses public names only."""

import ast
import base64
import hashlib
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
#: In the cell tagged "parameters": what makes a notebook short. The same names are there already.
SHORT = {
    "DATA": "soundscapes:tiny",
    "EPOCHS": 1,
    "QAT_EPOCHS": 1,
    "SET": [
        *("model.options.recurrent_layers=1", "model.options.recurrent_units=32"),
        *("train.scene_batch=8", "train.strong_batch=2", "train.weak_batch=1", "train.unlabelled_batch=1"),
    ],
}
#: What each notebook prints when all went well, as an expression.
SAYS = {
    "01_listen": r"frame made by hand: 0\.00",
    "02_two_tasks_one_model": r"encoder +0 of .*\nscene_head +[1-9].* of .*\nevent_head +0 of ",
    "03_qat_tuning": "cells int16x8  fine_tuned",
    "04_from_keras_to_flash": r"verdict   passed[\s\S]*MicroMutableOpResolver<7>",
    "05_your_own_keras_model": r"int8 .*, 0 steps[\s\S]*int16x8 .*, 0 steps[\s\S]*verdict   passed[\s\S]*selftest",
}
MOST_BYTES_OF_A_PICTURE = 100_000
#: A path of several folders, or of a drive.
_ABSOLUTE_PATH = re.compile(r"(?:^|[\s'\"(=,:])/(?:\w[\w.-]*/)+\w|[A-Z]:\\\w", re.M)


def cells_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs_of(notebook):
    return [output for cell in cells_of(notebook) for output in cell.outputs]


def kinds(cell):
    """What a reader sees of a cell: nothing, text, pictures; how far a training is goes to stderr and is not kept."""
    shown = [output for output in cell.outputs if output.get("name") != "stderr"]
    return {"picture" if "image/png" in output.get("data", {}) else "text" for output in shown}


def pictures_of(notebook):
    found = [output.data["image/png"] for output in outputs_of(notebook) if "image/png" in output.get("data", {})]
    return [base64.b64decode(picture) for picture in found]


def texts_of(notebook):
    for output in outputs_of(notebook):
        yield from [output.text] if output.output_type == "stream" else []
        yield from [text for kind, text in output.get("data", {}).items() if kind.startswith("text/")]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def name(request):
    return request.param.stem


@pytest.fixture
def notebook(name):
    return nbformat.read(NOTEBOOKS[0].with_name(f"{name}.ipynb"), as_version=4)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Prepared data, for all notebooks."""
    return str(tmp_path_factory.mktemp("notebooks") / "cache")


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == sorted(SAYS)


@pytest.mark.parametrize(
    "name",
    [  # the others train, quantize and convert: minutes together
        pytest.param(path, marks=[] if path.stem == "01_listen" else [pytest.mark.slow], id=path.stem)
        for path in NOTEBOOKS
    ],
    indirect=True,
)
def test_notebook_runs_and_its_outputs_are_those_that_are_kept(name, notebook, cache, tmp_path):
    kept = [kinds(cell) for cell in cells_of(notebook)]
    (parameters,) = [cell for cell in cells_of(notebook) if "parameters" in cell.metadata.get("tags", [])]
    names = set(re.findall(r"^(\w+) =", parameters.source, re.M))
    settings = {**SHORT, "CACHE": cache}
    assert names and names <= set(settings)
    parameters.source = "\n".join(f"{name} = {settings[name]!r}" for name in sorted(names))
    NotebookClient(notebook, timeout=400, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert re.search(SAYS[name], "".join(texts_of(notebook)))
    assert [kinds(cell) for cell in cells_of(notebook)] == kept
    assert len(pictures_of(notebook)) >= 2


def test_kept_outputs_belong_to_the_cells(notebook):
    """`make notebooks` writes the hash; a cell that was edited since has another one."""
    code = "\0".join(cell.source for cell in cells_of(notebook))
    assert notebook.metadata["keras_mtl"]["ran"] == hashlib.sha256(code.encode()).hexdigest()
    assert set(notebook.metadata) == {"kernelspec", "language_info", "keras_mtl"}


def test_kept_outputs_are_fit_to_be_read(notebook):
    assert outputs_of(notebook)
    for cell in cells_of(notebook):
        assert cell.execution_count is None
        assert "execution" not in cell.metadata
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr"
            assert output.get("execution_count") is None
    for text in texts_of(notebook):
        assert not _ABSOLUTE_PATH.search(text), text
        assert "Warning" not in text
    for picture in pictures_of(notebook):
        assert picture.startswith(b"\x89PNG")
        assert len(picture) <= MOST_BYTES_OF_A_PICTURE


@pytest.mark.parametrize("text", ["saved /tmp/a/b.png", "'/srv/x/y'", "PosixPath('/var/a/b')", r"C:\users\a"])
def test_the_path_check_finds_paths(text):
    assert _ABSOLUTE_PATH.search(text)


@pytest.mark.parametrize("text", ["28,897,840 MAC/s", "#include <a/b/c.h>", "PSDS1 / PSDS2", "https://example.org/a/b"])
def test_the_path_check_lets_other_text_be(text):
    assert not _ABSOLUTE_PATH.search(text)


def test_notebook_uses_public_names_only(notebook):
    assert len(cells_of(notebook)) > 3
    for cell in cells_of(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Attribute):
                assert not node.attr.startswith("_")
            if isinstance(node, ast.Import | ast.ImportFrom):
                dotted = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                assert not any(part.startswith("_") for name in dotted for part in name.split("."))
