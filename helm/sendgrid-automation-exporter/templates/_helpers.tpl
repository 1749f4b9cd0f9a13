{{- /* Names, labels and the small decisions that several templates share. */ -}}

{{- /* Every template begins with this. Helm deletes a key that the user sets to null; what then is missing gets the chart's
       default back, so that a section written without content renders as if it were left out. Only in the maps that are
       passed on as they are, null takes a default away. */ -}}
{{- define "sendgrid-automation-exporter.prepare" -}}
{{- /* All templates of a render share one map of values: the first fills it. */ -}}
{{- if not (hasKey .Values "prepared") }}
{{- include "sendgrid-automation-exporter.fill" (dict "values" .Values "defaults" (.Files.Get "files/defaults.yaml" | fromYaml)) }}
{{- $_ := set .Values "prepared" true }}
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.fill" -}}
{{- $passedOn := list "podSecurityContext" "securityContext" "resources" "instanceSelector" }}
{{- range $key, $default := .defaults }}
{{- $value := index $.values $key }}
{{- if kindIs "invalid" $value }}
{{- $_ := set $.values $key $default }}
{{- else if and (kindIs "map" $default) (not (has $key $passedOn)) }}
{{- include "sendgrid-automation-exporter.fill" (dict "values" $value "defaults" $default) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The text as a DNS label of at most 52 characters, which leave room in 63 for a pod's number and a revision's hash.
       Kubernetes before 1.36 wants a letter at the beginning of a Service's name. What had to be changed gets a hash of the
       text, so that two texts never become one name. */ -}}
{{- define "sendgrid-automation-exporter.dnsLabel" -}}
{{- if and (le (len .) 52) (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" .) }}
{{- . }}
{{- else }}
{{- $clean := regexReplaceAll "[^a-z0-9]+" (lower .) "-" | trimAll "-" }}
{{- $begun := regexMatch "^[a-z]" $clean | ternary $clean (printf "x-%s" $clean) }}
{{- printf "%s-%s" ($begun | trunc 43 | trimSuffix "-") (sha256sum . | trunc 8) }}
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- include "sendgrid-automation-exporter.dnsLabel" (default $full .Values.fullnameOverride) }}
{{- end }}

{{- define "sendgrid-automation-exporter.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- /* Selectors cannot be changed in place, so they hold nothing that a value can change. */ -}}
{{- define "sendgrid-automation-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- /* The label by which the ServiceMonitor finds the Service: Argo CD rewrites app.kubernetes.io/instance on every object. */ -}}
{{- define "sendgrid-automation-exporter.serviceLabels" -}}
sendgrid-automation-exporter/service: {{ include "sendgrid-automation-exporter.fullname" . | quote }}
{{- end }}

{{- define "sendgrid-automation-exporter.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" | quote }}
{{ include "sendgrid-automation-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
app.kubernetes.io/part-of: {{ .Chart.Name | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
{{- end }}

{{- /* metadata: (dict "root" $ "name" … "namespace" … "labels" (dict) "annotations" (dict)). An object in a namespace that is not
       the release's carries the release's in its name, after a dot, which no namespace holds: a release of the same name in
       another namespace may put its own beside it. */ -}}
{{- define "sendgrid-automation-exporter.metadata" -}}
{{- $home := include "sendgrid-automation-exporter.namespace" .root }}
{{- $own := merge (include "sendgrid-automation-exporter.labels" .root | fromYaml) .root.Values.commonLabels }}
{{- $annotations := merge (dict) (default (dict) .annotations) .root.Values.commonAnnotations -}}
name: {{ include "sendgrid-automation-exporter.objectName" . | quote }}
namespace: {{ default $home .namespace | quote }}
labels:
  {{- toYaml (merge (dict) (default (dict) .labels) $own) | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.objectName" -}}
{{- $home := include "sendgrid-automation-exporter.namespace" .root }}
{{- $name := default (include "sendgrid-automation-exporter.fullname" .root) .name }}
{{- eq $home (default $home .namespace) | ternary $name (printf "%s.%s" $name $home) }}
{{- end }}

{{- /* Whether this release carries the rules and dashboards: the one that sharedResources.release names, or any. */ -}}
{{- define "sendgrid-automation-exporter.carriesShared" -}}
{{- $carrier := .Values.sharedResources.release }}
{{- if has $carrier (list "" .Release.Name (printf "%s/%s" .Release.Namespace .Release.Name)) }}true{{ end }}
{{- end }}

{{- /* What the user gave with every text in it filled in as a template, as JSON. Each is filled in by itself, so that it stays text
       where it comes out like a number. */ -}}
{{- define "sendgrid-automation-exporter.filledIn" -}}
{{- $root := .root }}
{{- if kindIs "string" .given }}
{{- tpl .given $root | toJson }}
{{- else if kindIs "slice" .given }}
{{- $items := list }}
{{- range .given }}
{{- $items = append $items (include "sendgrid-automation-exporter.filledIn" (dict "root" $root "given" .)) }}
{{- end }}
{{- printf "[%s]" (join "," $items) }}
{{- else if kindIs "map" .given }}
{{- $pairs := list }}
{{- range $key, $value := .given }}
{{- $pairs = append $pairs (printf "%s:%s" (tpl $key $root | toJson) (include "sendgrid-automation-exporter.filledIn" (dict "root" $root "given" $value))) }}
{{- end }}
{{- printf "{%s}" (join "," $pairs) }}
{{- else }}
{{- toJson .given }}
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
{{- if .Values.demo }}
{{- else if .Values.sendgrid.existingSecret.name }}
{{- .Values.sendgrid.existingSecret.name }}
{{- else if .Values.sendgrid.apiKey }}
{{- include "sendgrid-automation-exporter.fullname" . }}
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

{{- /* A map without its nulls, at any depth of maps: null takes a default away. */ -}}
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

{{- /* A security context as the pods get it: nothing while it is switched off, and no user ids where the platform chooses them. */ -}}
{{- define "sendgrid-automation-exporter.securityContext" -}}
{{- $context := .context }}
{{- if $context.enabled }}
{{- $chosenByPlatform := .root.Values.openshift | ternary (list "enabled" "runAsUser" "runAsGroup" "fsGroup" "supplementalGroups") (list "enabled") }}
{{- range $key := $chosenByPlatform }}{{ $context = omit $context $key }}{{ end }}
{{- with include "sendgrid-automation-exporter.withoutNulls" $context | fromYaml }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- /* A quantity written as "" or null takes a default away; a parent chart can only do the former under helm 4. */ -}}
{{- define "sendgrid-automation-exporter.resources" -}}
{{- $kept := dict }}
{{- range $key, $value := .Values.resources }}
{{- if kindIs "map" $value }}
{{- $quantities := dict }}
{{- range $name, $quantity := $value }}
{{- if not (or (kindIs "invalid" $quantity) (eq (toString $quantity) "")) }}{{ $_ := set $quantities $name $quantity }}{{ end }}
{{- end }}
{{- with $quantities }}{{ $_ := set $kept $key . }}{{ end }}
{{- else if $value }}
{{- $_ := set $kept $key $value }}
{{- end }}
{{- end }}
{{- with $kept }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
