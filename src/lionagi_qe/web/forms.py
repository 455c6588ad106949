"""What a page's form sent, read up to a limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from lionagi_qe.errors import InvalidArgumentError

if TYPE_CHECKING:
    from starlette.requests import Request

# An entry's value may be as large, and grows as it is sent.
_MOST_BYTES = 32 * 1024 * 1024
_MOST_FIELDS = 1_000


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form by name."""

    fields: dict[str, list[str]]

    def first(self, name: str) -> str:
        """Return a field's value; "" if it wasn't sent."""
        return self.fields.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        """Return all values that were sent under a name."""
        return self.fields.get(name, [])


async def read(request: Request) -> Form | None:
    """Return what was sent; None if it is more than a form of ours can be.

    Raises:
        InvalidArgumentError: it is no form.

    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_BYTES:
            return None
    try:
        fields = parse_qs(
            body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
    except ValueError as error:
        msg = f"what was sent is no form: {error}"
        raise InvalidArgumentError(msg) from error
    return Form(fields)
