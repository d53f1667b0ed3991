"""up | down | status | env [--name NAME]: a tier that stays until it is told to end."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.cluster.tier.supervisor import Kept


def main(arguments: list[str], kind: type[Kept] = Kept) -> int:
    parser = argparse.ArgumentParser(prog=f"python -m {kind.module}", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "status", "env", "hold"))
    parser.add_argument("--name", default=kind.default, help="several tiers can run side by side")
    given = parser.parse_args(arguments)
    kept = kind(given.name)
    if given.command == "hold":
        kept.hold()
    elif given.command == "up":
        return _up(kept)
    elif given.command == "down":
        print("the tier ended" if kept.down() else "no tier runs")
    elif (state := kept.state()) is None:
        print("no tier runs", file=sys.stderr)
        return 1
    elif given.command == "env":
        print("export", *(f'{name}="{value}"' for name, value in kept.environment().items()))
        print(f'export PATH="{kept.tools}:$PATH" NO_PROXY="10.99.0.0/24${{NO_PROXY:+,$NO_PROXY}}"')
    else:
        alive = {name: pid if Path(f"/proc/{pid}").exists() else None for name, pid in state["processes"].items()}
        print(json.dumps({**state, "processes": alive}, indent=1))
    return 0


def _up(kept: Kept) -> int:
    if reason := kept.tier.refusal():
        print(reason, file=sys.stderr)
        return 1
    try:
        state = kept.up()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    name = "" if kept.name == kept.default else f" --name {kept.name}"
    down = f"python -m {kept.module} down{name}" if name else f"make {kept.make}-down"
    print(kept.usage.format(kubeconfig=kept.kubeconfig, logs=state["logs"], name=name, down=down))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
