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
{{- with .Values.serviceAccount -}}
{{- if .name }}{{ .name }}{{ else if .create }}{{ include "runner.fullname" $ }}{{ end -}}
{{- end -}}
{{- end }}

{{- define "runner.image" -}}
{{- with .Values.image }}
{{- $path := list .registry .image | compact | join "/" }}
{{- tpl (printf "%s:%s" $path (default (print "alpine-v" $.Chart.AppVersion) .tag)) $ | quote }}
{{- end }}
{{- end }}

{{- /* Takes (list timings timeout). As in the official chart, 0 stands for the default. */ -}}
{{- define "runner.probeTimings" -}}
{{- $timings := first . -}}
initialDelaySeconds: {{ default 60 $timings.initialDelaySeconds }}
periodSeconds: {{ default 60 $timings.periodSeconds }}
timeoutSeconds: {{ last . }}
successThreshold: {{ default 1 $timings.successThreshold }}
failureThreshold: {{ default 3 $timings.failureThreshold }}
{{- with $timings.terminationGracePeriodSeconds }}
terminationGracePeriodSeconds: {{ . }}
{{- end }}
{{- end }}
