"""Realistic data of a quality-engineering fleet, the same again for the same seed.

Names, sentences and paths come from Faker (extra ``testing``); what must hang together does:
counts add up, rates follow from counts, gaps lie inside their files.
"""

from __future__ import annotations

from typing import Any

from faker import Faker

_STATUSES = ("passed", "passed", "passed", "passed", "failed", "skipped")


class QualityDataFactory:
    """Makes plans, test runs, coverage reports and agents' messages.

    Args:
        seed: two factories with the same seed make the same data.
        locale: the language of names and sentences, as Faker writes it.
    """

    def __init__(self, seed: int = 0, locale: str = "en_US") -> None:
        self._fake = Faker(locale)
        self._fake.seed_instance(seed)

    def key(self, kind: str = "data") -> str:
        """Make a valid key: ``aqe/<kind>/<word>/<number>``."""
        return f"aqe/{kind}/{self._fake.word()}/{self._fake.unique.random_int(0, 10**9)}"

    def module(self) -> str:
        """Make the path of a module."""
        return "src/" + "/".join(self._fake.words(2)) + ".py"

    def plan(self, tests: int = 5) -> dict[str, Any]:
        """Make a test plan: goal, owner, tests with priorities from 1 to 3."""
        fake = self._fake
        return {
            "goal": fake.sentence(),
            "owner": fake.name(),
            "due": fake.date(),
            "tests": [
                {
                    "name": f"test_{fake.word()}_{at}",
                    "module": self.module(),
                    "priority": fake.random_int(1, 3),
                }
                for at in range(tests)
            ],
        }

    def run(self, tests: int = 8) -> dict[str, Any]:
        """Make a test run: results with durations in seconds, and counts that add up."""
        fake = self._fake
        results = [
            {
                "test": f"tests/test_{fake.word()}.py::test_{fake.word()}_{at}",
                "status": fake.random_element(_STATUSES),
                "seconds": fake.random_int(1, 2_000) / 1_000,
            }
            for at in range(tests)
        ]
        statuses = [result["status"] for result in results]
        return {
            "id": fake.uuid4(),
            "commit": fake.sha1(),
            "results": results,
            "passed": statuses.count("passed"),
            "failed": statuses.count("failed"),
            "skipped": statuses.count("skipped"),
        }

    def coverage(self, files: int = 4) -> dict[str, Any]:
        """Make a coverage report: per file, lines and gaps; the totals follow from them."""
        fake = self._fake
        report: dict[str, Any] = {"files": {}}
        lines_total = missed_total = 0
        for _ in range(files):
            lines = fake.random_int(10, 400)
            missed = sorted(fake.random_sample(range(1, lines + 1), fake.random_int(0, 9)))
            report["files"][self.module()] = {"lines": lines, "missed": missed}
            lines_total += lines
            missed_total += len(missed)
        return report | {"lines": lines_total, "covered": lines_total - missed_total}

    def message(self) -> dict[str, Any]:
        """Make a message from one agent to another."""
        fake = self._fake
        return {"from": fake.user_name(), "to": fake.user_name(), "text": fake.paragraph()}
