{{- /* What the operator may do in a namespace with TrainingRuns. It has no right to Secrets at all: a pod that names a
missing one says so itself. */}}
{{- define "runwright.operatorRules" -}}
- apiGroups: [runwright.dev]
  resources: [trainingruns]
  verbs: [get, list, watch, patch]
- apiGroups: [runwright.dev]
  resources: [trainingruns/status]
  verbs: [patch]
- apiGroups: [kubeflow.org]
  resources: [pytorchjobs]
  verbs: [list, watch, delete]
- apiGroups: [serving.kserve.io]
  resources: [inferenceservices]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [list, watch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- if .Values.pipelines.multiUser }}
# Not objects of Kubernetes: KFP asks the API server whether the operator may do this in the namespace of a run.
- apiGroups: [pipelines.kubeflow.org]
  resources: [experiments]
  verbs: [create, get, list]
- apiGroups: [pipelines.kubeflow.org]
  resources: [runs]
  verbs: [archive, create, get, list, terminate]
{{- end }}
{{- end }}

{{- /* What a pipeline step may do in its namespace. */}}
{{- define "runwright.runRules" -}}
- apiGroups: [runwright.dev]
  resources: [trainingruns]
  verbs: [get]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create, patch]
- apiGroups: [kubeflow.org]
  resources: [pytorchjobs]
  verbs: [get, create, patch, delete]
- apiGroups: [serving.kserve.io]
  resources: [inferenceservices]
  verbs: [get, create, patch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list]
- apiGroups: [""]
  resources: [events]
  verbs: [list]
# Argo's part of a step reports its outputs in this object.
- apiGroups: [argoproj.io]
  resources: [workflowtaskresults]
  verbs: [create, patch]
{{- with .Values.pipelines.objectStoreSecret }}
# KFP's part of a step reads the credentials of the artifact store from this one Secret.
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ . }}]
  verbs: [get]
{{- end }}
{{- end }}
