"""Exit codes, and how an error becomes one line and one of them; the same for every command."""

from __future__ import annotations

import asyncio
from enum import IntEnum

import click

from lionagi_qe import errors


class Exit(IntEnum):
    """What ``aqe`` tells the shell."""

    PASSED = 0
    GATE_FAILED = 1
    USAGE = 2
    INFRASTRUCTURE = 3
    NOT_MEASURED = 4
    INTERRUPTED = 130
    NOT_READ = 141


# The first that fits.
_CODES: tuple[tuple[type[BaseException], Exit], ...] = (
    (KeyboardInterrupt, Exit.INTERRUPTED),
    (asyncio.CancelledError, Exit.INTERRUPTED),
    (click.Abort, Exit.INTERRUPTED),
    (click.UsageError, Exit.USAGE),
    (errors.ConfigurationError, Exit.USAGE),
    (errors.ProjectError, Exit.USAGE),
    (errors.InvalidArgumentError, Exit.USAGE),
    (errors.InvalidKeyError, Exit.USAGE),
    (errors.InvalidValueError, Exit.USAGE),
    (errors.AqeError, Exit.INFRASTRUCTURE),
    (click.ClickException, Exit.INFRASTRUCTURE),
    (OSError, Exit.INFRASTRUCTURE),
)


def exit_code_of(error: BaseException) -> Exit | None:
    """Return the exit code of an error; None for one that is a defect of ours."""
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return exit_code_of(error.exceptions[0])
    if isinstance(error, errors.ConfigurationError) and isinstance(error.__cause__, OSError):
        # What was asked for is sound, but this machine does not provide it.
        return Exit.INFRASTRUCTURE
    return next((code for kind, code in _CODES if isinstance(error, kind)), None)


def explain(error: BaseException) -> str:
    """Return an error as one line that says what is wrong."""
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return explain(error.exceptions[0])
    if exit_code_of(error) is Exit.INTERRUPTED:
        return "interrupted"
    if isinstance(error, click.ClickException):
        text = error.format_message()
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        text = str(error) or type(error).__name__
    # Not before: it would be read by whoever only asks for help.
    from lionagi_qe.persistence.values.redacted_text import redact_text

    told = "; ".join([text, *getattr(error, "__notes__", ())])
    # Whoever raised it may have quoted what another program said.
    return " ".join(redact_text(told).split())
