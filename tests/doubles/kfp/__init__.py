"""A double of the Kubeflow Pipelines API server, version 2.17: a process of its own that keeps runs and executes them.

    python -m tests.doubles.kfp --state FOLDER [--port 0] [--kubeconfig FILE] ...

It stands in for a server that no package registry has. What it answers, refuses and leaves out follows the server's
source and what was measured on a real one; `tests/contract` holds it against the models of kfp-server-api, against the
operator's client, and, where one is given, runs the same tests against a real server.

    server      routes, from requests to answers       executor        walks a run's tasks
    answers     the JSON of runs and experiments       graph           the pipeline's tasks and what goes in; pure
    listing     filters, sorting, pages; pure          attempts        the seam: how an attempt at a task runs
    faults      what goes wrong on the way             process_runner  as a process, by `steps`
    store       what is kept on disk                   simulated       or as one that computes nothing
    scripts     how simulated steps and pods behave    pod_runner      as a pod, made by `pods` (pure)
    workers     a training's pods, by annotations      launcher        the program in that pod
    cluster     the Kubernetes API, for the double     artifact_store  what launchers have written down
"""
