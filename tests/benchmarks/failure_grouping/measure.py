"""``make failure-grouping``: what a threshold merges and splits of messages sorted by hand.

Each place of the file beside this one has failures of several causes, all with the same trace. Of
each two of a place it is known whether they are one failure; told is, for scorers and thresholds,
how many of those that are one are split, and of those that are not are merged.
"""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from rapidfuzz import fuzz
from rapidfuzz.distance import Indel

from lionagi_qe.agents.execution import failure_groups
from lionagi_qe.agents.execution.failure_groups import Failure, grouped
from lionagi_qe.agents.execution.failure_signatures import Signature, normalized

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MESSAGES = Path(__file__).with_name("messages.json")


def by_words(one: str, other: str) -> float:
    """Return the share of words, in their order, that two texts have in common; percent."""
    return 100 * Indel.normalized_similarity(one.split(), other.split())


_SCORERS: tuple[Callable[..., float], ...] = (
    by_words,
    fuzz.ratio,
    fuzz.token_sort_ratio,
    fuzz.token_set_ratio,
)


def pairs() -> Iterator[tuple[str, str, bool]]:
    """Yield two messages of a place, and whether they are one failure."""
    for place in json.loads(_MESSAGES.read_text(encoding="utf-8")):
        known = [(text, n) for n, texts in enumerate(place["causes"]) for text in texts]
        for (one, cause), (other, other_cause) in combinations(known, 2):
            yield one, other, cause == other_cause


def confused(scorer: Callable[..., float], threshold: float) -> tuple[int, int]:
    """Return how many pairs are split that are one, and merged that are not."""
    split = merged = 0
    for one, other, same in pairs():
        texts = normalized(one), normalized(other)
        alike = texts[0] == texts[1] or scorer(*texts) >= threshold
        split += same and not alike
        merged += alike and not same
    return split, merged


def confused_in_groups() -> tuple[int, int]:
    """Return the same of whole groups, as a run makes them."""
    split = merged = 0
    for place in json.loads(_MESSAGES.read_text(encoding="utf-8")):
        causes = {text: n for n, texts in enumerate(place["causes"]) for text in texts}
        groups = grouped(
            Failure(Signature((place["place"],), normalized(text), located=True), text, [text])
            for text in causes
        )
        group_of = {text: n for n, group in enumerate(groups) for text in group["tests"]}
        for one, other in combinations(causes, 2):
            same, together = causes[one] == causes[other], group_of[one] == group_of[other]
            split += same and not together
            merged += together and not same
    return split, merged


def main() -> None:
    """Print a table, and what the threshold in use does."""
    known = [same for _, _, same in pairs()]
    print(f"{len(known)} pairs, {sum(known)} of them one failure")
    for scorer in _SCORERS:
        for threshold in range(50, 101, 5):
            split, merged = confused(scorer, threshold)
            print(f"{scorer.__name__:<18} {threshold:>3}: {split:>3} split, {merged:>3} merged")
    split, merged = confused_in_groups()
    print(f"in use, {failure_groups.SIMILAR}: {split} split, {merged} merged")


if __name__ == "__main__":
    main()
