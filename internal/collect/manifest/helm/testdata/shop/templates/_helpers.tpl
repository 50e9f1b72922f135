{{- define "shop.labels" -}}
app: {{ .Chart.Name }}
release: {{ .Release.Name }}
{{- end -}}
{{- define "shop.broken" -}}
{{ .Values.missing.deep.value }}
{{- end -}}
