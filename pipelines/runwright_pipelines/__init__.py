"""A TrainingRun spec compiled to a Kubeflow pipeline, and the runner for one machine.

`compiling.compile` makes the pipeline, `local.run` runs it. Modules are imported where they are used: kfp takes half
a second.
"""
