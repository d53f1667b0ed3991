"""`make demo`: a table goes in, a model that answers comes out, and one real prediction is printed.

Runs the two commands that a user would type, in the folder of the example, and asks the server over HTTP.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

EXAMPLE = Path(__file__).parent / "birdstrikes"
RUNWRIGHT = Path(sys.executable).with_name("runwright")
START_SECONDS = 60.0


def main() -> int:
    say("runwright run run.yaml")
    done = subprocess.run([RUNWRIGHT, "run", "run.yaml"], cwd=EXAMPLE, check=False)
    if done.returncode:
        return done.returncode

    say("runwright serve birdstrikes")
    server = subprocess.Popen(
        [RUNWRIGHT, "serve", "birdstrikes", "--port", "0"], cwd=EXAMPLE, stdout=subprocess.PIPE, text=True
    )
    try:
        url = address(server)
        row = json.loads((EXAMPLE / ".runwright/birdstrikes/serving/signature.json").read_text())["example"]
        say(f"POST {url}")
        print(json.dumps({"instances": [row]}, indent=2, ensure_ascii=False))
        request = urllib.request.Request(
            url, json.dumps({"instances": [row]}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:
            prediction = json.load(answer)["predictions"][0]
    finally:
        server.terminate()
        server.wait(timeout=30)
    say("the model's answer: was the aircraft damaged?")
    print(json.dumps(prediction, indent=2))
    return 0


def address(server: subprocess.Popen[str]) -> str:
    """The prediction URL that the server prints once it is ready."""
    assert server.stdout is not None
    for line in server.stdout:
        if found := re.search(r"http://\S+:predict", line):
            return found.group()
    raise SystemExit(f"the server ended with exit code {server.wait()} before it was ready")


def say(text: str) -> None:
    print(f"\n\033[1m$ {text}\033[0m" if sys.stdout.isatty() else f"\n$ {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
