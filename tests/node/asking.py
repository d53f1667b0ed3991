"""A client of a model: `python -m tests.node.asking URL ROWS [--until-told]`, run where Services answer.

Without the flag it asks once and prints the answer. With it, it asks again and again, by a connection that it keeps and
by new ones in turn, until SIGTERM, and prints how often it asked and what failed.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType

import httpx

PAUSE = 0.05


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.node.asking", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("rows", type=Path, help="JSON: the rows of a V1 request")
    parser.add_argument("--until-told", action="store_true")
    given = parser.parse_args()
    body = json.dumps({"instances": json.loads(given.rows.read_text())})
    with httpx.Client(trust_env=False, timeout=30) as client:
        if given.until_told:
            print(json.dumps(_until_told(client, given.url, body)))
            return 0
        answer = client.post(given.url, content=body)
        print(answer.text)
        return 0 if answer.status_code == 200 else 1


def _until_told(client: httpx.Client, url: str, body: str) -> dict[str, object]:
    told: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        told.append(number)

    signal.signal(signal.SIGTERM, stop)
    print("asking", flush=True)
    answers: Counter[str] = Counter()
    failures: list[str] = []
    while not told:
        try:
            if answers.total() % 2:
                with httpx.Client(trust_env=False, timeout=30) as fresh:
                    answer = fresh.post(url, content=body)
            else:
                answer = client.post(url, content=body)
            answers[str(answer.status_code)] += 1
            if answer.status_code != 200:
                failures.append(f"{answer.status_code}: {answer.text[:200]}")
        except httpx.HTTPError as error:
            answers[type(error).__name__] += 1
            failures.append(f"{time.strftime('%H:%M:%S')} {type(error).__name__}: {error}")
        time.sleep(PAUSE)
    return {"asked": answers.total(), "answers": dict(answers), "failures": failures[:20]}


if __name__ == "__main__":
    sys.exit(main())
