"""Functions that make vectors of texts: by whose name, and how many texts at once."""

from __future__ import annotations

import asyncio
import inspect
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from lionagi_qe.errors import EmbeddingNotFoundError, InvalidArgumentError, InvalidValueError
from lionagi_qe.persistence.recall.gathering import Gathering
from lionagi_qe.persistence.recall.vectors import packed_vectors
from lionagi_qe.persistence.values.entry import check_count
from lionagi_qe.persistence.values.keys import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lionagi_qe.persistence.recall.declaration import Declaration

Vectors = Sequence[Sequence[float]]
Embed = Callable[[list[str]], Vectors | Awaitable[Vectors]]

TEXTS_AT_ONCE = 64
# Queries whose vectors a process has at hand: of 384 numbers, 1.5 MB.
KEPT_QUERIES = 1_024
# Where packages declare functions by the names that indexes know them by.
ENTRY_POINTS = "lionagi_qe.embeddings"

_registered: dict[str, Embed] = {}


def register_embedding(name: str, function: Embed) -> None:
    """Let indexes name a function by ``embed=name``, in this process.

    Args:
        name: which other processes register theirs under as well: vectors of one name are compared.
        function: takes a list of texts and returns a vector for each, or an awaitable of that. One
            that isn't async is called in a thread. If it has an attribute ``of_queries``, a
            function like it, that makes the vectors of what is looked for.
    """
    _registered[check_name("embedding", name)] = checked_function(function)


@cache
def _declared(name: str) -> Embed | None:
    """Return the function that an installed package declares by this name, if one does."""
    # A tenth of what importing a memory takes, which most do without.
    from importlib.metadata import entry_points

    return next((each.load() for each in entry_points(group=ENTRY_POINTS, name=name)), None)


def checked_function(function: object) -> Embed:
    """Return the function if it can be called."""
    if not callable(function):
        msg = f"embed {function!r}: give a function of a list of texts, or a registered name"
        raise InvalidArgumentError(msg)
    return cast("Embed", function)


def model_name(embed: Embed | str | None, model: str | None) -> str | None:
    """Return what vectors of this function are told apart by; None if there is no function."""
    if embed is None:
        if model is not None:
            msg = f"model {model!r}: is the name of what embed makes vectors by; give embed too"
            raise InvalidArgumentError(msg)
        return None
    if model is not None:
        return check_name("model", model)
    if isinstance(embed, str):
        return check_name("embed", embed)
    checked_function(embed)
    name = getattr(embed, "__qualname__", "")
    if not name or "<" in name:
        msg = f"embed {embed!r}: has no name of its own; give model= too, the name of its model"
        raise InvalidArgumentError(msg)
    return f"{embed.__module__}.{name}"


class Embedding:
    """Makes vectors for an index.

    Args:
        declaration: tells the number of dimensions and the model's name.
        function: makes the vectors; None: the one that is registered under the model's name.
        texts_at_once: most texts that the function is given in one call.
    """

    def __init__(
        self,
        declaration: Declaration,
        function: Embed | None,
        texts_at_once: int = TEXTS_AT_ONCE,
    ) -> None:
        self._dims = declaration.dims or 0
        self._model = declaration.model or ""
        self._index = declaration.name
        self._function = function
        self.texts_at_once = check_count("texts_at_once", texts_at_once)
        self._queries = Gathering(self._of_queries, self.texts_at_once)
        self._asked: OrderedDict[str, bytes] = OrderedDict()

    @property
    def function(self) -> Embed:
        """The function; EmbeddingNotFoundError if this process has none of this name."""
        found = self._function or _registered.get(self._model) or _declared(self._model)
        if found is None:
            msg = (
                f"index {self._index!r}: its vectors were made by {self._model!r}, which this "
                f"process doesn't know; call register_embedding({self._model!r}, function) first, "
                f"or give aqe --embed {self._model}=package.module:function"
            )
            raise EmbeddingNotFoundError(msg)
        return found

    async def embed(self, texts: list[str]) -> list[bytes]:
        """Return the vectors of up to ``texts_at_once`` texts, packed."""
        return await self._make(self.function, texts)

    async def of_query(self, text: str, deadline: float) -> bytes:
        """Return the vector of a query, packed: as this process had it last, or by the model.

        It isn't kept in the memory, so that a search writes nothing. Queries of one moment are
        given to the function together.
        """
        known = self._asked.get(text)
        if known is not None:
            self._asked.move_to_end(text)
            return known
        vector = (await self._queries.get([text], deadline))[text]
        if isinstance(vector, Exception):
            raise vector
        return vector

    async def _of_queries(self, texts: list[str], _: float) -> dict[str, bytes | Exception]:
        # Of some models questions and passages are told apart, by a prefix or a setting.
        function: Embed = getattr(self.function, "of_queries", self.function)
        made: Sequence[bytes | BaseException]
        try:
            made = await self._make(function, texts)
        except Exception:
            if len(texts) == 1:
                raise
            # Nobody's search fails for another's query, which the model may refuse.
            each = (self._make(function, [text]) for text in texts)
            made = await asyncio.gather(*map(_first_of, each), return_exceptions=True)
        vectors: dict[str, bytes | Exception] = {}
        for text, vector in zip(texts, made, strict=True):
            if isinstance(vector, bytes):
                self._asked[text] = vector
            elif not isinstance(vector, Exception):
                raise vector
            vectors[text] = vector
        while len(self._asked) > KEPT_QUERIES:
            self._asked.popitem(last=False)
        return vectors

    async def _make(self, function: Embed, texts: list[str]) -> list[bytes]:
        is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - whether that is async
        )
        answer: Any = function(texts) if is_async else await asyncio.to_thread(function, texts)
        if inspect.isawaitable(answer):
            answer = await answer
        vectors: list[Iterable[Any]] = list(answer)
        if len(vectors) != len(texts):
            msg = f"embedding {self._model!r}: made {len(vectors)} vectors of {len(texts)} texts"
            raise InvalidValueError(msg)
        return packed_vectors(vectors, self._dims, self._model)


async def _first_of(made: Awaitable[list[bytes]]) -> bytes:
    return (await made)[0]
