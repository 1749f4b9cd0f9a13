{{- /* The pods of the Deployment or the StatefulSet. */ -}}

{{- /* One probe: (dict "root" $ "probe" .Values.livenessProbe "path" "/-/healthy") */ -}}
{{- define "sendgrid-automation-exporter.probe" -}}
{{- $root := .root }}
{{- if include "sendgrid-automation-exporter.clientCertificates" $root }}
exec:
  command:
    - /opt/exporter/bin/python
    - -I
    - /etc/sendgrid-automation-exporter/config/probe.py
    - https://localhost:{{ int $root.Values.containerPort }}{{ .path }}
    {{- if $root.Values.webConfig.probeCertificateSecret }}
    - --certificates=/etc/sendgrid-automation-exporter/probe-tls
    {{- else }}
    - --handshake
    {{- end }}
{{- else }}
httpGet:
  path: {{ .path }}
  port: http
  scheme: {{ include "sendgrid-automation-exporter.scheme" $root | upper }}
  {{- with $root.Values.probeHeaders }}
  httpHeaders:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{ toYaml (omit .probe "enabled") }}
{{- end }}

{{- define "sendgrid-automation-exporter.volumes" -}}
- name: config
{{- with include "sendgrid-automation-exporter.ownConfigSource" . }}
  projected:
    sources:
      - configMap:
          name: {{ include "sendgrid-automation-exporter.fullname" $ | quote }}
      - {{- . | trim | nindent 8 }}
{{- else }}
  configMap:
    name: {{ include "sendgrid-automation-exporter.fullname" . | quote }}
{{- end }}
{{- with include "sendgrid-automation-exporter.keySecret" . }}
- name: key
  secret:
    secretName: {{ . | quote }}
    items:
      - key: {{ ternary $.Values.sendgrid.existingSecret.key "api-key" (ne $.Values.sendgrid.existingSecret.name "") | quote }}
        path: api-key
{{- end }}
{{- with include "sendgrid-automation-exporter.webConfigSecret" . }}
- name: web
  secret:
    secretName: {{ . | quote }}
{{- end }}
{{- with .Values.webConfig.certificatesSecret }}
- name: tls
  secret:
    secretName: {{ . | quote }}
{{- end }}
{{- with .Values.webConfig.probeCertificateSecret }}
- name: probe-tls
  secret:
    secretName: {{ . | quote }}
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.volumeMounts" -}}
- name: config
  mountPath: /etc/sendgrid-automation-exporter/config
  readOnly: true
{{- if include "sendgrid-automation-exporter.keySecret" . }}
- name: key
  mountPath: /etc/sendgrid-automation-exporter/key
  readOnly: true
{{- end }}
{{- if include "sendgrid-automation-exporter.webConfigSecret" . }}
- name: web
  mountPath: /etc/sendgrid-automation-exporter/web
  readOnly: true
{{- end }}
{{- if .Values.webConfig.certificatesSecret }}
- name: tls
  mountPath: /etc/sendgrid-automation-exporter/tls
  readOnly: true
{{- end }}
{{- if .Values.webConfig.probeCertificateSecret }}
- name: probe-tls
  mountPath: /etc/sendgrid-automation-exporter/probe-tls
  readOnly: true
{{- end }}
{{- if .Values.persistence.enabled }}
- name: state
  mountPath: /var/lib/sendgrid-automation-exporter
{{- end }}
{{- end }}

{{- /* The state's volume, unless a StatefulSet makes a claim for each pod. */ -}}
{{- define "sendgrid-automation-exporter.stateVolume" -}}
{{- $state := .Values.persistence }}
{{- if and $state.enabled (eq $state.type "emptyDir") }}
- name: state
  emptyDir:
    {{- if $state.size }}
    sizeLimit: {{ $state.size | quote }}
    {{- else }} {}
    {{- end }}
{{- else if and $state.enabled (not (include "sendgrid-automation-exporter.sharded" .)) }}
- name: state
  persistentVolumeClaim:
    claimName: {{ default (include "sendgrid-automation-exporter.fullname" .) $state.existingClaim | quote }}
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.container" -}}
name: exporter
image: {{ include "sendgrid-automation-exporter.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  {{- include "sendgrid-automation-exporter.arguments" . | nindent 2 }}
{{- $environment := include "sendgrid-automation-exporter.environment" . }}
{{- if or $environment .Values.extraEnv }}
env:
  {{- with $environment }}
  {{- . | trim | nindent 2 }}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - name: http
    containerPort: {{ int .Values.containerPort }}
    protocol: TCP
{{- if .Values.startupProbe.enabled }}
startupProbe:
  {{- include "sendgrid-automation-exporter.probe" (dict "root" . "probe" .Values.startupProbe "path" "/-/healthy") | nindent 2 }}
{{- end }}
{{- if .Values.livenessProbe.enabled }}
livenessProbe:
  {{- include "sendgrid-automation-exporter.probe" (dict "root" . "probe" .Values.livenessProbe "path" "/-/healthy") | nindent 2 }}
{{- end }}
{{- if .Values.readinessProbe.enabled }}
readinessProbe:
  {{- include "sendgrid-automation-exporter.probe" (dict "root" . "probe" .Values.readinessProbe "path" "/-/ready") | nindent 2 }}
{{- end }}
{{- with .Values.lifecycle }}
lifecycle:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- include "sendgrid-automation-exporter.securityContext" (dict "root" . "context" .Values.securityContext) }}
{{- include "sendgrid-automation-exporter.resources" . }}
volumeMounts:
  {{- include "sendgrid-automation-exporter.volumeMounts" . | nindent 2 }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- /* Where the pods may run: shared with the pod of `helm test`. */ -}}
{{- define "sendgrid-automation-exporter.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "sendgrid-automation-exporter.podTemplate" -}}
metadata:
  labels:
    {{- toYaml (merge (include "sendgrid-automation-exporter.labels" . | fromYaml) .Values.podLabels .Values.commonLabels) | nindent 4 }}
  annotations:
    checksum/config: {{ include (print $.Template.BasePath "/configmap.yaml") . | sha256sum }}
    {{- with include (print $.Template.BasePath "/secret.yaml") . | trim }}
    checksum/secret: {{ . | sha256sum }}
    {{- end }}
    {{- with merge (dict) .Values.podAnnotations .Values.commonAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "sendgrid-automation-exporter.serviceAccountName" . | quote }}
  automountServiceAccountToken: {{ .Values.automountServiceAccountToken }}
  enableServiceLinks: false
  {{- include "sendgrid-automation-exporter.imagePullSecrets" . | nindent 2 }}
  {{- include "sendgrid-automation-exporter.securityContext" (dict "root" . "context" .Values.podSecurityContext) | nindent 2 }}
  {{- if not (kindIs "invalid" .Values.hostUsers) }}
  hostUsers: {{ .Values.hostUsers }}
  {{- end }}
  terminationGracePeriodSeconds: {{ int .Values.terminationGracePeriodSeconds }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- with .Values.runtimeClassName }}
  runtimeClassName: {{ . | quote }}
  {{- end }}
  {{- with .Values.hostAliases }}
  hostAliases:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.dnsPolicy }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- with .Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- include "sendgrid-automation-exporter.placement" . | nindent 2 }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    {{- $own := dict "labelSelector" (dict "matchLabels" (include "sendgrid-automation-exporter.selectorLabels" $ | fromYaml)) }}
    - {{- toYaml (merge (dict) . $own) | nindent 6 }}
    {{- end }}
  {{- end }}
  {{- with .Values.extraInitContainers }}
  initContainers:
    {{- include "sendgrid-automation-exporter.filledIn" (dict "root" $ "given" .) | fromJsonArray | toYaml | nindent 4 }}
  {{- end }}
  containers:
    - {{- include "sendgrid-automation-exporter.container" . | nindent 6 }}
    {{- with .Values.extraContainers }}
    {{- include "sendgrid-automation-exporter.filledIn" (dict "root" $ "given" .) | fromJsonArray | toYaml | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "sendgrid-automation-exporter.volumes" . | nindent 4 }}
    {{- include "sendgrid-automation-exporter.stateVolume" . | nindent 4 }}
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
