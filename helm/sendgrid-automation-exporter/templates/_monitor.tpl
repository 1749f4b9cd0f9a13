{{- /* What the objects that lead Prometheus here share: no gate on the cluster's APIs, for a render without a cluster would come out empty. */ -}}

{{- /* The keys of a monitor that were given: (dict "monitor" .Values.serviceMonitor "keys" (list …) "into" (dict)). Zero is no limit, and false is
       something that was said. */ -}}
{{- define "sendgrid-automation-exporter.given" -}}
{{- $given := .into }}
{{- range $key := .keys }}
{{- $value := index $.monitor $key }}
{{- if or (kindIs "bool" $value) $value }}{{ $_ := set $given $key $value }}{{ end }}
{{- end }}
{{- toYaml $given }}
{{- end }}

{{- /* The endpoint: (dict "root" $ "monitor" .Values.serviceMonitor "job" …), where a job is given its label is set. */ -}}
{{- define "sendgrid-automation-exporter.endpoint" -}}
{{- $monitor := .monitor }}
{{- $path := default .root.Values.config.web.telemetry_path $monitor.path }}
{{- $scheme := default (include "sendgrid-automation-exporter.scheme" .root) $monitor.scheme }}
{{- $relabelings := $monitor.relabelings }}
{{- with .job }}
{{- $relabelings = prepend $relabelings (dict "targetLabel" "job" "replacement" .) }}
{{- end }}
{{- $into := dict "port" "http" "path" $path "scheme" $scheme }}
{{- with $relabelings }}{{ $_ := set $into "relabelings" . }}{{ end }}
{{- $keys := list "interval" "scrapeTimeout" "honorLabels" "honorTimestamps" "trackTimestampsStaleness" "params" "tlsConfig" "basicAuth" "authorization" "oauth2" "enableHttp2" "followRedirects" "filterRunning" "proxyUrl" "noProxy" "proxyFromEnvironment" "proxyConnectHeader" "metricRelabelings" }}
{{- include "sendgrid-automation-exporter.given" (dict "monitor" $monitor "keys" $keys "into" $into) }}
{{- end }}

{{- /* The rest of the spec: (dict "root" $ "monitor" .Values.serviceMonitor "keys" (list of those of this kind alone)) */ -}}
{{- define "sendgrid-automation-exporter.monitor" -}}
{{- $into := dict "namespaceSelector" (dict "matchNames" (list (include "sendgrid-automation-exporter.namespace" .root))) }}
{{- $keys := list "jobLabel" "podTargetLabels" "attachMetadata" "selectorMechanism" "scrapeProtocols" "fallbackScrapeProtocol" "scrapeClass" "scrapeClassicHistograms" "scrapeNativeHistograms" "convertClassicHistogramsToNHCB" "nativeHistogramBucketLimit" "nativeHistogramMinBucketFactor" "bodySizeLimit" "sampleLimit" "targetLimit" "labelLimit" "labelNameLengthLimit" "labelValueLengthLimit" "keepDroppedTargets" }}
{{- include "sendgrid-automation-exporter.given" (dict "monitor" .monitor "keys" (concat $keys .keys) "into" $into) }}
{{- end }}

{{- /* Labels and annotations of the user may be templates. */ -}}
{{- define "sendgrid-automation-exporter.monitorMetadata" -}}
{{- $labels := include "sendgrid-automation-exporter.filledIn" (dict "root" .root "given" .monitor.labels) | fromJson }}
{{- if .root.Values.releaseLabel }}
{{- $labels = merge $labels (dict "release" .root.Release.Name) }}
{{- end }}
{{- $annotations := include "sendgrid-automation-exporter.filledIn" (dict "root" .root "given" .monitor.annotations) | fromJson }}
{{- include "sendgrid-automation-exporter.metadata" (dict "root" .root "namespace" .monitor.namespace "labels" $labels "annotations" $annotations) }}
{{- end }}
