"""A double of the Kubeflow Pipelines API server, version 2.17: a process of its own that keeps runs and executes them.

    python -m tests.doubles.kfp --state FOLDER [--port 0] [--kubeconfig FILE] ...

It stands in for a server that no package registry has. What it answers, refuses and leaves out follows the server's
source and what was measured on a real one; `tests/contract` holds it against the models of kfp-server-api, against the
operator's client, and, where one is given, runs the same tests against a real server.

    server      routes, from requests to answers      executor   walks a run's tasks
    answers     the JSON of runs and experiments      graph      the pipeline's tasks and what goes into them; pure
    listing     filters, sorting, pages; pure         steps      a step's process
    faults      what goes wrong on the way            simulated  steps that compute nothing
    store       what is kept on disk                  workers    the pods of a training, driven by annotations
    scripts     how simulated steps and pods behave   cluster    the Kubernetes API, for the double itself
"""
