{{/* The name of the chart, as a label. */}}
{{- define "oubliette.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the objects: the release's, with the chart's where it does not say it. */}}
{{- define "oubliette.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "oubliette.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The name of the ServiceAccount. */}}
{{- define "oubliette.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "oubliette.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name the ServiceAccount, since the chart does not make one" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The user that the API server sees behind the ServiceAccount. */}}
{{- define "oubliette.user" -}}
{{- printf "system:serviceaccount:%s:%s" .Release.Namespace (include "oubliette.serviceAccountName" .) -}}
{{- end -}}

{{/* What a selector may look at: never changes within a release. */}}
{{- define "oubliette.selectorLabels" -}}
app.kubernetes.io/name: {{ include "oubliette.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The labels of every object. */}}
{{- define "oubliette.labels" -}}
{{ include "oubliette.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: oubliette
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The same, with some of one's own beside them: these replace none, which a selector may need. */}}
{{- define "oubliette.labelsWith" -}}
{{- $own := index . 1 -}}
{{- merge (include "oubliette.labels" (index . 0) | fromYaml) $own | toYaml -}}
{{- end -}}

{{/* The image, by digest where one is given. */}}
{{- define "oubliette.image" -}}
{{- $repository := required "image.repository: name an image of Oubliette, none is published yet" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}
