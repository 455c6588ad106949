"""Recorded histories of calls, and a checker that judges them by what a memory promises.

For chaos tests of a backend: processes record what they call with a ``Recorder``, while servers,
connections and processes fail; ``judge(read_history(files))`` tells what went wrong, by name.
"""

from lionagi_qe.testing.history.judge import Judgement, judge
from lionagi_qe.testing.history.operations import NEVER, History, Operation, read_history
from lionagi_qe.testing.history.recording import Answer, Recorder, outcome_of
from lionagi_qe.testing.history.violation import Kind, Promises, Violation

__all__ = [
    "NEVER",
    "Answer",
    "History",
    "Judgement",
    "Kind",
    "Operation",
    "Promises",
    "Recorder",
    "Violation",
    "judge",
    "outcome_of",
    "read_history",
]
