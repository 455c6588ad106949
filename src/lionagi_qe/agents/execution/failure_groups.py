"""Failures that are one failure: alike in their traces, then in what they say.

Failures of other places in the project are never one, whatever they say. At the same place they
are one if their words are equal, or as similar as ``SIMILAR``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lionagi_qe.agents.execution.failure_signatures import (
    Signature,
    signature_of,
    signature_of_text,
)
from lionagi_qe.agents.execution.phases import BAD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lionagi_qe.agents.execution.outcomes import Recording, Test

# Percent of ``rapidfuzz.fuzz.ratio``: the least, in steps of five, that merges none of the messages
# that were sorted by hand for `make failure-grouping`.
SIMILAR = 85
# Of the words at one place: what comes later is compared with none but equal words.
_MOST_COMPARED = 100
_MOST_TEXTS = 5
_LONGEST_MESSAGE = 2000
_MESSAGE_LINES = 6


@dataclass(slots=True)
class Failure:
    """Tests that failed with the same signature.

    Attributes:
        signature: of all of them.
        message: what the first of them said.
        tests: their ids, and files that could not be collected.
    """

    signature: Signature
    message: str
    tests: list[str] = field(default_factory=list[str])


class Past:
    """The groups of an earlier run, to be found again.

    Args:
        groups: as ``grouped`` returned them.
    """

    def __init__(self, groups: Iterable[Mapping[str, Any]]) -> None:
        self._places: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
        for group in groups:
            self._places.setdefault(tuple(group["place"]), []).append(group)

    def alike(self, group: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the group that is the same failure as one of another run; None if none is."""
        there = self._places.get(tuple(group["place"]), [])
        texts = frozenset(group["texts"])
        equal = next((each for each in there if texts & set(each["texts"])), None)
        if equal is not None or not group["located"]:
            return equal
        compared = [each["texts"][0] for each in there[:_MOST_COMPARED]]
        found = _most_similar(group["texts"][0], compared)
        return None if found is None else there[found]


def failures_of(recording: Recording) -> list[Failure]:
    """Return how the tests of a session failed; one that failed in several ways counts in each."""
    found: dict[Signature, Failure] = {}
    for name, signature, message in _signatures(recording):
        failure = found.setdefault(signature, Failure(signature, message))
        if failure.tests[-1:] != [name]:
            failure.tests.append(name)
    return list(found.values())


def grouped(failures: Iterable[Failure]) -> list[dict[str, Any]]:
    """Return failures in groups as JSON data, most tests first.

    Costs a comparison of each text with up to 100 others of its place.
    """
    places: dict[tuple[str, ...], dict[str, list[Failure]]] = {}
    for failure in failures:
        of_place = places.setdefault(failure.signature.place, {})
        of_place.setdefault(failure.signature.text, []).append(failure)
    groups = [_as_group(each) for of_place in places.values() for each in _alike(of_place)]
    return sorted(filter(_has_tests, groups), key=lambda group: -len(group["tests"]))


def ungrouped(groups: Iterable[Mapping[str, Any]]) -> Iterator[Failure]:
    """Yield the failures of groups, to be grouped together with others."""
    for group in groups:
        first, *rest = group["texts"]
        signature = Signature(tuple(group["place"]), first, located=group["located"])
        yield Failure(signature, group["message"], list(group["tests"]))
        for text in rest:
            yield Failure(
                Signature(signature.place, text, located=signature.located), group["message"]
            )


def by_messages(tests: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return failing tests in groups by the last lines of what they said, for want of traces."""
    return grouped(
        Failure(*_by_message(test["id"], test["outcome"], test["message"]), [test["id"]])
        for test in tests
        if test["outcome"] in BAD
    )


def _signatures(recording: Recording) -> Iterator[tuple[str, Signature, str]]:
    for test in recording.tests.values():
        if test.outcome in BAD:
            yield from _of_test(test)
    for name, text in recording.uncollectable.items():
        errors = recording.broken.get(name)
        if errors:
            yield name, signature_of(errors), _message(errors)
        else:
            yield name, *_by_message(name, "uncollectable", text)


def _of_test(test: Test) -> Iterator[tuple[str, Signature, str]]:
    for errors in test.failures:
        yield test.id, signature_of(errors), _message(errors)
    if not test.failures:
        yield test.id, *_by_message(test.id, test.outcome, test.message)


def _by_message(name: str, outcome: str, message: str) -> tuple[Signature, str]:
    """Return a signature by a text; without any words a failure is one of its own."""
    text = "\n".join(last_lines(message))
    signature = signature_of_text(outcome, text)
    return signature if signature.text else Signature((outcome, name), "", located=False), text


def last_lines(message: str) -> list[str]:
    """Return the last lines of a message that say something."""
    return [line for line in message[-_LONGEST_MESSAGE:].splitlines() if line.strip()][
        -_MESSAGE_LINES:
    ]


def _message(errors: Sequence[Mapping[str, Any]]) -> str:
    """Return the errors as the end of a trace tells them, each with its innermost frame."""
    lines: list[str] = []
    for error in errors:
        said: str = error["said"].strip()
        lines.append(f"{error['type']}: {said}" if said else error["type"])
        if error["frames"]:
            file, function, line, _, *number = error["frames"][0]
            place = ":".join([file, *map(str, number)])
            lines.append(f"  at {place} in {function}: {line}")
    return "\n".join(lines)[:_LONGEST_MESSAGE]


def _alike(of_place: Mapping[str, list[Failure]]) -> Iterator[list[Failure]]:
    """Yield the failures of one place that say the same, or nearly so."""
    # The order decides which words others are compared with.
    order = sorted(of_place, key=lambda text: (-sum(len(f.tests) for f in of_place[text]), text))
    groups: dict[str, list[Failure]] = {}
    compared: list[str] = []
    for text in order:
        failures = of_place[text]
        leader = None
        if failures[0].signature.located:
            leader = _most_similar(text, compared)
        if leader is None:
            groups[text] = list(failures)
            compared += [text] if len(compared) < _MOST_COMPARED else []
        else:
            groups[compared[leader]] += failures
    yield from groups.values()


def _most_similar(text: str, others: Sequence[str]) -> int | None:
    """Return the place of the text that is most like one, if one is enough so."""
    # Only where tests fail: it takes longer to import than the rest of this module.
    from rapidfuzz import fuzz, process

    found = process.extractOne(text, others, scorer=fuzz.ratio, score_cutoff=SIMILAR)
    return None if found is None else found[2]


def _has_tests(group: Mapping[str, Any]) -> bool:
    return bool(group["tests"])


def _as_group(failures: Sequence[Failure]) -> dict[str, Any]:
    first = failures[0]
    place, text = first.signature.place, first.signature.text
    digest = hashlib.sha256("\n".join((*place, text)).encode(errors="surrogatepass")).hexdigest()
    texts = dict.fromkeys(failure.signature.text for failure in failures)
    return {
        "id": digest[:12],
        "place": list(place),
        "located": first.signature.located,
        "texts": list(texts)[:_MOST_TEXTS],
        "message": first.message,
        "tests": list(dict.fromkeys(test for failure in failures for test in failure.tests)),
    }
