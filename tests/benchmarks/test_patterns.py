"""Patterns that are made to take long, on the longest keys: processor time of one match."""

from __future__ import annotations

import random
import time

import pytest

from lionagi_qe.persistence.values.glob import MAX_PATTERN_CHARACTERS, compile_glob
from lionagi_qe.persistence.values.keys import MAX_KEY_BYTES

pytestmark = pytest.mark.benchmark

LIMIT_MS = 1.0
ROOM = MAX_KEY_BYTES - len("aqe/")
ASTRAL = "".join(chr(0x10400 + 2 * at) for at in range(1_000))
KEYS = [f"aqe/{piece * (ROOM // len(piece.encode()))}" for piece in ("a", "ab", "é", ASTRAL[0])]
PIECES = ["*", "?", "a", "b", "ab", "aa", "[ab]", "[!b]", "[a-z]", "é", "\\*", "*a", "?*", "/"]


def nasty() -> list[str]:
    """Fifty patterns: long runs before what never fits, by all that a pattern can be made of."""
    units = ["a", "?", "[a-z]", "[!b]", "*a", "*?", "?*", "a*", "*aa", "*a?", "[ab]*", "*[!b]?"]
    times = {unit: min(250, (MAX_PATTERN_CHARACTERS - 8) // len(unit)) for unit in units}
    shapes = [f"*{unit * times[unit]}{end}" for unit in units for end in ("b", "b*", "*b", "c?")]
    return [*shapes, f"*[{ASTRAL}]", f"*[!{ASTRAL}]b*"]


def drawn(count: int) -> list[str]:
    dice = random.Random(18)
    lengths = [dice.randrange(1, 300) for _ in range(count)]
    return ["".join(dice.choices(PIECES, k=length))[:MAX_PATTERN_CHARACTERS] for length in lengths]


def milliseconds(pattern: str, key: str) -> float:
    """Return the processor time of a match, the least of five: others use the processor, too."""
    glob = compile_glob(pattern)
    took: list[int] = []
    for _ in range(5):
        start = time.process_time_ns()
        glob.matches(key)
        took.append(time.process_time_ns() - start)
    return min(took) / 1e6


def test_no_pattern_takes_a_millisecond_on_the_longest_keys() -> None:
    patterns = nasty()
    assert len(patterns) == 50
    closed = [each for each in drawn(300) if each.count("[") == each.count("]")][:200]
    assert len(closed) == 200
    each = {
        pattern: max(milliseconds(pattern, key) for key in KEYS) for pattern in patterns + closed
    }
    slowest = max(each, key=lambda pattern: each[pattern])
    print(f"slowest of {len(each)} patterns: {each[slowest]:.3f} ms for {slowest[:40]!r}...")
    assert each[slowest] < LIMIT_MS
