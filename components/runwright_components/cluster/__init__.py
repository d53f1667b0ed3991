"""What runs in the pipeline's steps, and in the pods that they start, in a cluster.

`manifests` builds objects and reads their status; it is pure and light, and the operator imports it. The other modules
talk to the Kubernetes API and to storage. The ServiceAccount of the steps needs these rights in the run's namespace,
and no others; pods of a training and of a service need none:

| API group            | resource          | verbs                      | who                                 |
|----------------------|-------------------|----------------------------|-------------------------------------|
| runwright.dev        | trainingruns      | get                        | the fence of every job, and deploy  |
| "" (core)            | configmaps        | get, create, patch         | every stage keeps its record        |
| kubeflow.org         | pytorchjobs       | get, create, patch, delete | train                               |
|                      |                   | list                       | train, where trials are jobs        |
| trainer.kubeflow.org | trainjobs         | get, create, patch, delete | train, with backend trainjob        |
| trainer.kubeflow.org | trainingruntimes  | create, patch              | train, with backend trainjob        |
| jobset.x-k8s.io      | jobsets           | get, delete                | train, with backend trainjob        |
| ray.io               | rayjobs           | get, create, patch, delete | train, with backend rayjob, and     |
|                      |                   |                            | prepare, with engine ray            |
| sparkoperator.k8s.io | sparkapplications | get, create, patch, delete | prepare, with engine spark          |
| serving.kserve.io    | inferenceservices | get, create, patch         | deploy                              |
| "" (core)            | pods              | get, list                  | who makes pods: why they wait       |
| "" (core)            | events            | list                       | who makes a job: why it has no pods |

(`create` beside `patch`: server-side apply of an object that does not exist yet needs both.)
"""
