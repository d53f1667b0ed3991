{{- /* The operator's settings. Each name is a field of runwright_operator.settings; a test compares them. */}}
{{- define "runwright.environment" -}}
{{- $settings := dict
  "NAMESPACES" (join "," .Values.namespaces)
  "WORKERS" .Values.workers
  "RELIST_SECONDS" .Values.relistSeconds
  "LEASE_DURATION_SECONDS" .Values.lease.durationSeconds
  "LEASE_RENEW_SECONDS" .Values.lease.renewSeconds
  "LEASE_RETRY_SECONDS" .Values.lease.retrySeconds
  "LEASE_NAME" (include "runwright.operator" .)
  "PIPELINES_ENDPOINT" .Values.pipelines.endpoint
  "PIPELINES_TIMEOUT_SECONDS" .Values.pipelines.timeoutSeconds
  "PIPELINES_PAGE" .Values.pipelines.page
  "PIPELINES_MULTI_USER" (ternary "true" "" .Values.pipelines.multiUser)
  "PIPELINES_TOKEN_FILE" (ternary "/var/run/secrets/pipelines/token" "" .Values.pipelines.multiUser)
  "PIPELINES_CA_FILE" (ternary "/etc/runwright/pipelines/ca.crt" "" (or .Values.pipelines.ca.configMap .Values.pipelines.ca.secret | empty | not))
  "COMPONENTS_IMAGE" (include "runwright.image" (dict "image" .Values.run.image "version" .Chart.AppVersion))
  "TRAIN_IMAGE" .Values.run.train.image
  "TRAIN_GPU_IMAGE" (.Values.run.train.gpuImage | default (ternary "" (include "runwright.beside" (list . "train-cuda")) (not (empty .Values.run.train.image))))
  "TRAIN_CPU" .Values.run.train.cpu
  "TRAIN_MEMORY" .Values.run.train.memory
  "SERVE_IMAGE" (.Values.run.serve.image | default (include "runwright.beside" (list . "serve")))
  "SERVE_CPU" .Values.run.serve.cpu
  "SERVE_MEMORY" .Values.run.serve.memory
  "RUN_SERVICE_ACCOUNT" .Values.run.serviceAccount
  "SOURCES_ALLOWED" (join "," .Values.run.sources.allowed)
  "OPENLINEAGE_URL" .Values.run.openlineage.url
  "OPENLINEAGE_SECRET" .Values.run.openlineage.secret
  "STORAGE_URI" .Values.storage.uri
  "STORAGE_ENDPOINT" .Values.storage.endpoint
  "STORAGE_REGION" .Values.storage.region
  "STORAGE_SECRET" .Values.storage.secret
  "LOG_LEVEL" .Values.log.level
-}}
- name: RUNWRIGHT_POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: RUNWRIGHT_POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- range $name := keys $settings | sortAlpha }}
{{- with get $settings $name }}
- name: RUNWRIGHT_{{ $name }}
  value: {{ quote . }}
{{- end }}
{{- end }}
{{- end }}
