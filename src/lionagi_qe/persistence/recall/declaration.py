"""What an index is of, as it is declared once and kept in the memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self, cast

from lionagi_qe.errors import InvalidArgumentError, InvalidValueError, SchemaTooNewError
from lionagi_qe.persistence.recall.vectors import MOST_DIMENSIONS
from lionagi_qe.persistence.values.entry import check_count, check_flag, check_list
from lionagi_qe.persistence.values.glob import compile_glob
from lionagi_qe.persistence.values.keys import check_key, check_name
from lionagi_qe.persistence.values.paths import check_path, texts_in, value_at, values_at

if TYPE_CHECKING:
    from collections.abc import Iterable

SCHEMA = 1
DECLARATIONS = "aqe/indexes/"
PARTITION = "indexes"
USUAL_LENGTH = 100
# Of an entry with a vector for each text.
MOST_VECTORS = 64
_MOST_LENGTH = 1_000_000


@dataclass(frozen=True, slots=True)
class Declaration:
    """An index: of which entries, and of what in them.

    Attributes:
        name: what it is called.
        pattern: which keys it covers, a glob.
        text: where in the values the text is.
        fields: where values are that filters look for with equality.
        dims: numbers in a vector; None for an index by words alone.
        model: what the vectors were made by.
        usual_length: words of a usual text: longer ones count as less about each of their words.
        words: whether words count; if not, entries are found by their vectors alone.
        each_text: whether each text has a vector of its own, the best of which counts, instead of
            one for all of an entry's text.
        override: where a value may say itself what of it is text (a list of paths) or that none
            of it is (False).
        version: counts up when it is declared otherwise, which makes it anew.
        superseded: versions whose data are still to be removed.
    """

    name: str
    pattern: str
    text: tuple[str, ...] = ("$",)
    fields: tuple[str, ...] = ()
    dims: int | None = None
    model: str | None = None
    usual_length: int = USUAL_LENGTH
    override: str | None = None
    words: bool = True
    each_text: bool = False
    version: int = field(default=1, compare=False)
    superseded: tuple[int, ...] = field(default=(), compare=False)

    @property
    def key(self) -> str:
        """Where it is kept."""
        return declaration_key(self.name)

    @property
    def data(self) -> str:
        """What backends call the index's data."""
        return data_name(self.name, self.version)

    def covers(self, key: str) -> bool:
        """Return whether the entry under this key belongs to it."""
        return compile_glob(self.pattern).matches(key) and not key.startswith(DECLARATIONS)

    def text_of(self, value: Any) -> str | None:  # noqa: ANN401 - JSON data
        """Return an entry's text, a line for each part; None if it has none and wants none."""
        return "\n".join(self.texts_of(value)) or None

    def texts_of(self, value: Any) -> list[str]:  # noqa: ANN401 - JSON data
        """Return the texts of an entry, one for each that is at one of the paths."""
        paths: Iterable[Any] = self.text
        if self.override is not None:
            own: Any = value_at(value, self.override)
            if own is False:
                return []
            if isinstance(own, list):
                paths = cast("list[Any]", own)
        found = (each for path in paths for each in values_at(value, check_path(path)))
        return [text for each in found if (text := "\n".join(texts_in(each)))]

    def stored(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {"schema": SCHEMA, **asdict(self)}

    def differences(self, other: Declaration) -> str:
        """Tell in words what is declared otherwise."""
        return ", ".join(
            f"{each.name} {getattr(other, each.name)!r} instead of {getattr(self, each.name)!r}"
            for each in fields(self)
            if each.compare and getattr(self, each.name) != getattr(other, each.name)
        )

    def following(self, other: Declaration) -> Declaration:
        """Return the other declaration as the version behind this one."""
        return replace(
            other,
            version=self.version + 1,
            superseded=(*self.superseded, self.version),
        )

    @classmethod
    def read(cls, value: Any) -> Self:  # noqa: ANN401 - JSON data
        """Return the declaration that ``stored`` made; InvalidValueError if it is none."""
        data = dict(cast("dict[str, Any]", value)) if isinstance(value, dict) else {}
        schema = data.pop("schema", None)
        if isinstance(schema, int) and schema > SCHEMA:
            msg = (
                f"index {data.get('name')!r}: was declared by a newer lionagi-qe-fleet (schema "
                f"{schema}, this one knows up to {SCHEMA}); upgrade the package"
            )
            raise SchemaTooNewError(msg)
        try:
            for name in ("text", "fields", "superseded"):
                data[name] = tuple(data[name])
            return cls(**data)
        except (KeyError, TypeError) as error:
            msg = (
                f"an entry under {DECLARATIONS!r} is no declaration of an index but {value!r:.80}; "
                "delete it, and declare indexes by memory.index"
            )
            raise InvalidValueError(msg) from error


def declaration_key(name: str) -> str:
    """Return where the declaration of an index is kept."""
    return check_key(DECLARATIONS + check_index_name(name))


def data_name(name: str, version: int) -> str:
    """Return what backends call the data of an index's version."""
    return f"{name}/{version}"


def check_index_name(name: object) -> str:
    """Return the name of an index: of one segment of a key."""
    checked = check_name("index", name)
    if "/" in checked:
        msg = f"index {checked!r}: a name has no slash; write - or . between its parts"
        raise InvalidArgumentError(msg)
    return checked


def declare(  # noqa: PLR0913, PLR0917 - of Memory.index
    name: str,
    pattern: str,
    text: object,
    fields: object,
    dims: int | None,
    model: str | None,
    usual_length: int,
    override: str | None,
    *,
    words: bool,
    each_text: bool,
) -> Declaration:
    """Return a declaration of checked arguments."""
    compile_glob(pattern)
    paths = [text] if isinstance(text, str) else check_list("text", text)
    if not paths:
        msg = "text []: name at least one path, as $.title; $ is all of the value"
        raise InvalidArgumentError(msg)
    if (dims is None) is not (model is None):
        msg = "embed and dims belong together: give the function and how many numbers it makes"
        raise InvalidArgumentError(msg)
    if dims is None and (each_text or not words):
        msg = "each_text and words=False are for an index with vectors: give embed and dims too"
        raise InvalidArgumentError(msg)
    return Declaration(
        check_index_name(name),
        pattern,
        tuple(map(check_path, paths)),
        tuple(map(check_path, check_list("fields", fields))),
        dims if dims is None else check_count("dims", dims, MOST_DIMENSIONS),
        model,
        check_count("usual_length", usual_length, _MOST_LENGTH),
        override if override is None else check_path(override),
        check_flag("words", words),
        check_flag("each_text", each_text),
    )
