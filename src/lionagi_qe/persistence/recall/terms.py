"""Words and labels as terms of an index, and what they weigh, in whole numbers.

Okapi BM25 (Robertson, Walker, Jones, Hancock-Beaulieu and Gatford, Okapi at TREC-3, 1994), with the
idf that is never negative. A word's weight in a text is fixed when the text is indexed, so that a
search can look at the heaviest texts of a word alone: lengths are compared with a length that the
index declares, not with the mean of the day. That is BM25 with another k1 and b where they differ.
Weights are rounded to whole numbers, so that every backend's sums are equal to the last digit.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

import orjson

from lionagi_qe.persistence.contract.indexes import Posting

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

K1 = 1.2
B = 0.75
_WEIGHT_SCALE = 10_000
_IDF_SCALE = 1_000
SCORE_SCALE = _WEIGHT_SCALE * _IDF_SCALE
# Levels of a key's path that a search can be narrowed to without looking at other entries.
_MOST_LEVELS = 16


def document_number(key: str) -> int:
    """Return what an index calls the entry: 63 bits made of its key.

    Two keys of an index have the same number with a probability of n²/2⁶⁴, 5 in a million for ten
    million entries; the later one then takes the other's place in the index.
    """
    return int.from_bytes(_digest(b"d", key)) >> 1


@lru_cache(maxsize=65_536)
def word_term(word: str) -> int:
    """Return a word's term."""
    return _term(b"w", word)


@lru_cache(maxsize=4_096)
def prefix_term(prefix: str) -> int:
    """Return the term of all entries whose keys start with ``prefix``, which ends in a slash."""
    return _term(b"p", prefix)


def field_term(path: str, value: object) -> int | None:
    """Return the term of all entries whose field has this value; None if it is no plain value."""
    if value is None or isinstance(value, bool):
        return _term(b"f", f"{path}\0{value}")
    if isinstance(value, str):
        return _term(b"f", f"{path}\0={value}")
    if isinstance(value, int | float):
        # 1 and 1.0 are equal.
        number = int(value) if value == value // 1 and abs(value) < 2**53 else value
        return _term(b"f", f"{path}\0{orjson.dumps(number).decode()}")
    return None


def _term(kind: bytes, text: str) -> int:
    return int.from_bytes(_digest(kind, text)) >> 1


def _digest(kind: bytes, text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, person=kind).digest()


def narrowest_level(prefix: str, root: str) -> str:
    """Return the longest level above or at ``prefix`` that ``levels`` tells of keys below it."""
    within = prefix[: prefix.rfind("/") + 1]
    return max(_levels(within, root), default="", key=len)


def levels(key: str, root: str) -> Sequence[str]:
    """Return the levels (``aqe/a/``, ``aqe/a/b/``, ...) that a key is below, but for the root's."""
    return _levels(key[: key.rfind("/") + 1], root)


@lru_cache(maxsize=4_096)
def _levels(path: str, root: str) -> tuple[str, ...]:
    found: list[str] = []
    at = path.find("/", len(root))
    while at >= 0 and len(found) < _MOST_LEVELS:
        found.append(path[: at + 1])
        at = path.find("/", at + 1)
    return tuple(found)


def text_postings(words: Sequence[str], usual_length: int) -> list[Posting]:
    """Return the terms of a text with what they weigh in it."""
    shortening = K1 * (1 - B + B * len(words) / usual_length)
    return [
        Posting(word_term(word), _weight(count, shortening))
        for word, count in Counter(words).items()
    ]


def _weight(count: int, shortening: float) -> int:
    return max(1, round(_WEIGHT_SCALE * count * (K1 + 1) / (count + shortening)))


def label_postings(terms: Iterable[int]) -> list[Posting]:
    """Return terms that narrow a search and weigh nothing."""
    return [Posting(term, 0) for term in dict.fromkeys(terms)]


def query_weight(documents: int, having: int) -> int:
    """Return what a word weighs in a query: its idf."""
    rarity = math.log(1 + max(0.0, documents - having + 0.5) / (having + 0.5))
    return max(1, round(_IDF_SCALE * rarity))
