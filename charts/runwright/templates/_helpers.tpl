{{- define "runwright.operator" -}}
{{ .Values.name }}-operator
{{- end }}

{{- define "runwright.labels" -}}
app.kubernetes.io/name: {{ .Values.name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* The labels of the operator's pods: a Deployment's selector never changes, so no version is among them. */}}
{{- define "runwright.selector" -}}
app.kubernetes.io/name: {{ .Values.name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- /* An image by digest, or by tag: the chart's application version where none is given. */}}
{{- define "runwright.image" -}}
{{- with .image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.version }}{{ end }}
{{- end }}
{{- end }}

{{- /* Another of our images, from where that of the steps lies and with its tag. */}}
{{- define "runwright.beside" -}}
{{- $top := index . 0 -}}
{{- with $top.Values.run.image -}}
{{ dir .repository }}/{{ index $ 1 }}:{{ .tag | default $top.Chart.AppVersion }}
{{- end }}
{{- end }}

{{- /* The namespaces with a ServiceAccount for steps, as a JSON list, each once. */}}
{{- define "runwright.runNamespaces" -}}
{{ concat .Values.namespaces .Values.runNamespaces | uniq | sortAlpha | toJson }}
{{- end }}

{{- /* Which namespaces a policy binding reaches. */}}
{{- define "runwright.matchResources" -}}
{{- with .Values.namespaces }}
matchResources:
  namespaceSelector:
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: In
        values: {{ toJson . }}
{{- end }}
{{- end }}
