"""The script that keeps the outputs of notebooks: what it leaves out, and what it writes back."""

import base64
import importlib.util
import io
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def script():
    path = Path(__file__).parents[2] / "scripts" / "keep_outputs.py"
    spec = importlib.util.spec_from_file_location("keep_outputs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def png(pixels):
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, format="PNG")
    return base64.b64encode(packed.getvalue()).decode()


def test_traces_of_one_run_are_left_out(script):
    new = nbformat.v4.new_output
    outputs = [
        new("stream", name="stdout", text="a\n"),
        new("stream", name="stderr", text="Epoch 1/2\n"),
        new("stream", name="stdout", text="b\n"),
        new("execute_result", data={"text/plain": "3"}, execution_count=7),
    ]
    text, result = script.without_traces(outputs)
    assert (text.name, text.text) == ("stdout", "a\nb\n")
    assert (result.data, result.execution_count) == ({"text/plain": "3"}, None)


def test_pictures_get_a_palette_and_stay_as_they_were(script):
    pixels = np.random.default_rng(0).integers(0, 256, (200, 3), np.uint8)[np.arange(40_000).reshape(200, 200) % 200]
    given = nbformat.v4.new_output("display_data", data={"image/png": png(pixels), "text/plain": "<Figure>"})
    (kept,) = script.without_traces([given])
    assert list(kept.data) == ["image/png"]
    found = Image.open(io.BytesIO(base64.b64decode(kept.data["image/png"])))
    assert found.mode == "P"
    np.testing.assert_array_equal(np.asarray(found.convert("RGB")), pixels)


def test_a_notebook_is_run_and_written_back(script, tmp_path):
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    notebook.cells = [
        nbformat.v4.new_code_cell("import sys\nprint('x', file=sys.stderr)"),
        nbformat.v4.new_code_cell("2"),
    ]
    path = tmp_path / "n.ipynb"
    nbformat.write(notebook, path)
    script.keep_outputs(path)
    first = path.read_bytes()
    kept = nbformat.read(path, as_version=4)
    assert [len(cell.outputs) for cell in kept.cells] == [0, 1]
    assert all(cell.execution_count is None and "execution" not in cell.metadata for cell in kept.cells)
    assert kept.metadata["keras_mtl"]["ran"] == script.cells_hash(kept)
    script.keep_outputs(path)
    assert path.read_bytes() == first
