"""What a memory's indexes find for an instruction, as lines for a model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from lionagi_qe.errors import IndexBehindError, IndexNotFoundError
from lionagi_qe.persistence.values.entry import check_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence import Memory
    from lionagi_qe.persistence.recall.ranking import Recalled

MOST_FOUND: Final = 5
LONGEST_FACT: Final = 1_000


class IndexedFacts:
    """Entries that say what an instruction is about, by words and by meaning.

    Args:
        memory: that the indexes are declared in, and that knows the functions for their vectors.
        indexes: their names.
        min_relevance: of what is told; see ``Memory.recall``.
    """

    def __init__(
        self, memory: Memory, indexes: Sequence[str], min_relevance: float | None = None
    ) -> None:
        self._memory = memory
        self._min_relevance = min_relevance
        self._indexes = check_list("indexes", indexes)

    async def about(self, text: str) -> list[str]:
        """Return up to five facts of each index, the best first, each with its key.

        Costs a recall for each index, and a read of the declarations.

        Raises:
            IndexNotFoundError: an index was not declared.

        """
        if not self._indexes or not text.strip():
            return []
        declared = {each.name: each for each in await self._memory.indexes()}
        facts: list[str] = []
        for name in self._indexes:
            if name not in declared:
                msg = f"index {name!r}: not declared in this memory; declare it before a turn"
                raise IndexNotFoundError(msg)
            for found in await self._recalled(text, name):
                said = declared[name].text_of(found.value) or ""
                cut = said if len(said) <= LONGEST_FACT else f"{said[:LONGEST_FACT]}... (cut)"
                facts.append(f"{cut} [{found.key}]")
        return facts

    async def _recalled(self, text: str, index: str) -> list[Recalled]:
        search = partial(
            self._memory.recall,
            text,
            index=index,
            limit=MOST_FOUND,
            min_relevance=self._min_relevance,
        )
        try:
            return await search()
        except IndexBehindError:
            # A turn doesn't wait for what was stored last.
            return await search(refresh=False)
