"""What becomes of the driver's errors on Redis, for a change that was on its way."""

from __future__ import annotations

import pytest
from redis import exceptions

from lionagi_qe import errors
from lionagi_qe.persistence.redis.server_errors import explain


@pytest.mark.parametrize(
    ("raised", "outcome"),
    [
        (exceptions.ConnectionError("Connection reset by peer"), "unknown"),
        (ConnectionResetError("reset"), "unknown"),
        (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "not_applied"),
        (exceptions.ReadOnlyError("You can't write against a read only replica"), "not_applied"),
        (exceptions.OutOfMemoryError("command not allowed when used memory"), "not_applied"),
        (exceptions.MasterDownError("Link with MASTER is down"), "not_applied"),
        (exceptions.ClusterDownError("The cluster is down"), "not_applied"),
        (exceptions.TryAgainError("Multiple keys request during rehashing"), "not_applied"),
        (exceptions.ResponseError("MISCONF Errors writing to the AOF"), "not_applied"),
        (exceptions.ResponseError("TRYAGAIN Multiple keys request"), "not_applied"),
    ],
)
def test_only_a_lost_answer_leaves_the_outcome_unknown(raised: Exception, outcome: str) -> None:
    error = explain(raised, "Redis", sent=True)
    assert isinstance(error, errors.BackendUnavailableError)
    assert error.outcome == outcome


def test_what_a_server_refuses_for_good_is_not_tried_again() -> None:
    refused = explain(exceptions.ResponseError("WRONGTYPE Operation"), "Redis", sent=True)
    assert not isinstance(refused, errors.BackendUnavailableError)
    assert "nothing was changed" in str(refused)
