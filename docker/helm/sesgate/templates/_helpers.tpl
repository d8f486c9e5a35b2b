{{- define "sesgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "sesgate.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "sesgate.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "sesgate.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "sesgate.selector" -}}
app.kubernetes.io/name: {{ include "sesgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sesgate.labels" -}}
{{ include "sesgate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "sesgate.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "sesgate.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "sesgate.hostname" -}}
{{- default (printf "%s.%s.svc" (include "sesgate.fullname" .) .Release.Namespace) .Values.hostname }}
{{- end }}

{{- define "sesgate.passwordsSecret" -}}
{{- default (printf "%s-passwords" (include "sesgate.fullname" .)) .Values.passwords.existingSecret }}
{{- end }}

{{/* The names of the listeners that are on, each with a comma behind it. */}}
{{- define "sesgate.listeners" -}}
{{- if not (or .Values.listeners.smtp.enabled .Values.listeners.smtps.enabled) }}
{{- fail "listeners: at least one must be enabled" }}
{{- end }}
{{- range $name := list "smtp" "smtps" }}
{{- if (get $.Values.listeners $name).enabled }}{{ $name }},{{ end }}
{{- end }}
{{- end }}

{{- define "sesgate.config" -}}
# Made by the chart. The users are in the environment of the Deployment.
[server]
hostname = {{ include "sesgate.hostname" . | quote }}
drain_seconds = {{ int .Values.drainSeconds }}

[account]
id = {{ .Values.account.id | quote }}
region = {{ .Values.account.region | quote }}
partition = {{ .Values.account.partition | quote }}

[identities]
source = {{ .Values.identities.source | quote }}

[upstream]
kind = {{ .Values.upstream.kind | quote }}
{{- if eq .Values.upstream.kind "outbox" }}
directory = "/var/lib/sesgate/outbox"
{{- end }}
{{- with .Values.upstream.endpointUrl }}
endpoint_url = {{ . | quote }}
{{- end }}
{{ range $name := splitList "," (include "sesgate.listeners" . | trimSuffix ",") }}
{{- $listener := get $.Values.listeners $name }}
[[listeners]]
address = "0.0.0.0:{{ int $listener.port }}"
tls = {{ $listener.tls | quote }}
{{- if and $.Values.tls.secretName (ne $listener.tls "off") }}
certificate = "tls/tls.crt"
key = "tls/tls.key"
{{- end }}
{{- with $listener.proxyProtocol }}
proxy_protocol = {{ toJson . }}
{{- end }}
{{- with $listener.clients }}
clients = [
{{- range . }}
  { network = {{ .network | quote }}, user = {{ .user | quote }} },
{{- end }}
]
{{- end }}
{{ end }}
# Not on loopback: the kubelet and Prometheus ask from outside the pod.
[admin]
address = "0.0.0.0:{{ int .Values.admin.port }}"
{{- with .Values.extraConfig }}

{{ trim . }}
{{- end }}
{{ end }}
