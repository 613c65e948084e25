{{- define "runner.fullname" -}}
{{- $chart := default .Chart.Name .Values.nameOverride -}}
{{- $prefixed := hasPrefix $chart .Release.Name -}}
{{- $name := ternary .Release.Name (printf "%s-%s" .Release.Name $chart) $prefixed -}}
{{- default $name .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "runner.labels" -}}
app: {{ include "runner.fullname" . }}
chart: {{ .Chart.Name }}-{{ .Chart.Version }}
heritage: {{ .Release.Service | quote }}
release: {{ .Release.Name | quote }}
{{- end }}

{{- define "runner.serviceAccount" -}}
{{- $generated := ternary (include "runner.fullname" .) "" (default false .Values.serviceAccount.create) -}}
{{- default $generated .Values.serviceAccount.name -}}
{{- end }}

{{- define "runner.image" -}}
{{- with .Values.image }}
{{- $path := list .registry .image | compact | join "/" }}
{{- tpl (printf "%s:%s" $path (default (print "alpine-v" $.Chart.AppVersion) .tag)) $ | quote }}
{{- end }}
{{- end }}

{{- /* Takes (list probe-values timeout). As in the official chart, 0 means the default. */ -}}
{{- define "runner.probeTimings" -}}
{{- with first . -}}
initialDelaySeconds: {{ default 60 .initialDelaySeconds }}
periodSeconds: {{ default 60 .periodSeconds }}
successThreshold: {{ default 1 .successThreshold }}
failureThreshold: {{ default 3 .failureThreshold }}
{{- with .terminationGracePeriodSeconds }}
terminationGracePeriodSeconds: {{ . }}
{{- end }}
{{- end }}
timeoutSeconds: {{ last . }}
{{- end }}
