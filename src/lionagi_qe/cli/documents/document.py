"""What the shapes of documents have in common."""

from __future__ import annotations

from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict

# Whatever JSON can say: values, payloads, errors of others.
Json: TypeAlias = Any


class Shape(BaseModel):
    """An object of a document; the text below a field describes it in the schema.

    A later release may add fields: who reads a document passes over those that it doesn't know.
    """

    model_config = ConfigDict(use_attribute_docstrings=True)
