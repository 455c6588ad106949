"""What was meant by a name that there is not."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_NEAR = 3
_MOST_LISTED = 25
_PART = re.compile(r"[^A-Za-z0-9]+")


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return the names that are most like one, at most three; [] if none is.

    One of which a word is that name, or begins like it, is near as well: ``mutation`` of
    ``mutation-tester``.
    """
    names = list(dict.fromkeys(known))
    lower = {each.lower(): each for each in reversed(names)}
    asked = name.lower()
    whole = [lower[each] for each in get_close_matches(asked, lower, _MOST_NEAR)]
    by_word = [each for each in names if _has_word_like(asked, each.lower())]
    return [*dict.fromkeys([*whole, *by_word])][:_MOST_NEAR]


def _has_word_like(asked: str, name: str) -> bool:
    words = [word for word in _PART.split(name) if word]
    return bool(asked) and bool(
        any(word.startswith(asked) for word in words) or get_close_matches(asked, words, 1, 0.7)
    )


def meant(name: str, known: Iterable[str], there_are: str = "known: ") -> str:
    """Return ``did you mean a or b?``; where nothing is near, what there is, behind ``there_are``.

    Of more than 25 the first are listed, and how many more there are.
    """
    names = list(dict.fromkeys(known))
    near = nearest(name, names)
    if near:
        return f"did you mean {' or '.join(near)}?"
    left = len(names) - _MOST_LISTED
    more = f" and {left} more" if left > 0 else ""
    return f"{there_are}{', '.join(names[:_MOST_LISTED])}{more}"
