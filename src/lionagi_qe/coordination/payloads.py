"""What jobs carry, as the type that a queue was given for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, cast

from lionagi_qe.errors import InvalidArgumentError, InvalidValueError
from lionagi_qe.persistence.values.codec import decode, validated

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    # The default (PEP 696) is for type checkers alone: a plain Job is one of any payload.
    from typing_extensions import TypeVar

    P = TypeVar("P", default=Any)
else:
    from typing import TypeVar

    P = TypeVar("P")


class PayloadReader(Generic[P]):
    """Makes payloads of what is stored.

    Args:
        kind: anything that pydantic validates; None for plain JSON data.

    Raises:
        InvalidArgumentError: pydantic makes nothing of ``kind``.

    """

    def __init__(self, kind: type[P] | None) -> None:
        self._kind = kind
        self._adapter: TypeAdapter[P] | None = None
        if kind is not None:
            from pydantic import TypeAdapter
            from pydantic.errors import PydanticUserError

            try:
                self._adapter = TypeAdapter(kind)
            except (PydanticUserError, NameError, SyntaxError, TypeError) as error:
                reason = str(error).partition("\n")[0]
                msg = f"payload_type {kind!r}: is nothing that pydantic validates: {reason}"
                raise InvalidArgumentError(msg) from error

    def read(self, payload: bytes | str) -> P:
        """Return a payload; InvalidValueError if it doesn't fit the type.

        DecryptionError if it is sealed by a key.
        """
        if self._adapter is None:
            return cast("P", decode(payload))
        try:
            return validated(self._adapter, payload, self._kind)
        except InvalidValueError as error:
            msg = f"payload: {error}"
            raise InvalidValueError(msg) from error
