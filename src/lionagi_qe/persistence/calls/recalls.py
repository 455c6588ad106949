"""Calls that search in what entries say."""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lionagi_qe.errors import (
    IndexBehindError,
    IndexNotFoundError,
    InvalidArgumentError,
    RevisionConflictError,
)
from lionagi_qe.persistence.calls.base import Calls, Limits
from lionagi_qe.persistence.contract.operations import Delete, Put
from lionagi_qe.persistence.recall.declaration import (
    DECLARATIONS,
    PARTITION,
    USUAL_LENGTH,
    Declaration,
    declaration_key,
    declare,
)
from lionagi_qe.persistence.recall.embedding import (
    TEXTS_AT_ONCE,
    Embedding,
    checked_function,
    model_name,
)
from lionagi_qe.persistence.recall.following import Follower, IndexMovedError, drop_data
from lionagi_qe.persistence.recall.reading import Reader
from lionagi_qe.persistence.recall.scanning import Scan
from lionagi_qe.persistence.recall.searching import Query, Search
from lionagi_qe.persistence.values.codec import decode, encode
from lionagi_qe.persistence.values.entry import check_count, check_flag
from lionagi_qe.persistence.values.filters import check_filter
from lionagi_qe.persistence.values.keys import KeyRange, check_prefix

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
    from typing import Unpack

    from lionagi_qe.persistence.recall.embedding import Embed
    from lionagi_qe.persistence.recall.ranking import Recalled
    from lionagi_qe.persistence.scheduling.scheduler import Scheduler

MOST_RECALLED = 1_000
_INDEX_PAGE = 500


@dataclass(frozen=True, slots=True)
class _Opened:
    """An index as this handle uses it, and the declaration's revision that it was made from."""

    revision: int
    whole: Scheduler
    reader: Reader
    declaration: Declaration
    embedding: Embedding | None
    follower: Follower


class RecallCalls(Calls):
    """Declare indexes over entries, and search in them."""

    def __init__(self, scheduler: Scheduler, **limits: Unpack[Limits]) -> None:
        super().__init__(scheduler, **limits)
        self._opened: dict[str, _Opened] = {}
        self._functions: MutableMapping[str, tuple[Embed | None, int]] = {}
        self._scans: dict[str, Scan] = {}

    async def index(  # noqa: PLR0913 - keyword-only settings with defaults
        self,
        name: str,
        pattern: str,
        text: str | Sequence[str] = "$",
        *,
        fields: Sequence[str] = (),
        embed: Embed | str | None = None,
        dims: int | None = None,
        model: str | None = None,
        texts_at_once: int = TEXTS_AT_ONCE,
        usual_length: int = USUAL_LENGTH,
        override: str | None = None,
        words: bool = True,
        each_text: bool = False,
        replace_declared: bool = False,
        timeout: float | None = None,
    ) -> Declaration:
        """Declare an index over the entries whose keys match ``pattern``, for ``recall``.

        The declaration is kept in the memory (``aqe/indexes/<name>``), so other handles may recall
        without it, but for the function that makes vectors. To declare it again alike changes
        nothing. What is stored already is indexed too, by the first ``recall`` or
        ``refresh_index``.

        Args:
            name: what ``recall`` calls it: one segment of a key.
            pattern: a glob; the index costs what its literal prefix spans.
            text: where the values' text is, one path or several (``$.title``, ``notes[*].text``;
                ``$``: all texts and numbers in them). Its first 10,000 words count.
            fields: paths that filters often compare for equality: the index finds those entries,
                instead of looking at the best ones for them.
            embed: makes vectors: a function of a list of texts (async, or sync and then called in
                a thread), or the name that ``register_embedding`` knows it by. None: by words
                alone. Never called while anything is locked; again for an entry only when its text
                has changed, or the index is declared otherwise.
            dims: how many numbers its vectors have.
            model: what vectors of this function are told apart by from others'; the function's
                own name if None.
            texts_at_once: most texts that ``embed`` is given in one call.
            usual_length: words of a usual text; see ``recall.terms``.
            override: a path where a value itself may say which of its paths are its text (a list)
                or that it isn't to be found (False).
            words: False: entries are found by their vectors alone, best first, and storing costs
                less.
            each_text: make a vector of each text that is at the paths (of up to 64 an entry), and
                count the most similar one, instead of one of all texts together.
            replace_declared: if it was declared otherwise, declare it anew and make the index anew.
            timeout: seconds for this call instead of the memory's own.

        Raises:
            InvalidArgumentError: an argument is impossible, or the index was declared otherwise.

        """
        deadline = self._scheduler.deadline(timeout)
        model = model_name(embed, model)
        asked = declare(
            name,
            pattern,
            text,
            fields,
            dims,
            model,
            usual_length,
            override,
            words=words,
            each_text=each_text,
        )
        check_flag("replace_declared", replace_declared)
        check_count("texts_at_once", texts_at_once)
        whole = self._scheduler.for_index(pattern)
        if embed is not None and model is not None:
            function = None if isinstance(embed, str) else checked_function(embed)
            self._functions[model] = function, texts_at_once
            self._opened.clear()
        declaration = await self._declare(whole, asked, deadline, replace_declared=replace_declared)
        for version in declaration.superseded:
            old = replace(declaration, version=version)
            await drop_data(whole, old.data, deadline)
        if declaration.superseded:
            declaration = replace(declaration, superseded=())
            await self._store_declaration(declaration, None, deadline)
        return declaration

    async def _declare(
        self, whole: Scheduler, asked: Declaration, deadline: float, *, replace_declared: bool
    ) -> Declaration:
        while True:
            record = await self._scheduler.read_record(asked.key, deadline)
            known = None if record is None else Declaration.read(decode(record.payload))
            if known is not None and known == asked:
                return known
            if known is not None and not replace_declared:
                msg = (
                    f"index {asked.name!r}: was declared otherwise (now "
                    f"{known.differences(asked)}); declare it as it was, or with "
                    "replace_declared=True to make it anew"
                )
                raise InvalidArgumentError(msg)
            if known is not None:
                asked = known.following(asked)
                # What an interrupted reindex of the former declaration may have left.
                await drop_data(whole, asked.data, deadline)
            try:
                revision = 0 if record is None else record.revision
                await self._store_declaration(asked, revision, deadline)
            except RevisionConflictError:
                continue
            return asked

    async def _store_declaration(
        self, declaration: Declaration, revision: int | None, deadline: float
    ) -> None:
        payload = encode(declaration.stored())
        put = Put(declaration.key, payload, PARTITION, if_revision=revision)
        await self._scheduler.write(declaration.key, lambda: put, deadline)

    async def recall(  # noqa: PLR0913 - keyword-only settings with defaults
        self,
        query: str,
        *,
        index: str,
        limit: int = 10,
        filter: Mapping[str, Any] | Callable[[Any], bool] | None = None,  # noqa: A002 - its usual name
        prefix: str | None = None,
        vectors: bool = True,
        min_relevance: float | None = None,
        refresh: bool = True,
        timeout: float | None = None,
    ) -> list[Recalled]:
        """Return the entries that say best what the query says, best first, and why.

        By words (BM25) and, where the index has vectors, by meaning (cosine); both rankings make
        one (reciprocal rank fusion, k = 60). Entries are as they are stored now; none that is
        gone, expired or doesn't meet the conditions is among them.

        Args:
            query: any text; there is no syntax. Of its words the 32 rarest count.
            index: the name of a declared index.
            limit: most entries, up to 1,000.
            filter: fields' values, by path: ``{"file": "auth.py", "at": {"$gte": "2024-01-01"}}``;
                operators $eq $ne $gt $gte $lt $lte $in $nin, texts in their own order too. Where
                it isn't of the index's ``fields``, it is looked for among the 2,048 best, as is
                what a function of the value accepts.
            prefix: what the keys start with; cheap if it ends in a slash.
            vectors: False: by words alone, which takes no function; what is stored since can be
                indexed without it only where the index has no vectors.
            min_relevance: leave out what is less relevant, -1 to 1: what has a smaller share of the
                query's words and a smaller cosine, see ``Recalled.relevance``. What is enough
                depends on the model. None: the best are returned, however little they say of it.
            refresh: first index what was stored before this call, by anybody. False: search in
                what is indexed.
            timeout: seconds for this call instead of the memory's own.

        Raises:
            IndexNotFoundError: nobody declared this index.
            IndexBehindError: the time was up before the index was; what was done is kept.
            EmbeddingNotFoundError: the index has vectors, and this process doesn't know the
                function: with ``vectors=False, refresh=False`` it isn't needed.

        """
        deadline = self._scheduler.deadline(timeout)
        if not isinstance(query, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = f"query {query!r}: give a text"
            raise InvalidArgumentError(msg)
        wanted = Query(
            query,
            check_prefix(prefix),
            {} if callable(filter) else check_filter(filter),
            check_count("limit", limit, MOST_RECALLED),
            deadline,
            filter if callable(filter) else None,
            min_relevance=_checked_relevance(min_relevance),
        )
        by_meaning = check_flag("vectors", vectors)
        if check_flag("refresh", refresh):
            opened = await self._caught_up(index, deadline)
        else:
            opened = await self._open_index(index, deadline)
        if by_meaning and opened.embedding is not None and query.strip():
            wanted = replace(wanted, vector=await opened.embedding.of_query(query, deadline))
        noted = opened.follower.noted
        scan = self._scan_of(opened.declaration) if wanted.vector is not None else None
        found = await Search(opened.reader, opened.declaration, wanted, scan).find()
        await opened.follower.forget(found.gone, noted, deadline)
        return found.recalled

    async def refresh_index(self, name: str, *, timeout: float | None = None) -> None:
        """Index all that was stored before this call, however long it takes.

        Costs what changed since it was last done; a new index reads what its pattern spans.

        Args:
            name: of a declared index.
            timeout: seconds after which IndexBehindError is raised; what was done is kept. None:
                no end, while the server answers each request in time.
        """
        if timeout is not None:
            await self._caught_up(name, self._scheduler.deadline(timeout))
            return
        await _until_done(lambda: self._caught_up(name, self._scheduler.deadline(None)))

    async def _caught_up(self, name: str, deadline: float) -> _Opened:
        """Return the index once it has all that was stored before."""
        while True:
            opened = await self._open_index(name, deadline)
            try:
                await opened.follower.catch_up(deadline)
            except IndexMovedError:
                self._opened.pop(name, None)
            else:
                return opened

    async def reindex(self, name: str, *, progress: Callable[[int], None] | None = None) -> None:
        """Make an index anew beside the old one, which is used until then; then remove the old.

        For one whose data were damaged, or grew by what nobody told it was gone. Vectors aren't
        made again while the text is what it was. Killed on the way, the same call goes on.
        ``progress`` gets the number of entries that this call indexed.
        """
        if not (progress is None or callable(progress)):
            msg = f"progress {progress!r}: give a function of the number of entries, or None"
            raise InvalidArgumentError(msg)
        opened = await self._open_index(name, self._scheduler.deadline(None))
        old = opened.declaration
        new = old.following(old)
        follower = Follower(opened.whole, new, opened.embedding, progress, old.data)
        try:
            await _until_done(lambda: follower.catch_up(self._scheduler.deadline(None)))
        except IndexMovedError:
            # Somebody removed the index, or declared it anew, meanwhile.
            return
        deadline = self._scheduler.deadline(None)
        record = await self._scheduler.read_record(old.key, deadline)
        if record is None or record.revision != opened.revision:
            # Somebody declared it anew, or was quicker; that one's data are right.
            return
        await self._store_declaration(new, record.revision, deadline)
        await drop_data(opened.whole, old.data, self._scheduler.deadline(None))
        await self._store_declaration(
            replace(new, superseded=()), None, self._scheduler.deadline(None)
        )

    async def drop_index(self, name: str, *, timeout: float | None = None) -> bool:
        """Remove an index and its declaration, in bounded steps; tell whether there was one."""
        deadline = self._scheduler.deadline(timeout)
        try:
            opened = await self._open_index(name, deadline)
        except IndexNotFoundError:
            return False
        declaration, key = opened.declaration, opened.declaration.key
        await self._scheduler.write(key, lambda: Delete(key), deadline)
        self._opened.pop(name, None)
        self._scans.pop(name, None)
        for version in (*declaration.superseded, declaration.version, declaration.version + 1):
            old = replace(declaration, version=version)
            await drop_data(opened.whole, old.data, deadline)
        return True

    async def indexes(self, *, timeout: float | None = None) -> list[Declaration]:
        """Return the declared indexes, by name."""
        deadline = self._scheduler.deadline(timeout)
        found: list[Declaration] = []
        keys: KeyRange | None = KeyRange.of_prefix(DECLARATIONS)
        while keys is not None:
            span = keys
            page = await self._scheduler.ask(
                lambda backend, span=span: backend.page_payloads(span, _INDEX_PAGE, None), deadline
            )
            found += [Declaration.read(decode(payload)) for _, payload in page.payloads]
            keys = None if page.after is None else keys.after(page.after)
        return found

    async def _open_index(self, name: str, deadline: float) -> _Opened:
        """Return the index as it is declared now."""
        # Not by a cache, which may hold the one before.
        record = await self._scheduler.read_record(declaration_key(name), deadline)
        if record is None:
            self._opened.pop(name, None)
            msg = f"index {name!r}: not declared in this memory; call memory.index({name!r}, ...)"
            raise IndexNotFoundError(msg)
        opened = self._opened.get(name)
        if opened is not None and opened.revision == record.revision:
            return opened
        declaration = Declaration.read(decode(record.payload))
        whole = self._scheduler.for_index(declaration.pattern)
        embedding = None
        if declaration.model is not None:
            function, at_once = self._functions.get(declaration.model, (None, TEXTS_AT_ONCE))
            embedding = Embedding(declaration, function, at_once)
        follower = Follower(whole, declaration, embedding)
        reader = Reader(whole, declaration.data)
        opened = _Opened(record.revision, whole, reader, declaration, embedding, follower)
        self._opened[name] = opened
        return opened

    def _scan_of(self, declaration: Declaration) -> Scan:
        """Return what this process knows of an index' vectors."""
        scan = self._scans.get(declaration.name)
        if scan is None or scan.data != declaration.data:
            scan = self._scans[declaration.name] = Scan(declaration.data, declaration.dims or 0)
        return scan

    def _share_with(self, other: RecallCalls) -> None:
        """Know what another handle on the same memory knows: functions, and codes of vectors."""
        self._functions = ChainMap({}, other._functions)
        self._scans = other._scans


def _checked_relevance(least: object) -> float | None:
    if least is None:
        return None
    if isinstance(least, bool) or not isinstance(least, int | float) or not -1 <= least <= 1:
        msg = f"min_relevance {least!r}: give a number from -1 to 1, or None for no bound"
        raise InvalidArgumentError(msg)
    return float(least)


async def _until_done(step: Callable[[], Awaitable[object]]) -> None:
    """Go on where the time was up, while the server answers each request in time."""
    while True:
        try:
            await step()
        except IndexBehindError:
            continue
        return
