package cluster

import (
	"reflect"
	"sync"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	batchv1beta1 "k8s.io/api/batch/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"

	"stockade.dev/stockade/internal/collect/decode"
)

// protobufTypes are the kinds that are read as protobuf, by apiVersion and kind: those that clusters have many of. An API
// server spends half the CPU on protobuf that it spends on JSON, and sends two thirds of the bytes. Everything else,
// custom resources above all, is read as JSON.
var protobufTypes = map[[2]string]reflect.Type{
	{"v1", "Namespace"}:             reflect.TypeFor[corev1.Namespace](),
	{"v1", "Node"}:                  reflect.TypeFor[corev1.Node](),
	{"v1", "Pod"}:                   reflect.TypeFor[corev1.Pod](),
	{"v1", "PodTemplate"}:           reflect.TypeFor[corev1.PodTemplate](),
	{"v1", "ReplicationController"}: reflect.TypeFor[corev1.ReplicationController](),
	{"v1", "Service"}:               reflect.TypeFor[corev1.Service](),
	{"v1", "ServiceAccount"}:        reflect.TypeFor[corev1.ServiceAccount](),
	{"v1", "Secret"}:                reflect.TypeFor[corev1.Secret](),
	{"v1", "ConfigMap"}:             reflect.TypeFor[corev1.ConfigMap](),
	{"v1", "PersistentVolume"}:      reflect.TypeFor[corev1.PersistentVolume](),
	{"v1", "PersistentVolumeClaim"}: reflect.TypeFor[corev1.PersistentVolumeClaim](),
	{"v1", "ResourceQuota"}:         reflect.TypeFor[corev1.ResourceQuota](),
	{"v1", "LimitRange"}:            reflect.TypeFor[corev1.LimitRange](),

	{"apps/v1", "Deployment"}:                     reflect.TypeFor[appsv1.Deployment](),
	{"apps/v1", "StatefulSet"}:                    reflect.TypeFor[appsv1.StatefulSet](),
	{"apps/v1", "DaemonSet"}:                      reflect.TypeFor[appsv1.DaemonSet](),
	{"apps/v1", "ReplicaSet"}:                     reflect.TypeFor[appsv1.ReplicaSet](),
	{"batch/v1", "Job"}:                           reflect.TypeFor[batchv1.Job](),
	{"batch/v1", "CronJob"}:                       reflect.TypeFor[batchv1.CronJob](),
	{"batch/v1beta1", "CronJob"}:                  reflect.TypeFor[batchv1beta1.CronJob](),
	{"policy/v1", "PodDisruptionBudget"}:          reflect.TypeFor[policyv1.PodDisruptionBudget](),
	{"autoscaling/v2", "HorizontalPodAutoscaler"}: reflect.TypeFor[autoscalingv2.HorizontalPodAutoscaler](),

	{"networking.k8s.io/v1", "NetworkPolicy"}: reflect.TypeFor[networkingv1.NetworkPolicy](),
	{"networking.k8s.io/v1", "Ingress"}:       reflect.TypeFor[networkingv1.Ingress](),
	{"discovery.k8s.io/v1", "EndpointSlice"}:  reflect.TypeFor[discoveryv1.EndpointSlice](),
	{"storage.k8s.io/v1", "StorageClass"}:     reflect.TypeFor[storagev1.StorageClass](),

	{"rbac.authorization.k8s.io/v1", "Role"}:               reflect.TypeFor[rbacv1.Role](),
	{"rbac.authorization.k8s.io/v1", "ClusterRole"}:        reflect.TypeFor[rbacv1.ClusterRole](),
	{"rbac.authorization.k8s.io/v1", "RoleBinding"}:        reflect.TypeFor[rbacv1.RoleBinding](),
	{"rbac.authorization.k8s.io/v1", "ClusterRoleBinding"}: reflect.TypeFor[rbacv1.ClusterRoleBinding](),

	{"admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"}: reflect.TypeFor[admissionv1.ValidatingWebhookConfiguration](),
	{"admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"}:   reflect.TypeFor[admissionv1.MutatingWebhookConfiguration](),
}

// schemas are made at first use and kept: reading the tags of the Pod type takes about a millisecond.
var schemas sync.Map // of [2]string to *decode.Schema

// schema returns how a kind is decoded from protobuf; nil when it is read as JSON.
func schema(apiVersion, kind string) *decode.Schema {
	key := [2]string{apiVersion, kind}
	t, ok := protobufTypes[key]
	if !ok {
		return nil
	}
	if s, ok := schemas.Load(key); ok {
		return s.(*decode.Schema)
	}
	s, _ := schemas.LoadOrStore(key, decode.SchemaOf(t))
	return s.(*decode.Schema)
}
