"""What of a project's directory is copied: the project, without caches and environments."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lionagi_qe.agents.project.ignored import is_ignored

if TYPE_CHECKING:
    from pathlib import Path

SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55\n# by cargo\n"
TREE = {
    "target/CACHEDIR.TAG": SIGNATURE,
    ".pixi/envs/conda-meta/history": "",
    "environment/conda-meta/history": "",
    "venv/pyvenv.cfg": "",
    "node_modules/left/index.js": "",
    "shop/__init__.py": "",
    "tagged/CACHEDIR.TAG": "what somebody else means by it\n",
    "data/big.csv": "",
}


def test_caches_and_environments_are_known_by_what_they_hold(tmp_path: Path) -> None:
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    with os.scandir(tmp_path) as entries:
        kept = {entry.name for entry in entries if not is_ignored(entry)}
    assert kept == {".pixi", "data", "shop", "tagged"}
    with os.scandir(tmp_path / ".pixi") as entries:
        assert all(is_ignored(entry) for entry in entries)
