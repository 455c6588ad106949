"""Which mutants a worker tries where several divide them among themselves.

Before a worker tries mutants it runs their tests twice on the unchanged code. Were every n-th
mutant one worker's, each of them would need nearly all tests; so the mutants of a function stay
together.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lionagi_qe.agents.base import Share
    from lionagi_qe.agents.mutation.runner import Candidate

# Of a function with more mutants for each worker, running its tests once more is a small part.
_MANY = 10
# What a mutant takes beside its tests: compiling, and a fork.
_FORK_SECONDS = 0.02


def share_of(
    candidates: Sequence[Candidate], took: Mapping[str, float], share: Share
) -> list[Candidate]:
    """Return the candidates of one share, in their order; each candidate is in just one.

    All shares take about the same time, also if they are stopped before their end: where that is
    sooner, those of changed lines, which come first, are dealt out one by one.

    Args:
        candidates: all mutants, the same for every share.
        took: test -> seconds on the unchanged code.
        share: which part of how many.

    """
    if share.of == 1:
        return list(candidates)
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    dealt: list[int] = []
    for number, each in enumerate(candidates):
        if each.changed:
            dealt.append(number)
        else:
            groups[each.mutant.file, *map(str, each.mutant.outermost)].append(number)
    for name in [name for name, group in groups.items() if len(group) > _MANY * share.of]:
        dealt += groups.pop(name)
    loads = [0.0] * share.of
    parts: list[list[int]] = [[] for _ in loads]

    def cost(number: int) -> float:
        return _FORK_SECONDS + sum(took.get(test, 0.0) for test in candidates[number].tests)

    def give(part: int, numbers: Sequence[int]) -> None:
        parts[part] += numbers
        loads[part] += sum(map(cost, numbers))

    for place, number in enumerate(sorted(dealt)):
        give(place % share.of, [number])
    # The heaviest first, each to whoever has the least to do.
    for group in sorted(groups.values(), key=lambda group: (-sum(map(cost, group)), group)):
        give(loads.index(min(loads)), group)
    return [candidates[number] for number in sorted(parts[share.part])]
