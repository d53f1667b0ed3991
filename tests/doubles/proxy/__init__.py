"""A double of the network between a client and an API server: it passes everything on, until a test wants it otherwise.

It stands before the Kubernetes API server (TLS upstream, plain towards the client, credentials passed through) or
before Kubeflow Pipelines, and runs in a thread of the test's own process, so that a fault is a few lines of Python.

    calls     what was asked and answered; the journal that several proxies may share
    faults    what goes wrong: a process killed around a write, answers lost or altered, watch events dropped, ...
    server    the proxy itself
"""

from tests.doubles.proxy.calls import Call, Journal, Match
from tests.doubles.proxy.faults import Answer, Break, Fault
from tests.doubles.proxy.server import Proxy

__all__ = ["Answer", "Break", "Call", "Fault", "Journal", "Match", "Proxy"]
