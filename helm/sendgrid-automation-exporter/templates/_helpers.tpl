{{- /* Names, labels and the small decisions that several templates share. */ -}}

{{- define "sendgrid-automation-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* 52 characters leave room for a pod's number and a revision's hash in names and labels of 63. */ -}}
{{- define "sendgrid-automation-exporter.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- default $full .Values.fullnameOverride | replace "." "-" | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "sendgrid-automation-exporter.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "sendgrid-automation-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "sendgrid-automation-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "sendgrid-automation-exporter.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "sendgrid-automation-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: {{ .Chart.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* metadata: (dict "root" $ "name" … "namespace" … "labels" (dict) "annotations" (dict)) */ -}}
{{- define "sendgrid-automation-exporter.metadata" -}}
{{- $own := merge (include "sendgrid-automation-exporter.labels" .root | fromYaml) .root.Values.commonLabels }}
{{- $annotations := merge (dict) (default (dict) .annotations) .root.Values.commonAnnotations -}}
name: {{ default (include "sendgrid-automation-exporter.fullname" .root) .name }}
namespace: {{ default (include "sendgrid-automation-exporter.namespace" .root) .namespace }}
labels:
  {{- toYaml (merge (dict) (default (dict) .labels) $own) | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.serviceAccountName" -}}
{{- default (ternary (include "sendgrid-automation-exporter.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "sendgrid-automation-exporter.image" -}}
{{- $image := .Values.image }}
{{- $registry := default $image.registry (.Values.global).imageRegistry }}
{{- $name := ternary (printf "%s/%s" $registry $image.repository) $image.repository (ne (default "" $registry) "") }}
{{- if $image.digest }}
{{- printf "%s@%s" $name $image.digest }}
{{- else }}
{{- printf "%s:%s" $name (default .Chart.AppVersion $image.tag) }}
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.imagePullSecrets" -}}
{{- $secrets := list }}
{{- range concat (default (list) (.Values.global).imagePullSecrets) .Values.imagePullSecrets }}
{{- $secrets = append $secrets (ternary (dict "name" .) . (kindIs "string" .)) }}
{{- end }}
{{- with $secrets | uniq }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.sharded" -}}
{{- if gt (int .Values.sharding.total) 1 }}true{{ end }}
{{- end }}

{{- /* What the web configuration asks for: as declared, else as its inline content says. */ -}}
{{- define "sendgrid-automation-exporter.tls" -}}
{{- $declared := .Values.webConfig.tls }}
{{- if ternary (hasKey .Values.webConfig.content "tls_server_config") $declared (kindIs "invalid" $declared) }}true{{ end }}
{{- end }}

{{- define "sendgrid-automation-exporter.clientCertificates" -}}
{{- $declared := .Values.webConfig.clientCertificates }}
{{- $server := default (dict) (get .Values.webConfig.content "tls_server_config") }}
{{- $asked := has (get $server "client_auth_type") (list "RequireAnyClientCert" "RequireAndVerifyClientCert") }}
{{- if ternary $asked $declared (kindIs "invalid" $declared) }}true{{ end }}
{{- end }}

{{- define "sendgrid-automation-exporter.scheme" -}}
{{- ternary "https" "http" (eq (include "sendgrid-automation-exporter.tls" .) "true") }}
{{- end }}

{{- /* The Secrets, by the name under which they are mounted; empty where there is none. */ -}}
{{- define "sendgrid-automation-exporter.keySecret" -}}
{{- if not .Values.demo }}
{{- default (include "sendgrid-automation-exporter.fullname" .) .Values.sendgrid.existingSecret.name }}
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.webConfigSecret" -}}
{{- if .Values.webConfig.existingSecret.name }}
{{- .Values.webConfig.existingSecret.name }}
{{- else if .Values.webConfig.content }}
{{- printf "%s-web" (include "sendgrid-automation-exporter.fullname" .) }}
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.webConfigKey" -}}
{{- ternary .Values.webConfig.existingSecret.key "web-config.yml" (ne .Values.webConfig.existingSecret.name "") }}
{{- end }}

{{- /* A map without its nulls, one level of maps and lists of maps deep: null means the exporter's own default. */ -}}
{{- define "sendgrid-automation-exporter.withoutNulls" -}}
{{- $kept := dict }}
{{- range $key, $value := . }}
{{- if kindIs "map" $value }}
{{- with include "sendgrid-automation-exporter.withoutNulls" $value | fromYaml }}
{{- $_ := set $kept $key . }}
{{- end }}
{{- else if not (kindIs "invalid" $value) }}
{{- $_ := set $kept $key $value }}
{{- end }}
{{- end }}
{{- toYaml $kept }}
{{- end }}

{{- /* The exporter's configuration file. */ -}}
{{- define "sendgrid-automation-exporter.configuration" -}}
{{- $config := include "sendgrid-automation-exporter.withoutNulls" .Values.config | fromYaml }}
{{- $web := dict "listen_address" (printf ":%d" (int .Values.containerPort)) }}
{{- if include "sendgrid-automation-exporter.webConfigSecret" . }}
{{- $_ := set $web "config_file" (printf "/etc/sendgrid-automation-exporter/web/%s" (include "sendgrid-automation-exporter.webConfigKey" .)) }}
{{- end }}
{{- $_ := set $config "web" (merge $web (default (dict) $config.web)) }}
{{- if not .Values.demo }}
{{- $key := dict "api_key_file" "/etc/sendgrid-automation-exporter/key/api-key" }}
{{- $_ := set $config "sendgrid" (merge $key (default (dict) $config.sendgrid)) }}
{{- end }}
{{- if .Values.persistence.enabled }}
{{- $_ := set $config "state" (dict "path" "/var/lib/sendgrid-automation-exporter/state.sqlite") }}
{{- end }}
{{- if include "sendgrid-automation-exporter.sharded" . }}
{{- $_ := set $config "shard" (dict "index" "pod" "total" (int .Values.sharding.total)) }}
{{- end }}
{{- $automations := list }}
{{- range $config.automations }}
{{- $automations = append $automations (include "sendgrid-automation-exporter.withoutNulls" . | fromYaml) }}
{{- end }}
{{- if $automations }}
{{- $_ := set $config "automations" $automations }}
{{- else }}
{{- $_ := unset $config "automations" }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- /* Refuse what could only fail later, with a sentence. */ -}}
{{- define "sendgrid-automation-exporter.validate" -}}
{{- $values := .Values }}
{{- $secret := $values.sendgrid.existingSecret.name }}
{{- if and (not $values.demo) (not $secret) (not $values.sendgrid.apiKey) }}
{{- fail "no SendGrid key: set sendgrid.existingSecret.name to a Secret that holds it, or sendgrid.apiKey to the key itself, or demo=true to try without one" }}
{{- end }}
{{- if and $secret $values.sendgrid.apiKey }}
{{- fail "two SendGrid keys: set either sendgrid.existingSecret.name or sendgrid.apiKey, not both" }}
{{- end }}
{{- $fromEnvironment := $values.extraEnvFrom }}
{{- range $values.extraEnv }}
{{- if eq .name "EXPORTER_AUTOMATIONS" }}{{ $fromEnvironment = true }}{{ end }}
{{- end }}
{{- if not (or $values.demo $values.config.automations $fromEnvironment) }}
{{- fail "no automations: list them under config.automations, such as config.automations[0].id=<uuid>, or set demo=true to try without" }}
{{- end }}
{{- $ids := list }}
{{- range $values.config.automations }}
{{- if has (lower .id) $ids }}
{{- fail (printf "config.automations: the id %s is listed twice" .id) }}
{{- end }}
{{- $ids = append $ids (lower .id) }}
{{- end }}
{{- if gt (int $values.replicaCount) 1 }}
{{- fail "replicaCount may be 0 or 1, as every replica would poll SendGrid for everything: set sharding.total to spread the automations over several pods" }}
{{- end }}
{{- if and $values.webConfig.content $values.webConfig.existingSecret.name }}
{{- fail "two web configurations: set either webConfig.content or webConfig.existingSecret.name, not both" }}
{{- end }}
{{- if and (include "sendgrid-automation-exporter.tls" .) (not (include "sendgrid-automation-exporter.webConfigSecret" .)) }}
{{- fail "webConfig.tls is true but there is no web configuration: set webConfig.existingSecret.name or webConfig.content" }}
{{- end }}
{{- if and (include "sendgrid-automation-exporter.clientCertificates" .) (not (include "sendgrid-automation-exporter.tls" .)) }}
{{- fail "webConfig.clientCertificates is true but webConfig.tls is not: client certificates need TLS" }}
{{- end }}
{{- if and $values.persistence.existingClaim (include "sendgrid-automation-exporter.sharded" .) }}
{{- fail "persistence.existingClaim cannot serve several shards: leave it empty, and every shard gets a claim of its own" }}
{{- end }}
{{- if and $values.serviceMonitor.enabled $values.podMonitor.enabled }}
{{- fail "serviceMonitor and podMonitor would scrape every pod twice: enable one of them" }}
{{- end }}
{{- $exec := include "sendgrid-automation-exporter.clientCertificates" . }}
{{- $probes := or $values.livenessProbe.enabled $values.readinessProbe.enabled $values.startupProbe.enabled }}
{{- if and $probes (not $values.config.web.open_health) (not $values.probeHeaders) (not $exec) }}
{{- fail "config.web.open_health is false, but the kubelet's probes send no password: give them one by probeHeaders, or leave open_health true" }}
{{- end }}
{{- end }}
