"""Ten worker processes share a queue; one of them is killed, and its job is done by another.

    python examples/coordination/ten_workers.py [MEMORY_URL]

Without a URL it uses a SQLite file that is removed at the end.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

from lionagi_qe import open_memory
from lionagi_qe.coordination import Job, WorkQueue

WORKERS = 10
JOBS = 100


async def count_words(job: Job) -> dict[str, object]:
    text = job.payload["text"]
    if job.payload.get("deadly") and job.attempt == 1:
        print(f"worker {os.getpid()} dies with job {job.id} in its hands")
        os.kill(os.getpid(), 9)
    await asyncio.sleep(0.02)
    return {"words": len(text.split()), "worker": os.getpid()}


async def work(url: str, fleet: str) -> None:
    async with open_memory(url, fleet=fleet) as memory:
        # SIGTERM, as process managers send it, ends this gracefully.
        await WorkQueue(memory, "texts").work(count_words, concurrency=2, lease_ttl=2)


def run_worker(url: str, fleet: str) -> None:
    asyncio.run(work(url, fleet))


async def main(url: str) -> None:
    # So that two who run this on one server don't meet.
    fleet = f"ten-workers-{os.getpid()}"
    processes = [
        multiprocessing.Process(target=run_worker, args=(url, fleet), daemon=True)
        for _ in range(WORKERS)
    ]
    async with open_memory(url, fleet=fleet) as memory:
        queue = WorkQueue(memory, "texts")
        for process in processes:
            process.start()
        texts = [{"text": "so much to do " * at, "deadly": at == JOBS // 2} for at in range(JOBS)]
        ids = await queue.put_many(texts)
        results = await asyncio.gather(*(queue.result(job_id, timeout=60) for job_id in ids))
        print(f"{sum(result['words'] for result in results)} words counted in {JOBS} texts")
        print(f"by {len({result['worker'] for result in results})} of {WORKERS} workers")
        print(f"the queue: {await queue.stats()}")
        for process in processes:
            process.terminate()
        for process in processes:
            await asyncio.to_thread(process.join)
        codes = sorted(str(process.exitcode) for process in processes)
        print(f"exit codes: {', '.join(codes)}")


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    with tempfile.TemporaryDirectory() as folder:
        default = f"sqlite:///{Path(folder) / 'memory.db'}"
        asyncio.run(main(sys.argv[1] if sys.argv[1:] else default))
