"""What a scope allows: patterns of keys, queues and leases, and the refusals of all else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lionagi_qe.errors import AccessDeniedError, InvalidArgumentError
from lionagi_qe.persistence.values.entry import check_list
from lionagi_qe.persistence.values.glob import compile_glob
from lionagi_qe.persistence.values.keys import ROOT, KeyRange, check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lionagi_qe.persistence.contract.jobs import JobOperation
    from lionagi_qe.persistence.contract.operations import Fence, Operation
    from lionagi_qe.persistence.values.glob import Glob

# No key holds a character below it.
_LOWEST = " "


class Span(NamedTuple):
    """Keys from ``first`` up to but not including ``before``; ``whole``: all of them are allowed.

    Else those are that one of the patterns matches.
    """

    first: str
    before: str
    whole: bool


class Patterns:
    """Globs of which one has to match.

    Args:
        kind: what they are patterns of, for messages.
        patterns: see ``glob``; without a wildcard, one name.
        outer: those of the scope that this one lies in, of which one has to match as well.

    Raises:
        InvalidArgumentError: a pattern can't be understood, or no key could match it.

    """

    def __init__(self, kind: str, patterns: Iterable[str], outer: Patterns | None = None) -> None:
        self._outer = outer
        self.texts: tuple[str, ...] = tuple(check_list(kind, patterns))
        self._globs = tuple(map(compile_glob, self.texts))
        self._literals = frozenset(glob.prefix for glob in self._globs if glob.whole == "literal")
        self._wild = tuple(glob for glob in self._globs if glob.whole != "literal")
        self._spans: tuple[Span, ...] = ()

    @classmethod
    def of_keys(cls, kind: str, patterns: Iterable[str], outer: Patterns | None = None) -> Patterns:
        """Return patterns of keys, with the spans of keys that they lie in."""
        found = cls(kind, patterns, outer)
        for text, glob in zip(found.texts, found._globs, strict=True):
            begun = glob.whole != "literal" and ROOT.startswith(glob.prefix)
            if not (begun or glob.prefix.startswith(ROOT)):
                msg = f"{kind} {text!r}: no key matches it; keys start with {ROOT!r}"
                raise InvalidArgumentError(msg)
        found._spans = _merged(map(_span, found._globs))
        return found

    def allow(self, name: str) -> bool:
        """Whether a pattern matches, and one of the outer scope's."""
        return (name in self._literals or any(glob.matches(name) for glob in self._wild)) and (
            self._outer is None or self._outer.allow(name)
        )

    def cover(self, pattern: str) -> bool:
        """Whether one of the patterns matches whatever ``pattern`` does, and one of the outer's.

        Told by a pattern alone: it is the same, or begins alike and goes on with any text.
        """
        prefix = compile_glob(pattern).prefix
        return (
            pattern in self.texts
            or any(glob.whole == "prefix" and prefix.startswith(glob.prefix) for glob in self._wild)
        ) and (self._outer is None or self._outer.cover(pattern))

    def within(self, keys: KeyRange) -> list[tuple[KeyRange, bool]]:
        """Return the parts of a range that patterns could match, and of each whether all do."""
        parts: list[tuple[KeyRange, bool]] = []
        for first, before, whole in self._spans:
            begins_later = first > keys.first
            part = KeyRange(
                first if begins_later else keys.first,
                min(before, keys.before),
                exclusive=keys.exclusive and not begins_later,
            )
            if part.first >= part.before:
                continue
            if self._outer is None:
                parts.append((part, whole))
            else:
                parts += ((each, whole and all_) for each, all_ in self._outer.within(part))
        return parts

    def common_prefix(self, prefix: str) -> str | None:
        """Return what all keys begin with that start with ``prefix`` and may be allowed.

        It is at least as long as ``prefix``; None if no such key is allowed.
        """
        starts = [
            glob.prefix if len(glob.prefix) > len(prefix) else prefix
            for glob in self._globs
            if glob.prefix.startswith(prefix) or prefix.startswith(glob.prefix)
        ]
        if not self.within(KeyRange.of_prefix(prefix)):
            return None
        low, high = min(starts), max(starts)
        shared = 0
        while shared < min(len(low), len(high)) and low[shared] == high[shared]:
            shared += 1
        return low[:shared]


def _span(glob: Glob) -> Span:
    if glob.whole == "literal":
        return Span(glob.prefix, glob.prefix + _LOWEST, whole=True)
    keys = KeyRange.of_prefix(glob.prefix)
    return Span(keys.first, keys.before, whole=glob.whole == "prefix")


def _merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Join spans that overlap, so that no key is in two of them."""
    merged: list[Span] = []
    # Two that overlap begin alike, or one lies in the other.
    for span in sorted(spans, key=lambda span: (span.first, not span.whole, span.before)):
        last = merged[-1] if merged else None
        if last is None or span.first >= last.before:
            merged.append(span)
        elif span.before > last.before:
            merged[-1] = Span(last.first, span.before, last.whole and span.whole)
    return tuple(merged)


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be reached through a handle, and by what name it is refused.

    Attributes:
        name: of the scope, for messages.
        readable: keys that may be read, those that may be written among them.
        writable: keys that may be written.
        queues: names of queues that may be used.
        leases: names of leases that may be used, and be given as fences.
    """

    name: str
    readable: Patterns
    writable: Patterns
    queues: Patterns
    leases: Patterns

    @classmethod
    def of(  # noqa: PLR0913 - keyword-only, of Memory.scoped
        cls,
        name: str,
        *,
        read: Iterable[str],
        write: Iterable[str],
        queues: Iterable[str],
        leases: Iterable[str],
        outer: Scope | None = None,
    ) -> Scope:
        """Return the scope of these patterns, within the outer one if there is one.

        InvalidArgumentError if one of them is no pattern.
        """
        writable = Patterns.of_keys("write", write, outer and outer.writable)
        # What may be written may be read: a compare-and-set, a sum or a deletion would tell anyway.
        readable = [*check_list("read", read), *writable.texts]
        return cls(
            check_name("scope", name),
            Patterns.of_keys("read", readable, outer and outer.readable),
            writable,
            Patterns("queues", queues, outer and outer.queues),
            Patterns("leases", leases, outer and outer.leases),
        )

    def refusal(self, what: str) -> AccessDeniedError:
        """Return the error for what lies outside: it names that, and nothing of what there is."""
        return AccessDeniedError(
            f"scope {self.name!r}: {what} lies outside; nothing was sent. Whoever made the scope "
            "can widen it: memory.scoped(..., read=, write=, queues=, leases=)"
        )

    def check_read(self, key: str) -> None:
        """Raise AccessDeniedError unless the key may be read."""
        if not self.readable.allow(key):
            raise self.refusal(f"reading {key!r}")

    def check_reads(self, keys: Sequence[str]) -> None:
        """Raise AccessDeniedError unless all keys may be read."""
        for key in keys:
            self.check_read(key)

    def check_write(self, key: str) -> None:
        """Raise AccessDeniedError unless the key may be written."""
        if not self.writable.allow(key):
            raise self.refusal(f"changing {key!r}")

    def check_operation(self, operation: Operation) -> None:
        """Raise AccessDeniedError unless the key may be written, and the fence be used."""
        self.check_write(operation.key)
        self.check_fence(operation.fence)

    def check_operations(self, operations: Sequence[Operation]) -> None:
        """Raise AccessDeniedError unless all of it may be done."""
        for operation in operations:
            self.check_operation(operation)

    def check_fence(self, fence: Fence | None) -> None:
        """Raise AccessDeniedError unless the fence's lease may be used."""
        if fence is not None:
            self.check_lease(fence.name)

    def check_lease(self, name: str) -> None:
        """Raise AccessDeniedError unless the lease may be used."""
        if not self.leases.allow(name):
            raise self.refusal(f"lease {name!r}")

    def check_queue(self, name: str) -> None:
        """Raise AccessDeniedError unless the queue may be used."""
        if not self.queues.allow(name):
            raise self.refusal(f"queue {name!r}")

    def check_jobs(self, operations: Sequence[JobOperation]) -> None:
        """Raise AccessDeniedError unless all queues and fences may be used."""
        for operation in operations:
            self.check_queue(operation.queue)
            self.check_fence(operation.fence)
