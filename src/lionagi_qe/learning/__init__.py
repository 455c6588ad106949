"""Policies that learn from what the fleet did before; their state lives in the shared memory."""

from lionagi_qe.learning.bandit import Bandit
from lionagi_qe.learning.errors import LearningStateError
from lionagi_qe.learning.ordering import TestOrder, TestOrdering
from lionagi_qe.learning.qtable import Exploration, QTable, QUpdate
from lionagi_qe.learning.step import LearnedValue, RateSchedule

__all__ = [
    "Bandit",
    "Exploration",
    "LearnedValue",
    "LearningStateError",
    "QTable",
    "QUpdate",
    "RateSchedule",
    "TestOrder",
    "TestOrdering",
]
