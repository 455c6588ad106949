"""How well recall finds what is meant: ``make recall-quality``.

On a small labelled set, written by hand for this: lessons of testers, and queries in their words or
in others. By words alone, by vectors of a small static model that a wheel ships, and by both.
"""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wordllama

from lionagi_qe import open_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from lionagi_qe.persistence import Recalled

TOP = 10
DIMS = 256
DATA = json.loads(Path(__file__).with_name("lessons.json").read_text(encoding="utf-8"))
# What is looked for in which index, and which of its rankings counts.
WAYS: dict[str, tuple[str, Callable[[Recalled], float]]] = {
    "words": ("words", lambda each: each.score),
    "vectors": ("both", lambda each: each.vector.score if each.vector else 0.0),
    "both, fused": ("both", lambda each: each.score),
}


def embedding() -> Callable[[list[str]], list[list[float]]]:
    """Return the model's function; its files lie in the wheel, so nothing is fetched."""
    folder = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    return lambda texts: model.embed(texts).tolist()


def ndcg(found: list[str], relevant: list[str]) -> float:
    """Return the normalized discounted cumulative gain of the first ten, each relevant one 1."""
    gain = sum(1 / math.log2(at + 2) for at, key in enumerate(found[:TOP]) if key in relevant)
    return gain / sum(1 / math.log2(at + 2) for at in range(min(TOP, len(relevant))))


async def main() -> None:
    """Print the table."""
    print("| queries | by | recall@10 | nDCG@10 |\n|---|---|---|---|")
    async with open_memory("memory://") as memory:
        await memory.store_many(
            {f"aqe/lessons/{name}": text for name, text in DATA["lessons"].items()}
        )
        await memory.index("words", "aqe/lessons/*")
        await memory.index(
            "both", "aqe/lessons/*", embed=embedding(), dims=DIMS, model="wordllama l2_supercat_256"
        )
        for kind in ("words", "meaning"):
            queries: list[dict[str, Any]] = [q for q in DATA["queries"] if q["kind"] == kind]
            for way, (index, by) in WAYS.items():
                recalls: list[float] = []
                gains: list[float] = []
                for query in queries:
                    hits = await memory.recall(query["text"], index=index, limit=50)
                    best = sorted(hits, key=by, reverse=True)[:TOP]
                    found = [each.key.rpartition("/")[2] for each in best]
                    wanted = query["relevant"]
                    recalls.append(len({*found} & {*wanted}) / len(wanted))
                    gains.append(ndcg(found, wanted))
                print(
                    f"| {len(queries)} in {'their' if kind == 'words' else 'other'} words | {way} "
                    f"| {sum(recalls) / len(recalls):.2f} | {sum(gains) / len(gains):.2f} |"
                )


if __name__ == "__main__":
    asyncio.run(main())
