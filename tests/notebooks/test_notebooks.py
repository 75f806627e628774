"""Every notebook runs from top to bottom on the smallest data, and uses public names only."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
#: In the cell tagged "parameters": what makes a notebook short. The same names are there already.
SHORT = {"DATA": "soundscapes:tiny", "EPOCHS": 1, "QAT_EPOCHS": 1}
#: What each notebook prints when all went well.
SAYS = {"01_listen": "frame made by hand: 0.00", "quantization": "verdict   passed"}


def cells_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def name(request):
    return request.param.stem


@pytest.fixture
def notebook(name):
    return nbformat.read(NOTEBOOKS[0].with_name(f"{name}.ipynb"), as_version=4)


def test_there_are_notebooks():
    assert NOTEBOOKS


def test_notebook_runs(name, notebook, tmp_path):
    (parameters,) = [cell for cell in cells_of(notebook) if "parameters" in cell.metadata.get("tags", [])]
    names = set(re.findall(r"^(\w+) =", parameters.source, re.M))
    settings = {**SHORT, "CACHE": str(tmp_path / "cache")}
    assert {"DATA", "CACHE"} <= names <= set(settings)
    parameters.source = "\n".join(f"{name} = {settings[name]!r}" for name in sorted(names))
    NotebookClient(notebook, timeout=400, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(out.get("text", "") for cell in cells_of(notebook) for out in cell.outputs)
    assert SAYS[name] in printed
    pictures = [out for cell in cells_of(notebook) for out in cell.outputs if "image/png" in out.get("data", {})]
    assert len(pictures) == 2


def test_notebook_is_clean_and_uses_public_names(notebook):
    for cell in cells_of(notebook):
        assert cell.outputs == []
        assert cell.execution_count is None
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Attribute):
                assert not node.attr.startswith("_")
            if isinstance(node, ast.ImportFrom):
                assert not any(alias.name.startswith("_") for alias in node.names)
