"""Indexes in Redis: a hash of documents and a sorted set for each term, all in one shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lionagi_qe.persistence.contract.indexes import Document, Frequencies, Match, Written
from lionagi_qe.persistence.redis import scripts
from lionagi_qe.persistence.values.packing import packed_integers, unpacked_integers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lionagi_qe.persistence.contract.indexes import Posting
    from lionagi_qe.persistence.redis.session import RedisSession

_TERM_BYTES = 8
_WEIGHT_BYTES = 4


class RedisIndexes:
    """The indexes of the backend's fleet. Of a cluster's shards, each lies in one."""

    def __init__(self, session: RedisSession) -> None:
        self._session = session

    async def position(self, index: str) -> str:
        """Read the key."""
        name = f"{self._session.shards.prefixes[self._shard(index)]}:ix:{index}:m"
        found = await self._session.link.command(name, "GET", name)
        return (found or b"").decode()

    async def write(
        self,
        index: str,
        expected: str,
        position: str,
        documents: Sequence[Document],
        gone: Sequence[int],
    ) -> bool:
        """Call the script."""
        words: list[Any] = [expected, position, len(documents)]
        for document in documents:
            words += [_member(document.number), _packed(document), document.code]
        return bool(await self._change(index, "write", *words, *map(_member, gone)))

    async def frequencies(self, index: str, terms: Sequence[int]) -> Frequencies:
        """Call the script."""
        found = await self._look(index, "frequencies", *map(_term, terms))
        documents, place, *having = found
        return Frequencies(documents, int(place), having)

    async def match(
        self, index: str, weights: Sequence[Posting], most: int, limit: int
    ) -> list[Match]:
        """Call the script."""
        words: list[Any] = [most, limit]
        for term, weight in weights:
            words += [_term(term), weight]
        flat = await self._look(index, "match", *words)
        return [
            Match(int(score), int.from_bytes(member))
            for score, member in zip(*[iter(flat)] * 2, strict=True)
        ]

    async def codes(self, index: str, after: int, limit: int) -> list[Written]:
        """Call the script."""
        flat = await self._look(index, "codes", after, limit)
        return [
            Written(int(place), int.from_bytes(member), code)
            for member, place, code in zip(*[iter(flat)] * 3, strict=True)
        ]

    async def documents(
        self, index: str, numbers: Sequence[int], *, terms: bool
    ) -> list[Document | None]:
        """Call the script."""
        found = await self._look(index, "documents", int(terms), *map(_member, numbers))
        return [
            None if data is None else _document(number, data)
            for number, data in zip(numbers, found, strict=True)
        ]

    async def holding(self, index: str, term: int, limit: int, *, terms: bool) -> list[Document]:
        """Call the script."""
        flat = await self._look(index, "holding", int(terms), _term(term), limit)
        return [
            _document(int.from_bytes(member), data)
            for member, data in zip(*[iter(flat)] * 2, strict=True)
            if data is not None
        ]

    async def numbers(self, index: str, term: int, limit: int) -> list[int]:
        """Call the script."""
        found = await self._look(index, "numbers", _term(term), limit)
        return [int.from_bytes(member) for member in found]

    async def drop(self, index: str, limit: int) -> bool:
        """Call the script."""
        return bool(await self._change(index, "drop", limit))

    def _shard(self, index: str) -> int:
        return self._session.shards.of(index)

    async def _look(self, index: str, *words: Any) -> list[Any]:  # noqa: ANN401 - of Redis
        return await self._session.run(
            scripts.INDEX_READ, self._shard(index), index, *words, mutates=False
        )

    async def _change(self, index: str, *words: Any) -> int:  # noqa: ANN401 - words of Redis
        return await self._session.run(
            scripts.INDEX_WRITE, self._shard(index), index, *words, mutates=True
        )


def _member(number: int) -> bytes:
    return number.to_bytes(8)


def _term(term: int) -> bytes:
    return packed_integers([term], _TERM_BYTES)


def _packed(document: Document) -> bytes:
    head = f"{document.revision} {len(document.postings)} {document.key}\n".encode()
    terms = packed_integers(document.postings, _TERM_BYTES)
    weights = packed_integers(document.postings.values(), _WEIGHT_BYTES)
    return head + terms + weights + document.vector


def _document(number: int, data: bytes) -> Document:
    head = data.index(b"\n")
    revision, count, key = data[:head].decode().split(" ", 2)
    weights_at = head + 1 + int(count) * _TERM_BYTES
    vector_at = weights_at + int(count) * _WEIGHT_BYTES
    terms = unpacked_integers(data[head + 1 : weights_at], _TERM_BYTES)
    weights = unpacked_integers(data[weights_at:vector_at], _WEIGHT_BYTES)
    postings = dict(zip(terms, weights, strict=True))
    return Document(number, key, int(revision), postings, data[vector_at:])
