"""What can be wrong with learning's inputs and state."""

from __future__ import annotations

from lionagi_qe.errors import AqeError, InvalidArgumentError


class HistoryError(InvalidArgumentError):
    """A CI history can't be read; the message names the file, the line and what is wrong."""


class LearningStateError(AqeError, ValueError):
    """What the memory holds as learned state is of another schema, or damaged."""
