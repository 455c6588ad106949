"""A run's tests as JUnit XML, for CI servers."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lionagi_qe.fleet.run import Outcome

# What XML 1.0 can't say.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENTS = {
    "failed": "failure",
    "error": "error",
    "interrupted": "error",
    "skipped": "skipped",
    "xfailed": "skipped",
    "unimportable": "skipped",
    "not_run": "skipped",
}
_MESSAGES = {
    "interrupted": "the test process ended while this test ran",
    "unimportable": "not measured: a module it needs is not installed",
    "not_run": "not run: the test process ended before",
    "xfailed": "expected failure",
}


def as_junit(outcome: Outcome) -> bytes:
    """Return the document; subtests are counted in the output of their test."""
    tests = outcome.detail("test-executor", "tests")
    broken = dict(outcome.detail("test-executor", "uncollectable") or {})
    skipped = dict(outcome.detail("test-executor", "skipped_files") or {})
    elements = Counter(_ELEMENTS.get(test["outcome"], "passed") for test in tests)
    suite = ET.Element(
        "testsuite",
        name=_speakable(outcome.project),
        tests=str(len(tests) + len(broken) + len(skipped)),
        failures=str(elements["failure"]),
        errors=str(elements["error"] + len(broken)),
        skipped=str(elements["skipped"] + len(skipped)),
        time=f"{sum(test['seconds'] for test in tests):.3f}",
        timestamp=outcome.at.isoformat(timespec="seconds"),
    )
    for test in tests:
        _add_case(suite, test)
    for file, text in broken.items():
        _add_file(suite, file, "error", "could not be collected", text)
    for file, text in skipped.items():
        _add_file(suite, file, "skipped", "collection skipped", text)
    suites = ET.Element("testsuites")
    suites.append(suite)
    ET.indent(suites)
    return ET.tostring(suites, encoding="utf-8", xml_declaration=True)


def _add_file(suite: ET.Element, file: str, element: str, message: str, text: str) -> None:
    case = ET.SubElement(suite, "testcase", classname="", name=_speakable(file), time="0.000")
    child = ET.SubElement(case, element, message=message)
    child.text = _speakable(text)


def _add_case(suite: ET.Element, test: Mapping[str, Any]) -> None:
    path, _, name = test["id"].partition("::")
    case = ET.SubElement(
        suite,
        "testcase",
        classname=_speakable(path.removesuffix(".py").replace("/", ".")),
        name=_speakable(name or path),
        time=f"{test['seconds']:.3f}",
    )
    element = _ELEMENTS.get(test["outcome"])
    if element is not None:
        message = _MESSAGES.get(test["outcome"]) or _last_line(test["message"])
        child = ET.SubElement(case, element, message=_speakable(message))
        child.text = _speakable(test["message"])
    if test["subtests"]:
        # The schema has no properties of a case.
        counted = sorted(test["subtests"].items())
        counts = ", ".join(f"{count} {outcome}" for outcome, count in counted)
        ET.SubElement(case, "system-out").text = f"subtests: {counts}"


def _last_line(message: str) -> str:
    lines = [line for line in message.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _speakable(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
