"""What a fleet stores, puts and remembers, in sizes and shares as they come in life.

Few keys are asked for often and many seldom (Zipf), values and durations have a long tail
(log-normal), most jobs are of the usual priority, few tests are flaky. The same for the same seed.
"""

from __future__ import annotations

import random
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from faker import Faker

from lionagi_qe.coordination import NewJob
from lionagi_qe.testing.factories import QualityDataFactory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CAPABILITIES = ("pytest", "coverage", "mutation", "review", "generation", "security")
_PRIORITIES = (0, 0, 0, 0, 0, 0, 0, -10, 5, 5)
_PARTITIONS = ("default", "default", "default", "plans", "runs")
# Of a value's JSON, in bytes: half are smaller, and one in a hundred has thirty times as much.
_MEDIAN_BYTES, _SIZE_SIGMA = 400, 1.5
_LARGEST_BYTES = 256 * 1024
# Of a test, in seconds.
_MEDIAN_SECONDS, _SECONDS_SIGMA = 0.02, 1.6
_FLAKY_SHARE, _FLAKY_RATE = 0.02, 0.15
_BROKEN_SHARE = 0.05
_TTL_SHARE = 0.3


class WorkloadFactory:
    """Makes agents, entries, jobs, and histories of test runs.

    Args:
        seed: two factories with the same seed make the same data.
        skew: of Zipf's law, by which keys are chosen; 0 chooses all alike.
    """

    def __init__(self, seed: int = 0, *, skew: float = 1.1) -> None:
        self._random = random.Random(seed)  # noqa: S311 - test data
        self._fake = Faker()
        self._fake.seed_instance(seed)
        self._data = QualityDataFactory(seed)
        self._skew = skew

    def agent(self) -> dict[str, Any]:
        """Make an agent: its name, a segment of a key; what it can do, and where it runs."""
        number = self._fake.unique.random_int(0, 10**6)
        return {
            "name": f"{self._fake.user_name()}-{number}",
            "host": self._fake.hostname(),
            "capabilities": sorted(self._random.sample(_CAPABILITIES, self._random.randint(1, 3))),
            "started_at": self._fake.iso8601(),
        }

    def size(self) -> int:
        """Make the size of a value, in bytes of its JSON, from 2 to 256 KiB."""
        number = self._random.lognormvariate(0, _SIZE_SIGMA) * _MEDIAN_BYTES
        return min(max(int(number), 2), _LARGEST_BYTES)

    def value(self) -> dict[str, Any]:
        """Make a value of such a size: a plan, coverage or message, with text to fill it up."""
        make = self._random.choice((self._data.plan, self._data.coverage, self._data.message))
        value = make()
        left = self.size() - len(str(value))
        return {**value, "notes": self._text(left)} if left > 0 else value

    def _text(self, length: int) -> str:
        words = self._fake.sentence(12)
        return (words * (length // len(words) + 1))[:length]

    def entries(self, count: int) -> Iterator[dict[str, Any]]:
        """Make entries with distinct keys, as arguments of ``memory.store``."""
        for at in range(count):
            ttl = self._random.choice((60, 600, 86_400))
            yield {
                "key": f"{self._data.key()}/{at}",
                "value": self.value(),
                "partition": self._random.choice(_PARTITIONS),
                "ttl": ttl if self._random.random() < _TTL_SHARE else None,
            }

    def accesses(self, keys: Sequence[str], count: int) -> list[str]:
        """Choose keys to be asked for, one after the other: the first ones most often."""
        weights = accumulate(1 / (rank + 1) ** self._skew for rank in range(len(keys)))
        return self._random.choices(keys, cum_weights=[*weights], k=count)

    def jobs(self, count: int) -> list[NewJob]:
        """Make jobs for ``queue.put_many``: reviews of modules, some of them twice (``dedupe``)."""
        modules = [self._data.module() for _ in range(max(count // 2, 1))]
        chosen = self.accesses(modules, count)
        return [
            NewJob(
                {"task": "review", "file": module},
                priority=self._random.choice(_PRIORITIES),
                delay=self._random.choice((0, 0, 0, 1)),
                dedupe=module if self._random.random() < _TTL_SHARE else None,
            )
            for module in chosen
        ]

    def history(self, runs: int = 20, tests: int = 50) -> list[dict[str, Any]]:
        """Make runs of one suite, the oldest first.

        Durations keep a test's own scale; one in fifty tests is flaky, and fails in about 15 % of
        the runs; in one run of twenty a change broke some tests, which the next run has mended.
        """
        names = [f"tests/test_{self._fake.word()}.py::test_{at}" for at in range(tests)]
        usual = [self._random.lognormvariate(0, _SECONDS_SIGMA) * _MEDIAN_SECONDS for _ in names]
        flaky = {name for name in names if self._random.random() < _FLAKY_SHARE}
        return [self._run(names, usual, flaky) for _ in range(runs)]

    def _run(self, names: Sequence[str], usual: Sequence[float], flaky: set[str]) -> dict[str, Any]:
        broken: set[str] = set()
        if self._random.random() < _BROKEN_SHARE:
            broken = set(self._random.sample([*names], min(3, len(names))))
        results = [
            {
                "test": name,
                "status": "failed"
                if name in broken or (name in flaky and self._random.random() < _FLAKY_RATE)
                else "passed",
                "seconds": round(seconds * self._random.uniform(0.8, 1.3), 6),
            }
            for name, seconds in zip(names, usual, strict=True)
        ]
        failed = sum(result["status"] == "failed" for result in results)
        return {
            "id": self._fake.uuid4(),
            "commit": self._fake.sha1(),
            "results": results,
            "passed": len(results) - failed,
            "failed": failed,
            "skipped": 0,
        }
