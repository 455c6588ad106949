"""Writes the JSON Schemas of what commands print: ``make schema``."""

from __future__ import annotations

import json
from pathlib import Path

from lionagi_qe.cli.documents import DOCUMENTS, schema_of

FOLDER = Path(__file__).parent / "schemas"


def main() -> None:
    """Write a file for each document, and take away those of documents that are gone."""
    FOLDER.mkdir(exist_ok=True)
    for file in FOLDER.glob("*.json"):
        file.unlink()
    for name in DOCUMENTS:
        text = json.dumps(schema_of(name), indent=2, ensure_ascii=False)
        (FOLDER / f"{name}.schema.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
