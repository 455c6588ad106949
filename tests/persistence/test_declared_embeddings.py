"""Functions that installed packages declare to make vectors are found by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lionagi_qe import open_memory
from lionagi_qe.errors import ConfigurationError, EmbeddingNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = """
def count_letters(texts):
    return [[float(text.count(letter)) for letter in "aeiou"] for text in texts]
"""
ENTRY_POINTS = "[lionagi_qe.embeddings]\nletters-of-a-package = vowels_of_texts:count_letters\n"


async def test_an_index_finds_the_function_of_an_installed_package_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vowels_of_texts.py").write_text(PACKAGE)
    installed = tmp_path / "vowels_of_texts-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: vowels\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    async with open_memory("memory://") as memory:
        await memory.store_many({"aqe/notes/a": "banana", "aqe/notes/b": "onion"})
        await memory.index("notes", "aqe/notes/*", embed="letters-of-a-package", dims=5)
        (best, *_) = await memory.recall("papaya", index="notes")
        assert best.key == "aqe/notes/a"
        assert best.vector is not None
        await memory.index("others", "aqe/notes/*", embed="vowels_of_texts.count_letters", dims=5)
        # Importable, but nobody declared it: a name in a memory has nothing imported.
        with pytest.raises(EmbeddingNotFoundError, match="--embed vowels_of_texts") as refused:
            await memory.recall("papaya", index="others")
        assert isinstance(refused.value, ConfigurationError)
