{{- /* The exporter's configuration: a file that the chart writes, or one that the user keeps in a Secret or ConfigMap of their own. */ -}}

{{- /* The object that holds the user's own file, as a source of a projected volume; empty where the chart writes the file. */ -}}
{{- define "sendgrid-automation-exporter.ownConfigSource" -}}
{{- range $kind, $source := dict "secret" .Values.config.existingSecret "configMap" .Values.config.existingConfigMap }}
{{- if $source.name }}
{{ $kind }}:
  name: {{ $source.name | quote }}
  items:
    - key: {{ $source.key | quote }}
      path: exporter.yaml
{{- end }}
{{- end }}
{{- end }}

{{- /* What the chart itself decides, by the exporter's groups. */ -}}
{{- define "sendgrid-automation-exporter.decided" -}}
{{- $web := dict "listen_address" (printf ":%d" (int .Values.containerPort)) }}
{{- if include "sendgrid-automation-exporter.webConfigSecret" . }}
{{- $_ := set $web "config_file" (printf "/etc/sendgrid-automation-exporter/web/%s" (include "sendgrid-automation-exporter.webConfigKey" .)) }}
{{- end }}
{{- $decided := dict "web" (merge $web .Values.config.web) }}
{{- if include "sendgrid-automation-exporter.keySecret" . }}
{{- $_ := set $decided "sendgrid" (dict "api_key_file" "/etc/sendgrid-automation-exporter/key/api-key") }}
{{- end }}
{{- if .Values.persistence.enabled }}
{{- $_ := set $decided "state" (dict "path" "/var/lib/sendgrid-automation-exporter/state.sqlite") }}
{{- end }}
{{- toYaml $decided }}
{{- end }}

{{- /* The file that the chart writes. Lists of thousands of automations pass through here: nothing is done for each of them. */ -}}
{{- define "sendgrid-automation-exporter.configuration" -}}
{{- $given := omit .Values.config "automations" "existingSecret" "existingConfigMap" }}
{{- $config := include "sendgrid-automation-exporter.withoutNulls" $given | fromYaml }}
{{- if include "sendgrid-automation-exporter.proxyHasPassword" . }}
{{- $_ := unset $config.sendgrid "proxy" }}
{{- end }}
{{- $config = merge (include "sendgrid-automation-exporter.decided" . | fromYaml) $config }}
{{- with .Values.config.automations }}
{{- $_ := set $config "automations" . }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{- /* Arguments of the exporter. The shards' number stands here and not in the file, since the pods see a changed file at once
       and a changed argument only when the rollout reaches them: after a rollout that failed, a restarted pod is still one of
       as many as run. */ -}}
{{- define "sendgrid-automation-exporter.arguments" -}}
- --config.file=/etc/sendgrid-automation-exporter/config/exporter.yaml
{{- if include "sendgrid-automation-exporter.ownConfigSource" . }}
{{- range $group, $settings := include "sendgrid-automation-exporter.decided" . | fromYaml }}
{{- range $key, $value := $settings }}
- {{ printf "--%s.%s=%v" $group ($key | replace "_" "-") $value | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- if include "sendgrid-automation-exporter.sharded" . }}
- --shard.index=pod
- --shard.total={{ int .Values.sharding.total }}
{{- end }}
{{- if .Values.demo }}
- --demo
{{- end }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Environment of the exporter that the chart sets, as a list. */ -}}
{{- define "sendgrid-automation-exporter.environment" -}}
{{- if include "sendgrid-automation-exporter.sharded" . }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end }}
{{- if include "sendgrid-automation-exporter.proxyHasPassword" . }}
- name: EXPORTER_SENDGRID__PROXY
  valueFrom:
    secretKeyRef:
      name: {{ include "sendgrid-automation-exporter.proxySecret" . | quote }}
      key: proxy
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.proxyHasPassword" -}}
{{- if contains "@" (default "" .Values.config.sendgrid.proxy) }}true{{ end }}
{{- end }}

{{- define "sendgrid-automation-exporter.proxySecret" -}}
{{- printf "%s-proxy" (include "sendgrid-automation-exporter.fullname" .) }}
{{- end }}

{{- /* The port of a URL without a path, as a number. */ -}}
{{- define "sendgrid-automation-exporter.port" -}}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" (trimSuffix "/" (trim .))) }}
{{- default (hasPrefix "http://" (lower .) | ternary "80" "443") $port }}
{{- end }}

{{- /* The TCP ports that a network policy opens to the outside, as {ports: […]}: those given, and that of the proxy or, without
       one, of another base URL, wherever the values say it. A proxy that only a Secret names is not seen. */ -}}
{{- define "sendgrid-automation-exporter.egressPorts" -}}
{{- $reached := dict "base_url" (default "" .Values.config.sendgrid.base_url) "proxy" (default "" .Values.config.sendgrid.proxy) }}
{{- range .Values.extraEnv }}
{{- $key := trimPrefix "EXPORTER_SENDGRID__" (upper .name) | lower }}
{{- if and (hasKey $reached $key) (ne $key (lower .name)) .value }}{{ $_ := set $reached $key .value }}{{ end }}
{{- end }}
{{- range $key, $flag := dict "base_url" "--sendgrid[.]base[-_]url[= ]" "proxy" "--sendgrid[.]proxy[= ]" }}
{{- with regexFind (print $flag "[^ ]+") (join " " $.Values.extraArgs) }}
{{- $_ := set $reached $key (regexReplaceAll $flag . "") }}
{{- end }}
{{- end }}
{{- $ports := .Values.networkPolicy.egress.ports }}
{{- with default $reached.base_url $reached.proxy }}
{{- $ports = append $ports (include "sendgrid-automation-exporter.port" . | int) }}
{{- end }}
{{- $numbers := list }}
{{- range $ports }}{{ $numbers = append $numbers (int .) }}{{ end }}
{{- dict "ports" ($numbers | uniq) | toYaml }}
{{- end }}
