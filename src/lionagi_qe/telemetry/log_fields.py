"""Fields of what is logged, for who stores logs by fields: named as the attributes of spans.

They are attributes of the ``logging.LogRecord``, as those that ``extra=`` gives it.
"""

from __future__ import annotations

from lionagi_qe.telemetry import names


def log_fields(  # noqa: PLR0913 - one for each field
    *,
    fleet: str | None = None,
    queue: str | None = None,
    job: str | None = None,
    attempt: int | None = None,
    lease: str | None = None,
    member: str | None = None,
    error: BaseException | None = None,
) -> dict[str, object]:
    """Return the fields that are known, for ``extra=`` of a logger's method."""
    fields = {
        names.FLEET: fleet,
        names.DESTINATION: queue,
        names.MESSAGE_ID: job,
        names.ATTEMPT: attempt,
        names.LEASE: lease,
        names.MEMBER: member,
        names.ERROR_TYPE: None if error is None else type(error).__name__,
    }
    return {name: value for name, value in fields.items() if value is not None}
