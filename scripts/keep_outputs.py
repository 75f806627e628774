"""Runs the notebooks from top to bottom as they are, and keeps what they print and draw. `make notebooks` calls it.

What one run has and the next has not is left out: counters, times, and stderr, where trainings tell
how far they are. The notebook's metadata get the hash of the cells that gave the outputs; the tests hold it against the
cells, so that an edited cell without a new run is found.
"""

import base64
import hashlib
import io
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

_FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
_TIMEOUT_S = 3600
_PICTURE = "image/png"
_COLOURS = 256


def cells_hash(notebook: NotebookNode) -> str:
    """sha256 over the code of a notebook."""
    code = "\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256(code.encode()).hexdigest()


def without_traces(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Outputs of a cell without what differs from run to run; prints that follow each other are one."""
    kept: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream" and output.name == "stderr":
            continue
        if output.output_type == "stream" and kept and kept[-1].output_type == "stream":
            kept[-1].text += output.text
            continue
        if "execution_count" in output:
            output.execution_count = None
        if _PICTURE in output.get("data", {}):
            output.data = {_PICTURE: in_few_colours(output.data[_PICTURE])}
        kept.append(output)
    return kept


def in_few_colours(picture: str) -> str:
    """A PNG in base64 with a palette: a spectrogram takes a third of the bytes, and looks the same."""
    found = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    packed = io.BytesIO()
    found.quantize(_COLOURS, dither=Image.Dither.NONE).save(packed, format="PNG", optimize=True)
    return base64.b64encode(packed.getvalue()).decode()


def keep_outputs(path: Path) -> None:
    """Runs one notebook and writes it back with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    metadata = {key: notebook.metadata[key] for key in ("kernelspec",)} | {"language_info": {"name": "python"}}
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=_TIMEOUT_S, resources=resources, record_timing=False).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = without_traces(cell.outputs), None
    notebook.metadata = nbformat.from_dict({**metadata, "keras_mtl": {"ran": cells_hash(notebook)}})
    nbformat.write(notebook, path)


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    wanted = sys.argv[1:]
    for one in sorted(_FOLDER.glob("*.ipynb")):
        if not wanted or one.stem in wanted:
            print(f"running {one.name}", flush=True)
            keep_outputs(one)
