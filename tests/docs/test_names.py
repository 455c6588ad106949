"""Names of the package: none is taken for another thing; words that it gave up stay away."""

from __future__ import annotations

import re
from pathlib import Path

import lionagi_qe

PACKAGE = Path(lionagi_qe.__file__).parent
# Former names of shared reads, batches, partitions and learned values.
GIVEN_UP = re.compile(r"\b(flights?|boarding|airborne|parcels?|lessons)\b", re.IGNORECASE)


def test_no_module_is_taken_for_tests() -> None:
    found = [*PACKAGE.rglob("test_*.py"), *PACKAGE.rglob("*_test.py")]
    assert found == []


def test_words_that_were_given_up_are_not_used() -> None:
    texts = [
        path
        for path in PACKAGE.rglob("*")
        if path.suffix in {".py", ".lua", ".sql", ".html", ".js", ".md", ".toml"}
    ]
    assert len(texts) > 100
    found = [
        f"{path.relative_to(PACKAGE)}: {word[0]}"
        for path in texts
        for word in GIVEN_UP.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []
