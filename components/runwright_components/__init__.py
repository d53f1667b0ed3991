"""The stages of a training run: collect, prepare, train, evaluate, package, register, deploy, and serve.

A stage is a package with one public function that reads folders, does one job and writes folders.
Stages meet only through `contract`; none of them knows Kubernetes objects, kfp or the TrainingRun.
"""
