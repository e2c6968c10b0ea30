"""Runs a notebook by nbclient, renders it to HTML; prints what its cells printed, and how many pictures there are."""

import json
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter

notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=None, kernel_name="python3").execute()
Path(sys.argv[2]).write_text(HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
print(
    json.dumps(
        {
            "text": "".join(output.text for output in outputs if output.output_type == "stream"),
            "pictures": sum("image/png" in output.get("data", {}) for output in outputs),
        }
    )
)
