"""What a run keeps in the memory, signed, so that who can write there can't forge its figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from lionagi_qe.errors import UntrustedResultError
from lionagi_qe.fleet.signatures import unsigned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lionagi_qe.fleet.signatures import SigningKeys

_FILES = "files"
# What a run is asked for, beside its tasks; no agent has such a name.
RECORD = "/record"


@dataclass(frozen=True, slots=True)
class ResultSignatures:
    """Signs the results of one run, and tells which are not.

    A result is bound to its fleet, project, run and task, and to the project's files: it can't take
    the place of another task's, nor of another run's.

    Attributes:
        keys: the first signs; None to sign nothing and to trust whoever can write to the memory.
        fleet: of the memory.
        files: the hash of the project's files, see ``source_archive.digest_of``.
        checks: refuse what no key has signed; False to trust all of it.
    """

    keys: SigningKeys | None
    fleet: str
    files: str
    checks: bool = True

    def signed(self, place: tuple[str, str, str], value: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a run keeps, with the files that it is about and, with keys, signed.

        Args:
            place: the project, the run and the task.
            value: what is kept.

        """
        own = {**value, _FILES: self.files}
        return own if self.keys is None else self.keys.signed_result(own, (self.fleet, *place))

    def trusted(self, place: tuple[str, str, str], value: Any) -> dict[str, Any]:  # noqa: ANN401 - from the memory
        """Return what a run kept, if it may be believed.

        Raises:
            UntrustedResultError: it was kept by somebody without a key, for another place, or about
                other files.

        """
        _, run, task = place
        shown = f"what the run {run} asks for" if task == RECORD else f"the result of {task}"
        if not isinstance(value, dict):
            raise UntrustedResultError(
                f"{shown}, as the memory holds it, is nothing that a run keeps"
            )
        if self.keys is None or not self.checks:
            return unsigned(cast("dict[str, Any]", value))
        try:
            own = self.keys.check_result(value, (self.fleet, *place))
        except UntrustedResultError as error:
            raise UntrustedResultError(f"{shown}, as the memory holds it, {error}") from error
        if task != RECORD and own.get(_FILES) != self.files:
            raise UntrustedResultError(
                f"{shown}, as the memory holds it, is about other files than the project's"
            )
        return own
