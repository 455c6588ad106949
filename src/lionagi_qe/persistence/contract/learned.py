"""Learned values as they are stored: a number and how many targets it was moved towards.

``q += rate * (target - q)`` with ``rate = max(floor, initial / (1 + visits) ** power)``: the update
of Q-learning and of bandits (Sutton and Barto, Reinforcement Learning, 2nd ed., 2.4 and 6.5), with
a rate that falls by visits.
"""

from __future__ import annotations

import json

from lionagi_qe.errors import InvalidValueError
from lionagi_qe.persistence.contract.operations import Learn, Learned
from lionagi_qe.persistence.values.codec import decode

SCHEMA = 1


def learning(learn: Learn) -> str:
    """Return an operation as the servers' functions read it: a JSON list of numbers."""
    numbers = [learn.start, learn.initial, learn.power, learn.floor, *learn.targets]
    return json.dumps(numbers)


def advance(learn: Learn, payload: bytes | str | None) -> Learned:
    """Take the steps of an operation from a stored value (None: there is none) on."""
    q, visits = learn.start, 0
    if payload is not None:
        match decode(payload):
            case {"schema": 1, "q": int() | float() as stored, "visits": int(counted)}:
                q, visits = float(stored), counted
            case _:
                msg = f"{learn.key!r}: holds no learned value; learning changed nothing"
                raise InvalidValueError(msg)
    for target in learn.targets:
        q += max(learn.floor, learn.initial / (1 + visits) ** learn.power) * (target - q)
        visits += 1
    return Learned(q, visits)
