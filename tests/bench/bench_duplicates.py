"""Near duplicates of texts: time, and recall against the exact answer.

    python tests/bench/bench_duplicates.py --documents 100000

Documents are 60 to 160 words drawn by Zipf's law. A tenth of them repeat an earlier one with a share of the words
replaced, so that the similarity of their 3-word shingles lies around 0.8 (and on both sides of it). The truth is the
exact Jaccard similarity of each such pair. A pair counts as found when both texts end in one cluster. Prints JSON:
seconds, documents a second, peak memory, pairs at 0.8 and more, recall, and how much of what is dropped is no copy.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import numpy as np
import polars as pl

from runwright_components.prepare.clusters import joined
from runwright_components.prepare.minhash import Shingling, pairs

WORDS = 50_000
SIMILARITY = 0.8


def documents(count: int, seed: int = 0) -> tuple[pl.Series, np.ndarray]:
    """The texts, and the pairs [P, 2] of (original, copy)."""
    random = np.random.default_rng(seed)
    words = np.array([f"w{number:x}" for number in range(WORDS)])
    ranks = 1 / np.arange(1, WORDS + 1)
    ladder = np.cumsum(ranks / ranks.sum())
    numbers: list[np.ndarray] = []
    copies = []
    for row in range(count):
        if row and random.random() < 0.1:
            origin = int(random.integers(row))
            text = numbers[origin].copy()
            changed = random.random(len(text)) < random.uniform(0.0, 0.12)
            text[changed] = random.integers(0, WORDS, int(changed.sum()))
            copies.append((origin, row))
        else:
            text = np.searchsorted(ladder, random.random(random.integers(60, 161))).astype(np.int32)
        numbers.append(np.minimum(text, WORDS - 1).astype(np.int32))
    return pl.Series([" ".join(words[text]) for text in numbers]), np.array(copies).reshape(-1, 2)


def jaccard(one: str, other: str) -> float:
    sets = [set(zip(*(text.split()[start:] for start in range(3)), strict=False)) for text in (one, other)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    count = parser.parse_args().documents
    texts, copies = documents(count)
    exact = np.array([jaccard(texts[int(one)], texts[int(other)]) for one, other in copies])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    found = pairs(texts, SIMILARITY, Shingling())
    first = joined(count, found)
    seconds = time.perf_counter() - start
    alike = copies[exact >= SIMILARITY]
    recall = float((first[alike[:, 0]] == first[alike[:, 1]]).mean())
    wrong = [pair for pair in found[:20_000].tolist() if jaccard(texts[pair[0]], texts[pair[1]]) < SIMILARITY]
    print(
        json.dumps(
            {
                "documents": count,
                "seconds": round(seconds, 2),
                "documents_per_second": round(count / seconds),
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                "peak_before_mib": before // 1024,
                "pairs_at_0.8": len(alike),
                "recall": round(recall, 4),
                "found_pairs": len(found),
                "found_below_0.8": len(wrong),
                "dropped": int((first != np.arange(count)).sum()),
            }
        )
    )


if __name__ == "__main__":
    main()
