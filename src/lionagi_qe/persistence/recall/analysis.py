"""Makes documents of entries: what of them is text, its terms and its vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.indexes import Document
from lionagi_qe.persistence.recall.codes import code_of
from lionagi_qe.persistence.recall.declaration import MOST_VECTORS
from lionagi_qe.persistence.recall.terms import (
    document_number,
    field_term,
    label_postings,
    levels,
    prefix_term,
    text_postings,
)
from lionagi_qe.persistence.recall.vectors import batched, known, marked
from lionagi_qe.persistence.recall.words import words_of
from lionagi_qe.persistence.values.codec import decode
from lionagi_qe.persistence.values.glob import compile_glob
from lionagi_qe.persistence.values.paths import values_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lionagi_qe.persistence.contract.records import Record
    from lionagi_qe.persistence.recall.declaration import Declaration
    from lionagi_qe.persistence.recall.embedding import Embedding
    from lionagi_qe.persistence.scheduling.scheduler import Scheduler


class Analyzer:
    """Makes an index's documents.

    Args:
        scheduler: carries what is read of the documents that there are.
        declaration: what the index is of.
        embedding: makes its vectors, if it has any.
        former: the data of an index like it, whose vectors needn't be made again.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        declaration: Declaration,
        embedding: Embedding | None,
        former: str | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._declaration = declaration
        self._embedding = embedding
        self._root = compile_glob(declaration.pattern).prefix
        self._sources = [declaration.data, *([former] if former else [])]
        # By their texts, until the documents are made of them.
        self._made: dict[str, bytes] = {}

    async def documents(
        self, records: Sequence[Record], deadline: float
    ) -> tuple[list[Document], list[int]]:
        """Return the documents of entries, and the numbers of those that hold no text.

        When the time is up on the way, the next call for the same entries goes on: what the
        embedding has made isn't made again.
        """
        values = [decode(record.payload) for record in records]
        declaration = self._declaration
        parts = [declaration.texts_of(value) for value in values]
        texts = ["\n".join(each) for each in parts]
        embedded = [
            (each[:MOST_VECTORS] if declaration.each_text else [text]) if text else []
            for each, text in zip(parts, texts, strict=True)
        ]
        numbers = [document_number(record.key) for record in records]
        made = await self._vectors(dict(zip(numbers, embedded, strict=True)), deadline)
        documents: dict[int, Document] = {}
        empty: list[int] = []
        parted = zip(numbers, records, values, texts, embedded, strict=True)
        for number, record, value, text, own in parted:
            if not text:
                empty.append(number)
                continue
            packs = [made[each] for each in own] if made else []
            documents[number] = Document(
                number,
                record.key,
                record.revision,
                self._postings(record.key, value, text),
                marked(packs, own) if packs else b"",
                b"".join(code_of(pack, declaration.dims or 0) for pack in packs),
            )
        self._made = {}
        return [*documents.values()], empty

    def _postings(
        self,
        key: str,
        value: Any,  # noqa: ANN401 - JSON data
        text: str,
    ) -> dict[int, int]:
        declaration = self._declaration
        labels = [prefix_term(level) for level in levels(key, self._root)]
        for path in declaration.fields:
            terms = (field_term(path, found) for found in values_at(value, path))
            labels += [term for term in terms if term is not None]
        words = text_postings(words_of(text), declaration.usual_length) if declaration.words else []
        return {**dict(label_postings(labels)), **dict(words)}

    async def _vectors(
        self, wanted: Mapping[int, Sequence[str]], deadline: float
    ) -> dict[str, bytes]:
        """Return the vectors of documents' texts: what the index has of the same, else made."""
        made, embedding = self._made, self._embedding
        texts = dict.fromkeys(text for each in wanted.values() for text in each)
        if embedding is None or not texts:
            return {}
        for name in self._sources:
            made |= await self._known(name, wanted, deadline)
        for part in batched([text for text in texts if text not in made], embedding.texts_at_once):
            made.update(zip(part, await embedding.embed(part), strict=True))
        return made

    async def _known(
        self, name: str, wanted: Mapping[int, Sequence[str]], deadline: float
    ) -> dict[str, bytes]:
        """Return the vectors that documents have of these texts already."""
        indexes = self._scheduler.indexes
        found = await self._scheduler.perform(
            lambda: indexes.documents(name, list(wanted), terms=False), deadline, repeat=True
        )
        dims = self._declaration.dims or 0
        return {
            text: vector
            for document in found
            if document is not None
            for text, vector in known(document.vector, dims, wanted[document.number])
        }
