{{- /* Refuse what could only fail later, with a sentence. */ -}}
{{- define "sendgrid-automation-exporter.validate" -}}
{{- include "sendgrid-automation-exporter.validateKey" . }}
{{- include "sendgrid-automation-exporter.validateConfig" . }}
{{- include "sendgrid-automation-exporter.validateWeb" . }}
{{- include "sendgrid-automation-exporter.validateCluster" . }}
{{- include "sendgrid-automation-exporter.validateUpgrade" . }}
{{- end }}

{{- define "sendgrid-automation-exporter.validateKey" -}}
{{- $values := .Values }}
{{- $secret := $values.sendgrid.existingSecret.name }}
{{- /* A configuration file in a Secret may hold the key itself. */ -}}
{{- if not (or $values.demo $secret $values.sendgrid.apiKey $values.config.existingSecret.name) }}
{{- fail "no SendGrid key: set sendgrid.existingSecret.name to a Secret that holds it, or sendgrid.apiKey to the key itself, or demo=true to try without one" }}
{{- end }}
{{- if and $secret $values.sendgrid.apiKey }}
{{- fail "two SendGrid keys: set either sendgrid.existingSecret.name or sendgrid.apiKey, not both" }}
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.validateConfig" -}}
{{- $values := .Values }}
{{- if and $values.config.existingSecret.name $values.config.existingConfigMap.name }}
{{- fail "two configurations: set either config.existingSecret.name or config.existingConfigMap.name, not both" }}
{{- end }}
{{- if include "sendgrid-automation-exporter.ownConfigSource" . }}
{{- $ignored := omit $values.config "existingSecret" "existingConfigMap" "web" }}
{{- range $group, $settings := $ignored }}
{{- if kindIs "map" $settings }}{{ $settings = include "sendgrid-automation-exporter.withoutNulls" $settings | fromYaml }}{{ end }}
{{- if $settings }}
{{- fail (printf "config.%s has no effect beside config.existingSecret or config.existingConfigMap: write it into that file, which is the whole configuration but for config.web" $group) }}
{{- end }}
{{- end }}
{{- else }}
{{- include "sendgrid-automation-exporter.validateAutomations" . }}
{{- include "sendgrid-automation-exporter.validateDurations" . }}
{{- end }}
{{- $taken := list }}
{{- range include "sendgrid-automation-exporter.environment" . | fromYamlArray }}{{ $taken = append $taken .name }}{{ end }}
{{- range $values.extraEnv }}
{{- if has .name $taken }}
{{- fail (printf "extraEnv: the chart itself sets %s; take it out of extraEnv, or the value that the chart makes it from" .name) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.validateAutomations" -}}
{{- $values := .Values }}
{{- $fromEnvironment := $values.extraEnvFrom }}
{{- range $values.extraEnv }}
{{- if has .name (list "EXPORTER_AUTOMATIONS" "EXPORTER_DISCOVERY__MODE") }}{{ $fromEnvironment = true }}{{ end }}
{{- end }}
{{- $found := eq (toString (dig "discovery" "mode" "" $values.config)) "poll" }}
{{- if not (or $values.demo $values.config.automations $fromEnvironment $found) }}
{{- fail "no automations: list them under config.automations, such as config.automations[0].id=<uuid>, poll all of the account by config.discovery.mode=poll, or set demo=true to try without" }}
{{- end }}
{{- $ids := dict }}
{{- range $values.config.automations }}
{{- $id := lower .id }}
{{- /* The address of an automation's page stands for the id in it, as the exporter reads it. */ -}}
{{- if ne (len $id) 36 }}
{{- $uuid := "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}" }}
{{- $id = regexFind $uuid (default $id (regexFind (print "/automations?/" $uuid) $id)) }}
{{- end }}
{{- if hasKey $ids $id }}
{{- fail (printf "config.automations: the id %s is listed twice" .id) }}
{{- end }}
{{- $_ := set $ids $id true }}
{{- end }}
{{- $size := include "sendgrid-automation-exporter.configuration" . | len }}
{{- if gt $size 1000000 }}
{{- fail (printf "config.automations: %d automations make a configuration of %d bytes, and a ConfigMap holds 1 MiB: keep the file in an object of your own (config.existingConfigMap), with ids alone, or share the automations among several releases" (len $values.config.automations) $size) }}
{{- end }}
{{- end }}

{{- /* A duration in seconds; numbers are seconds already. */ -}}
{{- define "sendgrid-automation-exporter.seconds" -}}
{{- $units := dict "w" 604800 "d" 86400 "h" 3600 "m" 60 "s" 1 "ms" 0.001 "" 1 }}
{{- $seconds := 0.0 }}
{{- if kindIs "string" . }}
{{- range regexFindAll "[0-9.]+(ms|[wdhms])?" . -1 }}
{{- $seconds = addf $seconds (mulf (regexFind "[0-9.]+" . | float64) (get $units (regexFind "[a-z]*$" .) | float64)) }}
{{- end }}
{{- else }}
{{- $seconds = float64 . }}
{{- end }}
{{- $seconds }}
{{- end }}

{{- /* (dict "name" … "value" … "least" … "most" … "bounds" …): the bounds are the exporter's own, which no schema can say of text. */ -}}
{{- define "sendgrid-automation-exporter.validateDuration" -}}
{{- if not (kindIs "invalid" .value) }}
{{- $seconds := include "sendgrid-automation-exporter.seconds" .value | float64 }}
{{- if or (lt $seconds (float64 .least)) (gt $seconds (float64 .most)) }}
{{- fail (printf "%s: %s is out of bounds: %s" .name (kindIs "string" .value | ternary .value (toJson .value)) .bounds) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.validateDurations" -}}
{{- $config := .Values.config }}
{{- $near := or .Values.demo (regexMatch "^(?i)https?://(localhost|127\\.[0-9.]+|\\[::1\\])(:[0-9]+)?/?$" (default "" $config.sendgrid.base_url)) }}
{{- $bounds := dict "least" ($near | ternary 1 10) "most" 2592000 "bounds" ($near | ternary "1s to 30d" "10s to 30d") }}
{{- include "sendgrid-automation-exporter.validateDuration" (dict "name" "config.sendgrid.timeout" "value" $config.sendgrid.timeout "least" 0.1 "most" 300 "bounds" "100ms to 5m") }}
{{- range tuple "poll" "discovery" "statistics" }}
{{- include "sendgrid-automation-exporter.validateDuration" (merge (dict "name" (printf "config.%s.interval" .) "value" (get $config .).interval) $bounds) }}
{{- end }}
{{- include "sendgrid-automation-exporter.validateDuration" (dict "name" "config.poll.idle_after" "value" $config.poll.idle_after "least" 1 "most" 31104000 "bounds" "1s to 360d") }}
{{- include "sendgrid-automation-exporter.validateDuration" (dict "name" "config.poll.idle_interval" "value" $config.poll.idle_interval "least" 0.001 "most" 2592000 "bounds" "1ms to 30d") }}
{{- $interval := include "sendgrid-automation-exporter.seconds" (kindIs "invalid" $config.poll.interval | ternary 300 $config.poll.interval) | float64 }}
{{- $longest := empty $config.automations | ternary $interval 0.0 }}
{{- range $index, $automation := $config.automations }}
{{- $own := $interval }}
{{- if not (kindIs "invalid" .interval) }}
{{- include "sendgrid-automation-exporter.validateDuration" (merge (dict "name" (printf "config.automations[%d].interval" $index) "value" .interval) $bounds) }}
{{- $own = include "sendgrid-automation-exporter.seconds" .interval | float64 }}
{{- end }}
{{- $longest = maxf $longest $own }}
{{- end }}
{{- include "sendgrid-automation-exporter.validateDuration" (dict "name" "config.poll.stale_after" "value" $config.poll.stale_after "least" $longest "most" 31104000 "bounds" "the longest interval to 360d") }}
{{- end }}

{{- define "sendgrid-automation-exporter.validateWeb" -}}
{{- $values := .Values }}
{{- if and $values.webConfig.content $values.webConfig.existingSecret.name }}
{{- fail "two web configurations: set either webConfig.content or webConfig.existingSecret.name, not both" }}
{{- end }}
{{- if and (include "sendgrid-automation-exporter.tls" .) (not (include "sendgrid-automation-exporter.webConfigSecret" .)) }}
{{- fail "webConfig.tls is true but there is no web configuration: set webConfig.existingSecret.name or webConfig.content" }}
{{- end }}
{{- if and (include "sendgrid-automation-exporter.clientCertificates" .) (not (include "sendgrid-automation-exporter.tls" .)) }}
{{- fail "webConfig.clientCertificates is true but webConfig.tls is not: client certificates need TLS" }}
{{- end }}
{{- $exec := include "sendgrid-automation-exporter.clientCertificates" . }}
{{- $probes := or $values.livenessProbe.enabled $values.readinessProbe.enabled $values.startupProbe.enabled }}
{{- if and $probes (not $values.config.web.open_health) (not $values.probeHeaders) (not $exec) }}
{{- fail "config.web.open_health is false, but the kubelet's probes send no password: give them one by probeHeaders, or leave open_health true" }}
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.validateCluster" -}}
{{- $values := .Values }}
{{- if gt (int $values.replicaCount) 1 }}
{{- fail "replicaCount may be 0 or 1, as every replica would poll SendGrid for everything: set sharding.total to spread the automations over several pods" }}
{{- end }}
{{- if and $values.persistence.existingClaim (include "sendgrid-automation-exporter.sharded" .) }}
{{- fail "persistence.existingClaim cannot serve several shards: leave it empty, and every shard gets a claim of its own" }}
{{- end }}
{{- $monitors := list }}
{{- range $name := list "serviceMonitor" "podMonitor" "scrapeConfig" }}
{{- if get (get $values $name) "enabled" }}{{ $monitors = append $monitors $name }}{{ end }}
{{- end }}
{{- if gt (len $monitors) 1 }}
{{- fail (printf "%s would scrape every pod twice: enable one of them" (join " and " $monitors)) }}
{{- end }}
{{- if and $values.httpRoute.enabled (not $values.httpRoute.parentRefs) }}
{{- fail "httpRoute.enabled is true but no Gateway takes the route: name it under httpRoute.parentRefs" }}
{{- end }}
{{- end }}

{{- /* A quantity of storage in bytes, to compare two. */ -}}
{{- define "sendgrid-automation-exporter.bytes" -}}
{{- $units := dict "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 }}
{{- mulf (regexFind "^[0-9.]+([eE][0-9]+$)?" . | float64) (get $units (regexFind "[kMGTPE]?i?$" . )) }}
{{- end }}

{{- /* Upgrades that the API server would refuse with "field is immutable", as far as a cluster is asked (helm upgrade, not
       helm template): refused with the commands that do them. README's table of transitions lists them. */ -}}
{{- define "sendgrid-automation-exporter.validateUpgrade" -}}
{{- if .Release.IsUpgrade }}
{{- $about := dict "root" . "namespace" (include "sendgrid-automation-exporter.namespace" .) "name" (include "sendgrid-automation-exporter.fullname" .) }}
{{- if include "sendgrid-automation-exporter.sharded" . }}
{{- include "sendgrid-automation-exporter.validateShards" $about }}
{{- else if eq (include "sendgrid-automation-exporter.makesClaim" .) "true" }}
{{- include "sendgrid-automation-exporter.validateClaim" $about }}
{{- end }}
{{- include "sendgrid-automation-exporter.validateService" $about }}
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.validateShards" -}}
{{- with lookup "apps/v1" "StatefulSet" .namespace .name }}
{{- $found := list }}
{{- range .spec.volumeClaimTemplates }}
{{- $spec := dict "accessModes" .spec.accessModes "resources" .spec.resources }}
{{- if hasKey .spec "storageClassName" }}{{ $_ := set $spec "storageClassName" .spec.storageClassName }}{{ end }}
{{- $metadata := dict "name" .metadata.name }}
{{- with .metadata.annotations }}{{ $_ := set $metadata "annotations" . }}{{ end }}
{{- $found = append $found (dict "metadata" $metadata "spec" $spec) }}
{{- end }}
{{- if ne (include "sendgrid-automation-exporter.claimTemplates" $.root | fromYamlArray | toJson) (toJson $found) }}
{{- fail (printf "persistence: the claims of a StatefulSet cannot be changed in place. Delete it and upgrade again; its claims stay:\n  kubectl --namespace %s delete statefulset %s\nA claim that is there keeps its size and class. To enlarge it: kubectl --namespace %s patch persistentvolumeclaim state-%s-0 --patch '{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"<size>\"}}}}'. For another class or a smaller size delete it too; that shard begins without last values" $.namespace $.name $.namespace $.name) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.validateClaim" -}}
{{- with lookup "v1" "PersistentVolumeClaim" .namespace .name }}
{{- $wanted := include "sendgrid-automation-exporter.claim" $.root.Values.persistence | fromYaml }}
{{- $has := include "sendgrid-automation-exporter.bytes" .spec.resources.requests.storage | float64 }}
{{- $wants := include "sendgrid-automation-exporter.bytes" $wanted.resources.requests.storage | float64 }}
{{- $otherClass := and (hasKey $wanted "storageClassName") (ne $wanted.storageClassName (default "" .spec.storageClassName)) }}
{{- if or (lt $wants $has) $otherClass (ne (toJson $wanted.accessModes) (toJson .spec.accessModes)) }}
{{- fail (printf "persistence: a claim cannot shrink, nor change its class or access modes. Delete it with the Deployment and upgrade again; the exporter begins without last values:\n  kubectl --namespace %s delete deployment %s\n  kubectl --namespace %s delete persistentvolumeclaim %s" $.namespace $.name $.namespace $.name) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.validateService" -}}
{{- $wanted := $.root.Values.service }}
{{- with lookup "v1" "Service" .namespace .name }}
{{- $families := $wanted.ipDualStack.enabled | ternary $wanted.ipDualStack.ipFamilies (list) }}
{{- $otherFamily := and $families .spec.ipFamilies (ne (first $families) (first (append (default (list) .spec.ipFamilies) ""))) }}
{{- $balances := and (eq $wanted.type "LoadBalancer") (eq .spec.type "LoadBalancer") }}
{{- if or $otherFamily (and $balances (ne $wanted.loadBalancerClass (default "" .spec.loadBalancerClass))) }}
{{- fail (printf "service: the first address family and the class of a load balancer cannot be changed in place. Delete the Service and upgrade again; it gets another address:\n  kubectl --namespace %s delete service %s" $.namespace $.name) }}
{{- end }}
{{- end }}
{{- end }}
