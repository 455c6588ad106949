"""Move a memory: copy it, check the copy, keep an archive, put it back.

    python examples/coordination/migration.py [TARGET_URL]

From a SQLite file to TARGET_URL (another SQLite file, if none is given). The same from a shell:

    aqe memory copy sqlite:///old.db postgresql://localhost/aqe --checkpoint move.json
    aqe memory verify sqlite:///old.db postgresql://localhost/aqe
    aqe memory export backup.jsonl.gz --memory postgresql://localhost/aqe
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time

from lionagi_qe import open_memory
from lionagi_qe.persistence import transfer

FLEET = "migration-example"
ENTRIES = 20_000


async def main(source_url: str, target_url: str, folder: str) -> None:
    async with (
        open_memory(source_url, fleet=FLEET) as source,
        open_memory(target_url, fleet=FLEET) as target,
        open_memory("memory://") as scratch,
    ):
        for start in range(0, ENTRIES, 1_000):
            await source.store_many(
                {
                    f"aqe/runs/{number:06}": {"passed": number}
                    for number in range(start, start + 1_000)
                },
                ttl=3_600 if start % 2_000 else None,
            )

        plan = await transfer.copy(source, target, dry_run=True)
        print(f"would copy {plan.stored:,} entries, {plan.payload_bytes:,} bytes of values")

        began = time.perf_counter()
        # Killed on the way, the same call goes on from its checkpoint.
        done = await transfer.copy(source, target, checkpoint=f"{folder}/move.json")
        rate = done.stored / (time.perf_counter() - began)
        print(f"copied {done.stored:,} entries, {rate:,.0f}/s")

        found = await transfer.compare(source, target)
        print(f"equal: {found.equal}; digests {found.source} and {found.target}")

        path = f"{folder}/backup.jsonl.gz"
        await transfer.export(target, path)
        back = await transfer.restore(path, scratch)
        found = await transfer.compare(source, scratch)
        print(f"restored {back.stored:,} from the archive, equal: {found.equal}")
        await target.clear_partition("default", timeout=60)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as here:
        to = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{here}/new.db"
        asyncio.run(main(f"sqlite:///{here}/old.db", to, here))
