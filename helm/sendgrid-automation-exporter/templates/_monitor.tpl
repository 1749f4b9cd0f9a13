{{- /* What ServiceMonitor and PodMonitor share: no gate on the cluster's APIs, for a render without a cluster would come out empty. */ -}}

{{- /* The endpoint: (dict "root" $ "monitor" .Values.serviceMonitor) */ -}}
{{- define "sendgrid-automation-exporter.endpoint" -}}
{{- $monitor := .monitor -}}
port: http
path: {{ default .root.Values.config.web.telemetry_path $monitor.path }}
scheme: {{ default (include "sendgrid-automation-exporter.scheme" .root) $monitor.scheme }}
honorLabels: {{ $monitor.honorLabels }}
{{- with $monitor.interval }}
interval: {{ . }}
{{- end }}
{{- with $monitor.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with $monitor.proxyUrl }}
proxyUrl: {{ . }}
{{- end }}
{{- range $key := list "tlsConfig" "basicAuth" "authorization" "relabelings" "metricRelabelings" }}
{{- with get $monitor $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The rest of the spec: (dict "root" $ "monitor" .Values.serviceMonitor) */ -}}
{{- define "sendgrid-automation-exporter.monitor" -}}
{{- $monitor := .monitor -}}
namespaceSelector:
  matchNames:
    - {{ include "sendgrid-automation-exporter.namespace" .root }}
jobLabel: {{ $monitor.jobLabel }}
{{- range $key := list "podTargetLabels" "scrapeProtocols" }}
{{- with get $monitor $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- range $key := list "sampleLimit" "labelLimit" "labelValueLengthLimit" }}
{{- with get $monitor $key }}
{{ $key }}: {{ int . }}
{{- end }}
{{- end }}
{{- with $monitor.fallbackScrapeProtocol }}
fallbackScrapeProtocol: {{ . }}
{{- end }}
{{- with $monitor.scrapeClass }}
scrapeClass: {{ . }}
{{- end }}
{{- end }}

{{- /* Labels and annotations of the user may be templates. */ -}}
{{- define "sendgrid-automation-exporter.monitorMetadata" -}}
{{- $labels := tpl (toYaml .monitor.labels) .root | fromYaml }}
{{- $annotations := tpl (toYaml .monitor.annotations) .root | fromYaml }}
{{- include "sendgrid-automation-exporter.metadata" (dict "root" .root "namespace" .monitor.namespace "labels" $labels "annotations" $annotations) }}
{{- end }}
