"""Text to words: the same on every backend, whatever language, accents or case it is in.

Text is brought to one form (Unicode NFKC, case folded, Latin, Greek and Cyrillic letters without
accents). Words are runs of letters and digits; names of programs count as their parts and as a
whole (``refreshToken``: refresh, token, refreshtoken). Scripts that put no spaces between words
(Chinese, Japanese, Thai, ...) count as pairs of neighbours. There is no syntax: whatever a query
holds is text.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import islice, pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_CHARACTERS = 200_000
MOST_WORDS = 10_000
_ACCENTS = re.compile("[\u0300-\u036f\u0483-\u0487]+")
# Vowel signs of the scripts of India and beyond are no letters for \w.
_WORD = re.compile("(?:[^\\W]|[\u0900-\u0963\u0966-\u109f\u1780-\u17d3])+")
_PART = re.compile(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+")
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]+)"
)


def words_of(text: str) -> list[str]:
    """Return the words of a text in their order: of its first 200,000 characters up to 10,000."""
    return list(islice(_words(text[:MOST_CHARACTERS]), MOST_WORDS))


def _words(text: str) -> Iterator[str]:
    plain = text.isascii()
    if not plain:
        decomposed = _ACCENTS.sub("", unicodedata.normalize("NFKD", text))
        text = unicodedata.normalize("NFC", decomposed)
    for found in _WORD.finditer(text):
        word = found[0]
        parts = [part for part in _PART.split(word) if part]
        for part in parts:
            if plain or part.isascii():
                yield part.lower()
            else:
                yield from _runs(part.casefold())
        if len(parts) > 1:
            yield "".join(parts).casefold()


def _runs(word: str) -> Iterator[str]:
    """Yield a word, or the pairs of neighbours of what is written without spaces."""
    for at, run in enumerate(_UNSPACED.split(word)):
        if not run:
            continue
        if at % 2 == 0 or len(run) == 1:
            yield run
        else:
            yield from map("".join, pairwise(run))
