"""Claims of a model, each held against the measurement that it names.

What a sentence means can't be checked, so little is let through: a claim names one entry of the
fleet's memory, uses the words of the figure's name, and every number and name in it is found in
that entry. Whoever reads it is shown the entry beside it, in our words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, Field

from lionagi_qe.agents.execution.outcomes import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

LONGEST: Final = 300
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")
# What looks like a name of code: a_b, a.b, a::b, a/b, a(), CamelCase, `a`.
_NAME = re.compile(
    r"`[^`]+`|\b[^\W\d]\w*(?:(?:::|/|\.)\w+)+|\b\w*[^\W_]_\w+|\b\w+\(\)|"
    r"\b[A-Z][^\Wa-z]*[a-z][^\WA-Z]*[A-Z]\w*"
)
# They state a figure without a digit, or turn one round.
_REFUSED = re.compile(
    r"\b(?:all|always|any|every\w*|each|entire\w*|full|fully|complete\w*|perfect\w*|total\w*|none|"
    r"no|nothing|nobody|never|not|cannot|without|only|most\w*|least|many|few\w*|more|less|over|"
    r"under|above|below|about|around|roughly|nearly|almost|half|twice|double\w*|dozen\w*|once|"
    r"un(?:covered|tested)|zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|"
    r"\w+teen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred\w*|thousand\w*)\b|n't\b",
    re.IGNORECASE,
)
_UNMEASURED = re.compile(r"\b(?:was|were|is|are)?\s*not\s+measured\b", re.IGNORECASE)
_STEM = 4
_HALF = 0.5
_NOISE = 1e-9
_SHORTEST = 3


class Claim(BaseModel):
    """One statement of the model."""

    text: str = Field(
        description="One short sentence with one figure, in digits as measured, and the words of "
        "the metric's name; or that it was not measured. No words such as all, none, more than."
    )
    source: str = Field(description="The key of the entry that it is taken from, as a tool told.")


class Claims(BaseModel):
    """The answer: claims, each with its source; nothing without one."""

    claims: list[Claim] = Field(
        default_factory=list[Claim], description="The answer to the question, claim by claim."
    )


@dataclass(frozen=True, slots=True)
class Checked:
    """A claim beside what was measured.

    Attributes:
        text: the model's words.
        source: the key that it names.
        fact: what that entry holds, in our words; None if there is no such entry.
        objection: why the claim is not supported; None if it is.
    """

    text: str
    source: str
    fact: str | None
    objection: str | None


def check_claim(claim: Claim, value: Any, areas: Collection[str]) -> Checked:  # noqa: ANN401 - JSON
    """Hold a claim against the value of its source; it is None where there is no such entry.

    Args:
        claim: of a model.
        value: what the memory holds under ``claim.source``.
        areas: prefixes of keys that only the fleet writes; what models note lies elsewhere.

    """
    text = " ".join(claim.text.split())
    if value is None or not any(claim.source.startswith(area) for area in areas):
        return Checked(text, claim.source, None, "its source is no measurement in the memory")
    too_long = "it is too long to check" if len(text) > LONGEST else None
    objection = too_long or next(_objections(text, value), None)
    return Checked(text, claim.source, fact_of(claim.source, value), objection)


def _objections(text: str, value: Any) -> Iterator[str]:  # noqa: ANN401 - JSON data
    """Yield what is wrong with a claim; the first is told."""
    metric: Mapping[str, Any] = value if isinstance(value, dict) else {}
    mentioned = sorted(
        {each for each in _strings(value) if len(each) >= _SHORTEST and each in text},
        key=len,
        reverse=True,
    )
    yield from _about_another(text, metric)
    rest = _UNMEASURED.sub(" ", text)
    for each in mentioned:
        # Plain words stay: they tell what a number counts.
        if not each.isalpha():
            rest = rest.replace(each, " ")
    if refused := _REFUSED.search(rest):
        yield f"it says {refused[0]!r}; figures are written in digits, as measured"
    if name := _NAME.search(rest):
        yield f"it names {name[0]}, which its source doesn't"
    uncounted, wrong = _counted(rest, value, mentioned)
    if wrong is not None:
        yield wrong
    known = list(_numbers(value, text, mentioned))
    for number in (found.rstrip(",") for found in _NUMBER.findall(uncounted)):
        if not any(_equal(number, each) for each in known):
            yield f"it says {number}, which was not measured there"
    if metric.get("measured") is not False and not mentioned and not _NUMBER.search(text):
        yield "it states nothing that can be checked"


def _about_another(text: str, metric: Mapping[str, Any]) -> Iterator[str]:
    """Yield whether a claim is about another figure, or about one that there isn't."""
    if metric.get("measured") is False and not _UNMEASURED.search(text):
        yield "the figure was not measured"
    if metric.get("measured") is True and _UNMEASURED.search(text):
        yield "the figure was measured"
    missing = [word for word in _words(metric) if _stem(word) not in text.lower()]
    if missing:
        yield f"it does not say {' '.join(missing)!r}, which its source is about"
    value = metric.get("value")
    if isinstance(value, str) and value not in text:
        yield f"it does not say {value!r}, which was measured"


def _counted(rest: str, value: Any, mentioned: Collection[str]) -> tuple[str, str | None]:  # noqa: ANN401 - JSON
    """Take out the counts that a word tells what of: ``3 missed lines``, ``failed 2``.

    Return the text without them, and what is wrong with the first that isn't right.
    """
    for pattern, count in _counts(value, mentioned):
        for found in re.finditer(pattern, rest, re.IGNORECASE):
            if not _equal(found[1].rstrip(","), count):
                return rest, f"it says {found[0]!r}, and it is {count}"
        rest = re.sub(pattern, " ", rest, flags=re.IGNORECASE)
    return rest, None


def _counts(value: Any, mentioned: Collection[str]) -> Iterator[tuple[str, int]]:  # noqa: ANN401 - JSON
    if not isinstance(value, dict):
        return
    entry: dict[str, Any] = value
    number = r"\b(\d[\d,]*)"
    if isinstance(entry.get("value"), list):
        for item in entry["value"]:
            if isinstance(item, dict) and not set(mentioned).isdisjoint(_strings(item)):
                fields: dict[str, Any] = item
                for name, what in fields.items():
                    if isinstance(what, list):
                        yield rf"{number} {name.split('_')[0]}\w*", len(what)  # pyright: ignore[reportUnknownArgumentType]
        yield rf"{number} {_stem(entry['name'].split('_')[0])}\w*", len(entry["value"])
    elif "hunts" in entry:
        failures = sum(hunt["failures"] for hunt in entry["hunts"])
        yield rf"\bfailed (?:in )?{number}", failures
        yield rf"{number} fail\w*", failures
    elif "records" in entry:
        outcomes = [record["outcome"] for record in entry["records"]]
        for name in OUTCOMES:
            yield rf"\b{name} (?:in )?{number}", outcomes.count(name)
            yield rf"{number} {name}", outcomes.count(name)


def fact_of(source: str, value: Any) -> str:  # noqa: ANN401 - JSON data
    """Return what an entry holds as a line, without any word of a model's."""
    if not isinstance(value, dict):
        return f"{source.rpartition('/')[2]} = {value}"
    entry: dict[str, Any] = value
    if "measured" in entry:
        tool = f"[{entry['tool']} {entry['version']}]"
        if not entry["measured"]:
            return f"{entry['name']}: not measured: {entry['reason']}"
        what = entry["value"]
        shown = len(what) if isinstance(what, list | dict) else what  # pyright: ignore[reportUnknownArgumentType]
        return f"{entry['name']} = {shown} {entry['unit']}  {tool}"
    if "hunts" in entry:
        hunts = entry["hunts"]
        runs, failures = (sum(hunt[name] for hunt in hunts) for name in ("runs", "failures"))
        return f"{entry['id']}: failed {failures} of {runs} runs in {len(hunts)} hunts"
    outcomes = [record["outcome"] for record in entry["records"]]
    counts = ", ".join(f"{outcomes.count(name)} {name}" for name in sorted(set(outcomes)))
    return f"{entry['id']}: {counts} of the last {len(outcomes)} runs"


def _words(metric: Mapping[str, Any]) -> list[str]:
    """Return the words that a claim has to use, so that it is about this figure and no other."""
    return str(metric.get("name", "")).lower().split("_") if "measured" in metric else []


def _stem(word: str) -> str:
    """Return the beginning that a word has in the singular and in the plural."""
    return word.rstrip("s")[:_STEM]


def _strings(value: Any) -> Iterator[str]:  # noqa: ANN401 - JSON data
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():  # pyright: ignore[reportUnknownVariableType]
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:  # pyright: ignore[reportUnknownVariableType]
            yield from _strings(each)


def _numbers(value: Any, text: str, mentioned: Collection[str]) -> Iterator[float]:  # noqa: ANN401 - JSON
    """Yield the numbers that a claim may state: of a list only those of what it names."""
    if not isinstance(value, dict):
        return
    entry: dict[str, Any] = value
    if "measured" in entry:
        what = entry["value"]
        if not isinstance(what, list):
            yield from _figures(what)
            return
        items: list[Any] = what
        for item in items:
            if isinstance(item, dict) and not set(mentioned).isdisjoint(_strings(item)):
                fields: dict[str, Any] = item
                for name in _named(fields, text):
                    yield from _figures(fields[name])
    elif "hunts" in entry:
        yield sum(hunt["runs"] for hunt in entry["hunts"])
        yield len(entry["hunts"])
    elif "records" in entry:
        yield len(entry["records"])


def _named(fields: Mapping[str, Any], text: str) -> list[str]:
    """Return the fields that a text speaks of: ``missed lines`` are no ``lines``."""
    said = text.lower()
    stems = {name: {_stem(word) for word in name.split("_")} for name in fields}
    named = [name for name in fields if all(stem in said for stem in stems[name])]
    return [name for name in named if not any(stems[name] < stems[other] for other in named)]


def _figures(value: Any) -> Iterator[float]:  # noqa: ANN401 - JSON data
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, list):
        items: list[Any] = value
        yield len(items)
        for item in items:
            yield from _figures(item)
    elif isinstance(value, dict):
        fields: dict[str, Any] = value
        for item in fields.values():
            yield from _figures(item)


def _equal(said: str, measured: float) -> bool:
    """Whether a number as written is the measured one, rounded to as many places."""
    text = said.replace(",", "")
    places = len(text.partition(".")[2])
    # One place at least for what is no whole number, so that 99.6 isn't told as 100.
    if places == 0:
        return float(text) == measured
    return abs(float(text) - measured) <= _HALF * 10**-places + _NOISE
