"""python -m tests.cluster.tier up | down | status | env [--name NAME]: a tier that stays until it is told to end."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.cluster.tier.cluster import refusal
from tests.cluster.tier.supervisor import Kept

USAGE = """\
A Kubernetes control plane runs, with 8 simulated GPU nodes, the training operator and KServe.
kubeconfig: {kubeconfig}
logs:       {logs}

    eval "$(python -m tests.cluster.tier env{name})"     # KUBECONFIG, kubectl and helm for this shell
    kubectl get nodes
    pytest tests/cluster                                 # uses this cluster instead of starting one

It ends with: {down}"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.tier", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "status", "env", "hold"))
    parser.add_argument("--name", default="default", help="several tiers can run side by side")
    given = parser.parse_args(arguments)
    kept = Kept(given.name)
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
        print(f'export KUBECONFIG="{kept.kubeconfig}" RUNWRIGHT_TEST_KUBECONFIG="{kept.kubeconfig}"')
        print(f'export PATH="{kept.tools}:$PATH" NO_PROXY="10.99.0.0/24${{NO_PROXY:+,$NO_PROXY}}"')
    else:
        alive = {name: pid if Path(f"/proc/{pid}").exists() else None for name, pid in state["processes"].items()}
        print(json.dumps({**state, "processes": alive}, indent=1))
    return 0


def _up(kept: Kept) -> int:
    if reason := refusal():
        print(reason, file=sys.stderr)
        return 1
    try:
        state = kept.up()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    name = "" if kept.name == "default" else f" --name {kept.name}"
    down = f"python -m tests.cluster.tier down{name}" if name else "make cluster-down"
    print(USAGE.format(kubeconfig=kept.kubeconfig, logs=state["logs"], name=name, down=down))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
