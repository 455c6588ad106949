"""What the package is without extras: run by ``make release-check`` in a bare environment."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from importlib.metadata import Distribution, distributions, requires
from pathlib import Path

from lionagi_qe import open_memory
from lionagi_qe.coordination import WorkQueue
from lionagi_qe.extras import DISTRIBUTION

MOST_DIRECT = 8
MOST_BYTES = 40_000_000
AQE = Path(sys.executable).with_name("aqe")


async def use(url: str) -> None:
    """Store, queue and schedule."""
    async with open_memory(url) as memory:
        await memory.store("aqe/a", {"n": 1})
        queue = WorkQueue(memory, "jobs")
        await queue.schedule("nightly", cron="0 3 * * *")
        await queue.put(1)
        (job,) = await queue.claim()
        await job.ack()


def weight(found: Distribution) -> int:
    """Return the bytes that a wheel holds, without the byte code that pip makes of them."""
    if found.metadata["Name"] in {"pip", "setuptools", "wheel"}:
        return 0
    files = [Path(str(each.locate())) for each in found.files or [] if each.suffix != ".pyc"]
    return sum(file.stat().st_size for file in files if file.exists())


def main() -> None:
    """Try it, and weigh what came with it."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/memory.db"
        asyncio.run(use(url))
        env = {**os.environ, "LIONAGI_QE_MEMORY": url}
        for words in (["memory", "ls"], ["queue", "schedules", "jobs"], ["doctor"]):
            subprocess.run([AQE, *words], check=True, stdout=subprocess.DEVNULL, env=env)
        for words, extra in ((["run", folder], "fleet"), (["mcp"], "mcp"), (["serve"], "web")):
            lacking = subprocess.run(
                [AQE, *words], check=False, capture_output=True, text=True, env=env
            )
            assert lacking.returncode == 2, lacking
            (line,) = lacking.stderr.splitlines()
            assert line.endswith(f"pip install '{DISTRIBUTION}[{extra}]'"), lacking
    direct = [each for each in requires(DISTRIBUTION) or [] if "extra ==" not in each]
    direct = [each for each in direct if "win32" not in each]
    assert len(direct) <= MOST_DIRECT, direct
    size = sum(map(weight, distributions()))
    assert size <= MOST_BYTES, f"{size:,} bytes"
    print(f"core: {len(direct)} direct dependencies, {size:,} bytes in wheels")


if __name__ == "__main__":
    main()
