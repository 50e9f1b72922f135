package reach

import (
	"slices"
	"strings"

	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/selector"
)

// Exposure kinds.
const (
	ViaLoadBalancer = "LoadBalancer"
	ViaNodePort     = "NodePort"
	ViaExternalIP   = "externalIPs"
	ViaIngress      = "Ingress"
	ViaGateway      = "Gateway" // Gateway API, OpenShift, Istio and Traefik routes
	ViaHostPort     = "hostPort"
	ViaHostNetwork  = "hostNetwork"
)

// Exposure is one way from outside the cluster to a workload.
type Exposure struct {
	Kind    string
	Object  *inventory.Object // the Service, Ingress or route; nil for hostPort and hostNetwork
	Service *Service          // that it leads to; nil for hostPort and hostNetwork
	Path    string            // what opens it, within Object or the workload
	Ports   []int64
	// Private: the address is of an internal load balancer, or limited to source ranges.
	Private bool
}

// Service is a Service with what it selects.
type Service struct {
	Object   *inventory.Object
	Type     string // ClusterIP when unset
	Selector map[string]string
	Ports    []int64
	Targets  []*inventory.Workload
}

// Services returns every Service in the order in which they were read.
func (m *Map) Services() []*Service {
	var out []*Service
	for _, o := range m.cluster.Objects["Service"] {
		if s := m.services[serviceRef(o.Namespace, o.Name)]; s != nil && s.Object == o {
			out = append(out, s)
		}
	}
	return out
}

// Service returns a Service by name; nil when there is none.
func (m *Map) Service(namespace, name string) *Service {
	return m.services[serviceRef(namespace, name)]
}

// Exposures returns the ways from outside to a workload, in a stable order.
func (m *Map) Exposures(w *inventory.Workload) []Exposure {
	if at, ok := m.index[w]; ok {
		return m.published[at]
	}
	return nil
}

func serviceRef(namespace, name string) inventory.Ref {
	return inventory.Ref{APIVersion: "v1", Kind: "Service", Namespace: namespace, Name: name}
}

func (m *Map) publish() {
	for _, o := range m.cluster.Objects["Service"] {
		s := m.newService(o)
		m.services[serviceRef(o.Namespace, o.Name)] = s
		m.publishService(s)
	}
	for _, kind := range RouteKinds {
		for _, o := range m.cluster.Objects[kind] {
			for _, b := range Backends(o) {
				m.publishRoute(o, b)
			}
		}
	}
	for i, w := range m.workloads {
		m.published[i] = append(m.published[i], ofNode(w)...)
	}
}

func (m *Map) newService(o *inventory.Object) *Service {
	spec := inventory.Map(o.Content, "spec")
	s := &Service{Object: o, Type: inventory.Str(spec, "type"), Selector: inventory.StrMap(spec, "selector")}
	if s.Type == "" {
		s.Type = "ClusterIP"
	}
	eachPort(spec, func(n int64) { s.Ports = append(s.Ports, n) })
	at, ok := m.spaceAt[o.Namespace]
	if !ok || len(s.Selector) == 0 || s.Type == "ExternalName" {
		return s
	}
	space := m.spaces[at]
	for _, i := range m.podIndex(space).Select(selector.FromMap(s.Selector)) {
		s.Targets = append(s.Targets, m.workloads[space.members[i]])
	}
	return s
}

func (m *Map) publishService(s *Service) {
	spec := inventory.Map(s.Object.Content, "spec")
	e := Exposure{Object: s.Object, Service: s, Ports: s.Ports, Path: "spec.type"}
	switch {
	case s.Type == "LoadBalancer":
		e.Kind, e.Private = ViaLoadBalancer, internalBalancer(s.Object) || limitedSources(inventory.Strs(spec, "loadBalancerSourceRanges"))
	case s.Type == "NodePort":
		e.Kind = ViaNodePort
	case len(inventory.List(spec, "externalIPs")) > 0:
		e.Kind, e.Path = ViaExternalIP, "spec.externalIPs"
	default:
		return
	}
	m.expose(s, e)
}

func (m *Map) expose(s *Service, e Exposure) {
	for _, w := range s.Targets {
		at := m.index[w]
		m.published[at] = append(m.published[at], e)
	}
}

// internalBalancer reports whether an annotation asks a cloud for an address of its private network.
func internalBalancer(o *inventory.Object) bool {
	for key, value := range o.Annotations() {
		value = strings.ToLower(value)
		switch key {
		case "service.beta.kubernetes.io/aws-load-balancer-internal", "service.beta.kubernetes.io/azure-load-balancer-internal":
			if value != "" && value != "false" {
				return true
			}
		case "service.beta.kubernetes.io/aws-load-balancer-scheme", "networking.gke.io/load-balancer-type", "cloud.google.com/load-balancer-type":
			if value == "internal" {
				return true
			}
		case "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type":
			if value == "intranet" {
				return true
			}
		case "service.kubernetes.io/qcloud-loadbalancer-internal-subnetid", "service.beta.kubernetes.io/oci-load-balancer-internal":
			if value != "" && value != "false" {
				return true
			}
		case "kubernetes.io/elb.autocreate": // Huawei: JSON whose type is public or inner
			if strings.Contains(strings.ReplaceAll(value, " ", ""), `"type":"inner"`) {
				return true
			}
		}
	}
	return false
}

// limitedSources reports whether source ranges leave out most of the Internet.
func limitedSources(ranges []string) bool {
	return len(ranges) > 0 && !slices.ContainsFunc(ranges, func(r string) bool { return wide(parsePrefix(r)) })
}

// RouteKinds are the kinds ("Kind.group") that lead traffic from outside to Services.
var RouteKinds = []string{
	"Ingress.networking.k8s.io", "Ingress.extensions",
	"HTTPRoute.gateway.networking.k8s.io", "GRPCRoute.gateway.networking.k8s.io", "TLSRoute.gateway.networking.k8s.io",
	"TCPRoute.gateway.networking.k8s.io", "UDPRoute.gateway.networking.k8s.io",
	"Route.route.openshift.io", "VirtualService.networking.istio.io", "IngressRoute.traefik.io", "IngressRoute.traefik.containo.us",
}

// Backend is a Service that a route names.
type Backend struct {
	Namespace, Name string
	Path            string // of the reference within the route
}

// Backends returns the Services that an Ingress or another route leads outside traffic to. Routes within a mesh have none.
func Backends(o *inventory.Object) []Backend {
	spec := inventory.Map(o.Content, "spec")
	switch o.Kind {
	case "Ingress":
		return ingressBackends(o, spec)
	case "Route":
		if k := inventory.Str(spec, "to", "kind"); k == "" || k == "Service" {
			return named(o.Namespace, inventory.Str(spec, "to", "name"), "spec.to.name")
		}
		return nil
	case "VirtualService":
		return istioBackends(o, spec)
	case "IngressRoute":
		var out []Backend
		eachMap(spec, "spec", "routes", func(r map[string]any, path string) {
			eachMap(r, path, "services", func(s map[string]any, path string) {
				out = append(out, named(or(inventory.Str(s, "namespace"), o.Namespace), inventory.Str(s, "name"), path+".name")...)
			})
		})
		return out
	}
	return gatewayBackends(o, spec)
}

func ingressBackends(o *inventory.Object, spec map[string]any) []Backend {
	var out []Backend
	backend := func(m map[string]any, path string) {
		if name := inventory.Str(m, "service", "name"); name != "" {
			out = append(out, Backend{o.Namespace, name, path + ".service.name"})
		} else {
			out = append(out, named(o.Namespace, inventory.Str(m, "serviceName"), path+".serviceName")...)
		}
	}
	backend(inventory.Map(spec, "defaultBackend"), "spec.defaultBackend")
	backend(inventory.Map(spec, "backend"), "spec.backend")
	eachMap(spec, "spec", "rules", func(r map[string]any, path string) {
		eachMap(inventory.Map(r, "http"), path+".http", "paths", func(p map[string]any, path string) {
			backend(inventory.Map(p, "backend"), path+".backend")
		})
	})
	return out
}

func gatewayBackends(o *inventory.Object, spec map[string]any) []Backend {
	gateway := false
	eachMap(spec, "spec", "parentRefs", func(p map[string]any, _ string) {
		k := inventory.Str(p, "kind")
		gateway = gateway || k == "" || k == "Gateway"
	})
	if !gateway {
		return nil
	}
	var out []Backend
	eachMap(spec, "spec", "rules", func(r map[string]any, path string) {
		eachMap(r, path, "backendRefs", func(b map[string]any, path string) {
			if k := inventory.Str(b, "kind"); k == "" || k == "Service" {
				out = append(out, named(or(inventory.Str(b, "namespace"), o.Namespace), inventory.Str(b, "name"), path+".name")...)
			}
		})
	})
	return out
}

func istioBackends(o *inventory.Object, spec map[string]any) []Backend {
	if !slices.ContainsFunc(inventory.Strs(spec, "gateways"), func(g string) bool { return g != "mesh" }) {
		return nil
	}
	var out []Backend
	for _, protocol := range []string{"http", "tcp", "tls"} {
		eachMap(spec, "spec", protocol, func(r map[string]any, path string) {
			eachMap(r, path, "route", func(d map[string]any, path string) {
				host := strings.Split(inventory.Str(d, "destination", "host"), ".")
				ns := o.Namespace
				if len(host) == 2 || len(host) > 2 && host[2] == "svc" {
					ns = host[1]
				} else if len(host) > 2 {
					return // a name outside the cluster
				}
				out = append(out, named(ns, host[0], path+".destination.host")...)
			})
		})
	}
	return out
}

func named(namespace, name, path string) []Backend {
	if name == "" {
		return nil
	}
	return []Backend{{namespace, name, path}}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func eachMap(m map[string]any, path, key string, do func(m map[string]any, path string)) {
	for i, v := range inventory.List(m, key) {
		if e, ok := v.(map[string]any); ok {
			do(e, inventory.JoinIndex(inventory.JoinKey(path, key), i))
		}
	}
}

func (m *Map) publishRoute(o *inventory.Object, b Backend) {
	s := m.Service(b.Namespace, b.Name)
	if s == nil {
		return
	}
	e := Exposure{Kind: ViaGateway, Object: o, Service: s, Path: b.Path, Ports: s.Ports}
	if o.Kind == "Ingress" {
		e.Kind = ViaIngress
	}
	m.expose(s, e)
}

// ofNode returns what the pods of a workload open on their node's addresses.
func ofNode(w *inventory.Workload) []Exposure {
	var out []Exposure
	for i := range w.Containers {
		c := &w.Containers[i]
		for j, p := range c.Ports {
			path := inventory.JoinIndex(inventory.JoinPath(c.Path, "ports"), j)
			switch {
			case w.HostNetwork && p.Container != 0:
				out = append(out, Exposure{Kind: ViaHostNetwork, Path: path + ".containerPort", Ports: []int64{p.Container}})
			case p.Host != 0:
				out = append(out, Exposure{Kind: ViaHostPort, Path: path + ".hostPort", Ports: []int64{p.Host}})
			}
		}
	}
	return out
}
