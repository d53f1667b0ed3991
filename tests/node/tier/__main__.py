"""up | down | status | env [--name NAME]: a node tier that stays until it is told to end."""

from __future__ import annotations

import sys

from tests.cluster.tier.__main__ import main
from tests.node.tier.supervisor import KeptNode

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], KeptNode))
