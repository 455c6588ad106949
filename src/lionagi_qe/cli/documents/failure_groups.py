"""Failures that are one failure, as ``aqe run --json`` tells them; see docs/report.md."""

from __future__ import annotations

from lionagi_qe.cli.documents.document import Shape


class Gone(Shape):
    """The first run since in which all tests of a failure that ran passed."""

    run: str
    commit: str | None
    commits: int | None
    """From the commit of the last run that had the failure to this one's; null unless both are
    clean and the one leads to the other."""


class SeenBefore(Shape):
    """In which earlier runs a failure was."""

    runs: list[str]
    """Ids, the oldest first."""
    commit: str | None
    """That the last of these runs examined."""
    gone: Gone | None
    """Null if there was no such run."""


class ShardFailureGroup(Shape):
    """Failures that are one failure, in a shard; merging tells what was before."""

    id: str
    """The same for the same place and words, in any run; 12 hexadecimal digits."""
    place: list[str]
    """Types of the errors, each followed by the frames of the project that tell where it is from,
    the innermost first."""
    located: bool
    """Whether there is a frame of the project; without one, words have to be equal."""
    texts: list[str]
    """The words of up to five of the messages, without what differs each time."""
    message: str
    """What the first of the tests said, and where; its beginning."""
    tests: list[str]
    """Ids of the tests, and files that could not be collected."""


class FailureGroup(ShardFailureGroup):
    """Failures that are one failure."""

    before: SeenBefore | None
    """Null if in none of the last 20 runs in which tests failed."""
