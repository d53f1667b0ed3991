"""The first process of a node: `python init.py TMPFS BINDS VALUES READY` in new mount and PID namespaces.

It shows the node's folders where its programs look for them, then waits, and takes in the processes that lost their
parent. When it ends, the kernel ends every process of its PID namespace and forgets every mount, so that a tier which
is killed leaves no container behind. It uses the standard library alone and is run as a script.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path


def main(empty: list[str], binds: dict[str, str], values: dict[str, str], ready: Path) -> None:
    """`empty`: folders that begin empty, in memory; `binds`: what lies where; `values`: kernel settings that the node
    shall find as they are given here, while the machine's own stay as they are; `ready`: a file made in the end."""
    _mount("--make-rshared", "/")  # the kubelet shares the mounts of volumes with containers
    for folder in empty:
        _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)
    for source, target in binds.items():
        Path(target).mkdir(parents=True, exist_ok=True)
        _mount("--bind", source, target)
    shown = Path(empty[0], "settings")
    for number, (setting, value) in enumerate(values.items()):
        if Path(setting).read_text().strip() != value:
            shown.mkdir(exist_ok=True)
            (shown / str(number)).write_text(f"{value}\n")
            _mount("--bind", str(shown / str(number)), setting)
    for setting in ("ipv4/ip_forward", "bridge/bridge-nf-call-iptables"):  # of the network namespace alone
        Path("/proc/sys/net", setting).write_text("1\n")
    ready.touch()
    _reap()


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _reap() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        signal.sigtimedwait({signal.SIGCHLD}, 1.0)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


if __name__ == "__main__":
    tmpfs, binds_json, values_json, ready_path = sys.argv[1:]
    main(json.loads(tmpfs), json.loads(binds_json), json.loads(values_json), Path(ready_path))
