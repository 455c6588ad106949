"""The index of a ``FleetStore``: LangGraph's settings as an index of the memory."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, cast

from langgraph.store.base import SearchItem
from langgraph.store.base.embed import EmbeddingsLambda, ensure_embeddings

from lionagi_qe.errors import InvalidArgumentError
from lionagi_qe.integrations.namespaces import place_of
from lionagi_qe.integrations.operators import matches_filter
from lionagi_qe.persistence.calls.recalls import MOST_RECALLED
from lionagi_qe.persistence.values.entry import check_flag
from lionagi_qe.persistence.values.glob import escape_glob
from lionagi_qe.persistence.values.paths import check_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from weakref import WeakSet

    from langchain_core.embeddings import Embeddings
    from langgraph.store.base import IndexConfig, SearchOp

    from lionagi_qe.persistence import Memory, Recalled

# As the values of entries have them: what LangGraph calls $ lies in their "value".
VALUE = "value"
OVERRIDE = "index"
_NEEDED = ("dims", "embed")
_MORE = ("fields", "model", "replace_declared")
_CHOICE = re.compile(r"\{([^{}]*)\}")


class StoreIndex:
    """Declares the index of a store, and searches in it.

    Args:
        config: LangGraph's ``dims``, ``embed`` and ``fields``; ``model`` tells vectors apart that
            were made by functions of the same name.
        prefix: what the items' keys start with, with its slash.
        declared: holds the memories that know the index.
    """

    def __init__(self, config: IndexConfig, prefix: str, declared: WeakSet[Memory]) -> None:
        _check_settings(config)
        embeddings = ensure_embeddings(config.get("embed"))
        is_function = isinstance(embeddings, EmbeddingsLambda)
        self._embed = embeddings.aembed_documents if is_function else _Both(embeddings)
        self._dims = config.get("dims")
        self._model = str(config.get("model") or _model_of(config.get("embed")))
        self._fields = stored_paths(config.get("fields") or ["$"])
        self._replace = check_flag("replace_declared", config.get("replace_declared", False))
        self._prefix = prefix
        self._name = prefix.rstrip("/").replace("/", ".")
        self._declared = declared

    async def declare(self, memory: Memory) -> None:
        """Have a memory know the index, once."""
        if memory in self._declared:
            return
        await memory.index(
            self._name,
            f"{escape_glob(self._prefix)}*",
            self._fields,
            embed=self._embed,
            dims=self._dims,
            model=self._model,
            override=OVERRIDE,
            words=False,
            each_text=True,
            replace_declared=self._replace,
        )
        self._declared.add(memory)

    async def search(self, memory: Memory, op: SearchOp, prefix: str) -> list[Recalled]:
        """Return the items one of whose texts is the most similar to the query, best first."""
        await self.declare(memory)
        wanted = op.filter or {}
        if op.offset + op.limit > MOST_RECALLED:
            raise InvalidArgumentError(
                f"limit {op.limit}, offset {op.offset}: a query finds the {MOST_RECALLED:,} "
                "nearest items at most; without a query there is no such limit"
            )
        found = await memory.recall(
            op.query or "",
            index=self._name,
            limit=max(1, op.offset + op.limit),
            prefix=prefix,
            filter=(lambda stored: matches_filter(stored[VALUE], wanted)) if wanted else None,
        )
        return found[op.offset : op.offset + op.limit]

    def item(self, found: Recalled) -> SearchItem:
        """Return what LangGraph is told; the score is the best cosine."""
        namespace, key = place_of(found.key.removeprefix(self._prefix))
        entry = found.entry
        score = None if found.vector is None else found.vector.score
        return SearchItem(
            namespace, key, entry.value[VALUE], entry.created_at, entry.updated_at, score
        )


class _Both:
    """Makes vectors of texts and, as some models do otherwise, of queries."""

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings = embeddings

    async def __call__(self, texts: list[str]) -> list[list[float]]:
        return await self._embeddings.aembed_documents(texts)

    async def of_queries(self, texts: list[str]) -> list[list[float]]:
        return [*await asyncio.gather(*map(self._embeddings.aembed_query, texts))]


def _check_settings(config: object) -> None:
    given: dict[str, Any] = config if isinstance(config, dict) else {}  # pyright: ignore[reportUnknownVariableType]
    if not given.keys() >= {*_NEEDED}:
        raise InvalidArgumentError(f"index {config!r}: give a dict of {' and '.join(_NEEDED)}")
    if unknown := sorted(given.keys() - {*_NEEDED, *_MORE}):
        raise InvalidArgumentError(
            f"index: {', '.join(unknown)}: not known here, leave it out; known are "
            f"{', '.join((*_NEEDED, *_MORE))}. Vectors are compared by their cosines, and there is "
            "nothing to tune"
        )


def stored_paths(fields: Sequence[str]) -> list[str]:
    """Return LangGraph's paths in an item as paths in its entry; ``{a,b}`` is one for each."""
    paths: list[str] = []
    for field in fields:
        for each in _alternatives(field.removeprefix("$").removeprefix(".")):
            dot = "" if each.startswith("[") or not each else "."
            paths.append(check_path(f"$.{VALUE}{dot}{each}"))
    return paths


def _alternatives(path: str) -> list[str]:
    found = _CHOICE.search(path)
    if found is None:
        return [path]
    before, after = path[: found.start()], path[found.end() :]
    return [
        choice
        for name in found[1].split(",")
        for choice in _alternatives(f"{before}{name.strip()}{after}")
    ]


def _model_of(embed: object) -> str:
    """Return a name for what makes vectors: its own, and its model's if it tells that."""
    if isinstance(embed, str):
        return embed
    kind = embed if hasattr(embed, "__qualname__") else type(embed)
    name = f"{kind.__module__}.{cast('Any', kind).__qualname__}"
    model = getattr(embed, "model", None) or getattr(embed, "model_name", None)
    return f"{name} {model}" if model else name
