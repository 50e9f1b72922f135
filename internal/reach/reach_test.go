package reach

import (
	"fmt"
	"math/rand"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"stockade.dev/stockade/internal/inventory"
)

func cluster(t testing.TB, text string) *inventory.Cluster {
	t.Helper()
	c := inventory.NewCluster("test")
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		var m map[string]any
		if err := dec.Decode(&m); err != nil {
			if err.Error() == "EOF" {
				return c
			}
			t.Fatal(err)
		}
		o, ok := inventory.NewObject(integers(m).(map[string]any))
		if !ok {
			t.Fatalf("not an object: %v", m)
		}
		c.Add(o)
	}
}

// integers makes JSON values of what the YAML decoder gives.
func integers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = integers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	case int:
		return int64(v)
	}
	return v
}

func pod(ns, name, labels string) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: %s, labels: {%s}}\nspec: {containers: [{name: c, image: i, ports: [{name: http, containerPort: 8080}]}]}\n", name, ns, labels)
}

func policy(ns, spec string) string {
	return fmt.Sprintf("---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: %s}\nspec: %s\n", ns, spec)
}

func namespace(name, labels string) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {%s}}\n", name, labels)
}

func admin(kind, name string, priority int, spec string) string {
	return fmt.Sprintf("---\napiVersion: policy.networking.k8s.io/v1alpha1\nkind: %s\nmetadata: {name: %s}\nspec: {priority: %d, subject: {namespaces: {}}, %s}\n", kind, name, priority, spec)
}

func TestSides(t *testing.T) {
	web := namespace("shop", "") + namespace("bank", "team: bank") + pod("shop", "web", "app: web") + pod("shop", "db", "app: db") + pod("bank", "core", "app: core")
	const closed Peers = 0
	tests := []struct {
		name, text string
		in, out    Side // Isolated, Open and Count
	}{
		{"no policy", "", Side{Open: everyone}, Side{Open: everyone}},
		{"policy elsewhere", policy("bank", "{podSelector: {}}"), Side{Open: everyone}, Side{Open: everyone}},
		{"policy for another pod", policy("shop", "{podSelector: {matchLabels: {app: db}}}"), Side{Open: everyone}, Side{Open: everyone}},
		{"default deny of ingress", policy("shop", "{podSelector: {}}"), Side{Isolated: true, Open: closed, Count: 1}, Side{Open: everyone}},
		{"default deny of both", policy("shop", "{podSelector: {}, policyTypes: [Ingress, Egress]}"), Side{Isolated: true, Count: 1}, Side{Isolated: true, Count: 1}},
		{"egress only", policy("shop", "{podSelector: {}, policyTypes: [Egress]}"), Side{Open: everyone}, Side{Isolated: true, Count: 1}},
		{"an egress rule without types isolates both", policy("shop", "{podSelector: {}, egress: [{}]}"), Side{Isolated: true, Count: 1}, Side{Isolated: true, Open: everyone, Count: 1}},
		{"empty egress without types is ingress only", policy("shop", "{podSelector: {}, egress: []}"), Side{Isolated: true, Count: 1}, Side{Open: everyone}},
		{"expression", policy("shop", "{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [db]}]}}"), Side{Isolated: true, Count: 1}, Side{Open: everyone}},
		{"from everyone", policy("shop", "{podSelector: {}, ingress: [{}]}"), Side{Isolated: true, Open: everyone, Count: 1}, Side{Open: everyone}},
		{"from everyone on a port", policy("shop", "{podSelector: {}, ingress: [{ports: [{port: 80}]}]}"), Side{Isolated: true, Open: everyone, Count: 1}, Side{Open: everyone}},
		{"from the own namespace", policy("shop", "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}"), Side{Isolated: true, Open: OwnNamespace | SomePods, Count: 1}, Side{Open: everyone}},
		{"from some pods", policy("shop", "{podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: db}}}]}]}"), Side{Isolated: true, Open: SomePods, Count: 1}, Side{Open: everyone}},
		{"from all namespaces", policy("shop", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}"), Side{Isolated: true, Open: inCluster, Count: 1}, Side{Open: everyone}},
		{"from one namespace", policy("shop", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: bank}}}]}]}"), Side{Isolated: true, Open: SomeNamespaces, Count: 1}, Side{Open: everyone}},
		{"from one by its name", policy("shop", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: bank}}}]}]}"), Side{Isolated: true, Open: SomeNamespaces, Count: 1}, Side{Open: everyone}},
		{"from the own one by its name", policy("shop", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}]}]}"), Side{Isolated: true, Open: OwnNamespace | SomePods, Count: 1}, Side{Open: everyone}},
		{"from a namespace that is not there", policy("shop", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: x}}}]}]}"), Side{Isolated: true, Count: 1}, Side{Open: everyone}},
		{"some pods of all namespaces", policy("shop", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: core}}}]}]}"), Side{Isolated: true, Open: SomeNamespaces | SomePods, Count: 1}, Side{Open: everyone}},
		{"the world", policy("shop", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}]}"), Side{Isolated: true, Open: World | SomeAddresses, Count: 1}, Side{Open: everyone}},
		{"some addresses", policy("shop", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.1.0.0/16}}]}]}"), Side{Isolated: true, Open: SomeAddresses, Count: 1}, Side{Open: everyone}},
		{"a block that cannot be read", policy("shop", "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: everywhere}}]}]}"), Side{Isolated: true, Count: 1}, Side{Open: everyone}},
		{"policies add up", policy("shop", "{podSelector: {}}") + policy("shop", "{podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {}}]}]}"),
			Side{Isolated: true, Open: OwnNamespace | SomePods, Count: 2}, Side{Open: everyone}},
		{"baseline denies", admin("BaselineAdminNetworkPolicy", "default", 0, "ingress: [{action: Deny, from: [{namespaces: {}}]}]"),
			Side{Open: World | SomeAddresses, Admin: true}, Side{Open: everyone}},
		{"a NetworkPolicy comes before the baseline", policy("shop", "{podSelector: {}, ingress: [{}]}") + admin("BaselineAdminNetworkPolicy", "default", 0, "ingress: [{action: Deny, from: [{namespaces: {}}]}]"),
			Side{Isolated: true, Open: everyone, Count: 1}, Side{Open: everyone}},
		{"an admin denial comes before a NetworkPolicy", policy("shop", "{podSelector: {}, ingress: [{}]}") + admin("AdminNetworkPolicy", "a", 5, "ingress: [{action: Deny, from: [{namespaces: {}}]}]"),
			Side{Isolated: true, Open: World | SomeAddresses, Count: 1, Admin: true}, Side{Open: everyone}},
		{"an admin allowance too", policy("shop", "{podSelector: {}}") + admin("AdminNetworkPolicy", "a", 5, "ingress: [{action: Allow, from: [{namespaces: {}}]}]"),
			Side{Isolated: true, Open: inCluster, Count: 1, Admin: true}, Side{Open: everyone}},
		{"the lower number is asked first", admin("AdminNetworkPolicy", "a", 5, "ingress: [{action: Deny, from: [{namespaces: {}}]}]") +
			admin("AdminNetworkPolicy", "b", 1, "ingress: [{action: Pass, from: [{namespaces: {}}]}]"), Side{Open: everyone}, Side{Open: everyone}},
		{"rules in order", admin("AdminNetworkPolicy", "a", 5, "egress: [{action: Allow, to: [{namespaces: {matchLabels: {team: bank}}}]}, {action: Deny, to: [{namespaces: {}}, {networks: [0.0.0.0/0]}]}]"),
			Side{Open: everyone}, Side{Open: SomeNamespaces | SomePods, Admin: true}},
		{"successor kind", strings.Replace(admin("ClusterNetworkPolicy", "a", 5, "tier: Admin, ingress: [{action: Deny, from: [{namespaces: {}}]}]"), "v1alpha1", "v1alpha2", 1),
			Side{Open: World | SomeAddresses, Admin: true}, Side{Open: everyone}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := cluster(t, strings.TrimPrefix(web+tt.text, "---\n"))
			r := Build(c).Of(c.Workload(inventory.Ref{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "web"}))
			for i, s := range []Side{r.Ingress, r.Egress} {
				want := []Side{tt.in, tt.out}[i]
				if s.Isolated != want.Isolated || s.Open != want.Open || s.Count != want.Count || s.Admin != want.Admin || len(s.Policies) != min(want.Count, 3) {
					t.Errorf("%s: %+v, want %+v", Direction(i), s, want)
				}
			}
		})
	}
}

func TestExpression(t *testing.T) {
	labels := map[string]string{"app": "web", "example.com/tier": "front-1"}
	for text, want := range map[string]bool{
		"": true, "all()": true, " all() ": true, "app == 'web'": true, `app == "web"`: true, "app != 'web'": false, "zone != 'a'": true,
		"has(app)": true, "!has(app)": false, "has(zone)": false, "app in {'db', 'web'}": true, "app not in {'db'}": true, "zone in {'a'}": false,
		"app == 'web' && has(example.com/tier)": true, "app == 'db' || app == 'web'": true, "!(app == 'db') && (has(zone) || has(app))": true,
		"example.com/tier starts with 'front'": true, "example.com/tier ends with '2'": false, "app contains 'e'": true, "global()": false,
		"app ==": false, "app = 'web'": false, "(app == 'web'": false, "app == 'web": false, "app == 'web' extra": false, "in {'a'": false,
		strings.Repeat("(", 5000) + "has(app)": false, strings.Repeat("!", 5000) + "has(app)": false,
	} {
		if got := parseExpression(text).match(labels); got != want {
			t.Errorf("%.60s: %v, want %v", text, got, want)
		}
	}
}

// FuzzExpression: no text may stop the parser.
func FuzzExpression(f *testing.F) {
	f.Add("app == 'web' && !(has(x) || y not in {'a', \"b\"})")
	f.Fuzz(func(t *testing.T, text string) {
		e := parseExpression(text)
		if e.match(nil) && e.match(map[string]string{"a": "b"}) != e.match(map[string]string{"a": "b"}) {
			t.Error("not a function")
		}
	})
}

func TestForeignPolicies(t *testing.T) {
	calico := func(kind, meta, spec string) string {
		return "---\napiVersion: crd.projectcalico.org/v1\nkind: " + kind + "\nmetadata: {" + meta + "}\nspec: " + spec + "\n"
	}
	cilium := func(kind, meta, spec string) string {
		return "---\napiVersion: cilium.io/v2\nkind: " + kind + "\nmetadata: {" + meta + "}\nspec: " + spec + "\n"
	}
	for _, tt := range []struct {
		name, text string
		in, out    bool
		deny       bool // every pod, both directions
	}{
		{"global default deny", calico("GlobalNetworkPolicy", "name: default.deny", "{selector: all(), types: [Ingress, Egress]}"), true, true, true},
		{"by namespace", calico("GlobalNetworkPolicy", "name: d", "{namespaceSelector: \"kubernetes.io/metadata.name not in {'kube-system', 'shop'}\", types: [Ingress, Egress]}"), false, false, false},
		{"by label", calico("NetworkPolicy", "name: d, namespace: shop", "{selector: \"app == 'web'\", ingress: [{action: Allow}]}"), true, false, false},
		{"other namespace", calico("NetworkPolicy", "name: d, namespace: bank", "{selector: all()}"), false, false, false},
		{"cilium", cilium("CiliumNetworkPolicy", "name: d, namespace: shop", "{endpointSelector: {matchLabels: {'k8s:app': web}}, egress: [{toEntities: [cluster]}]}"), false, true, false},
		{"cilium other pods", cilium("CiliumNetworkPolicy", "name: d, namespace: shop", "{endpointSelector: {matchLabels: {app: db}}, egress: [{}]}"), false, false, false},
		{"cilium wide", cilium("CiliumClusterwideNetworkPolicy", "name: d", "{endpointSelector: {matchLabels: {'k8s:io.kubernetes.pod.namespace': shop}}, ingress: [{}], egress: [{}]}"), true, true, false},
		{"cilium without default deny", cilium("CiliumClusterwideNetworkPolicy", "name: d", "{endpointSelector: {}, enableDefaultDeny: {egress: false}, ingress: [{}], egress: [{}]}"), true, false, false},
		{"cilium everything", cilium("CiliumClusterwideNetworkPolicy", "name: d", "{endpointSelector: {}, ingress: [{}], egressDeny: [{}]}"), true, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := cluster(t, strings.TrimPrefix(pod("shop", "web", "app: web")+tt.text, "---\n"))
			m := Build(c)
			r := m.Of(c.Workloads[0])
			if r.Ingress.Isolated != tt.in || r.Egress.Isolated != tt.out || r.APIServer == tt.out || (len(r.Metadata) > 0) == tt.out {
				t.Errorf("ingress %v, egress %v, API server %v; want isolated %v, %v", r.Ingress, r.Egress, r.APIServer, tt.in, tt.out)
			}
			if deny := m.BaselineDeny("shop", Ingress) && m.BaselineDeny("shop", Egress); deny != tt.deny {
				t.Errorf("denies by default: %v, want %v", deny, tt.deny)
			}
		})
	}
}

func TestProbes(t *testing.T) {
	const api = "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: kubernetes, namespace: default}\naddressType: IPv4\nendpoints: [{addresses: [10.9.0.5]}]\nports: [{port: 6443}]\n"
	web := pod("shop", "web", "app: web")
	all := []string{"169.254.169.254", "fd00:ec2::254", "100.100.100.200"}
	tests := []struct {
		name, text string
		metadata   []string
		api        bool
	}{
		{"no policy", "", all, true},
		{"ingress only", policy("shop", "{podSelector: {}}"), all, true},
		{"no egress", policy("shop", "{podSelector: {}, policyTypes: [Egress]}"), nil, false},
		{"DNS only", policy("shop", "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}]}]}"), nil, false},
		{"web only", policy("shop", "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 80}]}]}"), all, false},
		{"a range of ports", policy("shop", "{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 6000, endPort: 7000}]}]}"), nil, true},
		{"all but metadata", policy("shop", "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.169.254/32]}}]}]}"), all[2:], true},
		{"all but link-local and carrier ranges", policy("shop", "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16, 100.64.0.0/10]}}]}]}"), nil, true},
		{"the API server's block", policy("shop", "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.9.0.0/24}}]}]}"), nil, true},
		{"pods do not include it", policy("shop", "{podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}]}]}"), nil, false},
		{"an admin denies it", admin("AdminNetworkPolicy", "a", 5, "egress: [{action: Deny, to: [{networks: [169.254.169.254/32, 'fd00:ec2::254/128', 100.100.100.200/32]}]}]"), nil, true},
		{"an admin denies all ports but web", admin("AdminNetworkPolicy", "a", 5, "egress: [{action: Allow, to: [{networks: [169.254.0.0/16]}], ports: [{portNumber: {port: 80, protocol: TCP}}]}, {action: Deny, to: [{networks: [0.0.0.0/0, '::/0']}]}]"), all[:1], false},
		{"protocols of the successor kind", strings.Replace(admin("ClusterNetworkPolicy", "a", 5, "tier: Admin, egress: [{action: Deny, to: [{networks: [169.254.169.254/32]}], protocols: [{tcp: {destinationPort: {range: {start: 1, end: 1024}}}}]}, {action: Deny, to: [{networks: ['fd00:ec2::254/128']}], protocols: [{tcp: {destinationPort: {number: 443}}}]}]"), "v1alpha1", "v1alpha2", 1), all[1:], true},
		{"a range of ports of an admin", admin("AdminNetworkPolicy", "a", 5, "egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}], ports: [{portRange: {protocol: TCP, start: 6000, end: 7000}}]}]"), all, false},
		{"a baseline denies it", admin("BaselineAdminNetworkPolicy", "default", 0, "egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]"), all[1:2], false},
		{"the host's network", "---\napiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec: {hostNetwork: true, containers: [{name: c, image: i}]}\n" + policy("shop", "{podSelector: {}, policyTypes: [Egress]}"), all, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := web + tt.text
			if strings.Contains(tt.text, "hostNetwork") {
				text = tt.text
			}
			c := cluster(t, strings.TrimPrefix(text+api, "---\n"))
			r := Build(c).Of(c.Workloads[0])
			var got []string
			for _, a := range r.Metadata {
				got = append(got, a.String())
			}
			if !slices.Equal(got, tt.metadata) || r.APIServer != tt.api {
				t.Errorf("metadata %v, API server %v; want %v, %v", got, r.APIServer, tt.metadata, tt.api)
			}
		})
	}
}

func TestExposures(t *testing.T) {
	const head = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop%s}\nspec: {selector: {app: web}, ports: [{port: 80}]%s}\n"
	service := func(spec string) string { return fmt.Sprintf(head, "", spec) }
	tests := []struct{ name, text, want string }{
		{"cluster address", service(""), ""},
		{"load balancer", service(", type: LoadBalancer"), "LoadBalancer"},
		{"internal load balancer", fmt.Sprintf(head, ", annotations: {service.beta.kubernetes.io/aws-load-balancer-internal: 'true'}", ", type: LoadBalancer"), "LoadBalancer (private)"},
		{"intranet address at Alibaba", fmt.Sprintf(head, ", annotations: {service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type: intranet}", ", type: LoadBalancer"), "LoadBalancer (private)"},
		{"inner balancer at Huawei", fmt.Sprintf(head, `, annotations: {kubernetes.io/elb.autocreate: '{"type": "inner"}'}`, ", type: LoadBalancer"), "LoadBalancer (private)"},
		{"source ranges", service(", type: LoadBalancer, loadBalancerSourceRanges: [203.0.113.0/24]"), "LoadBalancer (private)"},
		{"source ranges of everyone", service(", type: LoadBalancer, loadBalancerSourceRanges: [0.0.0.0/0]"), "LoadBalancer"},
		{"node port", service(", type: NodePort"), "NodePort"},
		{"external address", service(", externalIPs: [192.0.2.1]"), "externalIPs"},
		{"other pods", strings.Replace(service(", type: NodePort"), "app: web", "app: db", 1), ""},
		{"ingress", service("") + "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: shop}\nspec: {rules: [{http: {paths: [{path: /, backend: {service: {name: web, port: {number: 80}}}}]}}]}\n", "Ingress"},
		{"default backend", service("") + "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: shop}\nspec: {defaultBackend: {service: {name: web}}}\n", "Ingress"},
		{"old ingress", service("") + "---\napiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: i, namespace: shop}\nspec: {rules: [{http: {paths: [{backend: {serviceName: web, servicePort: 80}}]}}]}\n", "Ingress"},
		{"ingress of another namespace", service("") + "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: i, namespace: bank}\nspec: {defaultBackend: {service: {name: web}}}\n", ""},
		{"gateway route from another namespace", service("") + "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: edge}\nspec: {parentRefs: [{name: gw}], rules: [{backendRefs: [{name: web, namespace: shop, port: 80}]}]}\n", "Gateway"},
		{"route in the mesh", service("") + "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r, namespace: shop}\nspec: {parentRefs: [{kind: Service, name: web}], rules: [{backendRefs: [{name: web, port: 80}]}]}\n", ""},
		{"virtual service", service("") + "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: edge}\nspec: {gateways: [gw], http: [{route: [{destination: {host: web.shop.svc.cluster.local}}]}]}\n", "Gateway"},
		{"virtual service of the mesh", service("") + "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: shop}\nspec: {http: [{route: [{destination: {host: web}}]}]}\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := cluster(t, strings.TrimPrefix(pod("shop", "web", "app: web")+tt.text, "---\n"))
			var got []string
			for _, e := range Build(c).Exposures(c.Workloads[0]) {
				s := e.Kind
				if e.Private {
					s += " (private)"
				}
				got = append(got, s)
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("exposures %q, want %q", s, tt.want)
			}
		})
	}
	c := cluster(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: n}\nspec: {containers: [{name: c, image: i, ports: [{containerPort: 1}, {containerPort: 2, hostPort: 2}]}]}\n---\n"+
		"apiVersion: v1\nkind: Pod\nmetadata: {name: q, namespace: n}\nspec: {hostNetwork: true, containers: [{name: c, image: i, ports: [{containerPort: 1}]}]}\n")
	m := Build(c)
	for i, want := range []string{"hostPort spec.containers[0].ports[1].hostPort", "hostNetwork spec.containers[0].ports[0].containerPort"} {
		e := m.Exposures(c.Workloads[i])
		if len(e) != 1 || e[0].Kind+" "+e[0].Path != want {
			t.Errorf("exposures of %s: %+v, want %s", c.Workloads[i].Ref.Name, e, want)
		}
	}
}

func TestEnforcement(t *testing.T) {
	agent := func(image, args string) string {
		return fmt.Sprintf("apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: net, namespace: kube-system}\nspec: {template: {spec: {containers: [{name: c, image: '%s', args: [%s]}]}}}\n", image, args)
	}
	for _, tt := range []struct {
		name, text      string
		known, enforced bool
	}{
		{"none", "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: n}\nspec: {containers: [{name: c, image: flannel}]}\n", false, false},
		{"flannel", agent("ghcr.io/flannel-io/flannel:v0.27.4", ""), true, false},
		{"flannel and calico", agent("ghcr.io/flannel-io/flannel:v0.27.4", "") + "---\n" + strings.Replace(agent("docker.io/calico/node:v3.31.0", ""), "name: net", "name: cal", 1), true, true},
		{"cilium", agent("quay.io/cilium/cilium:v1.18.0@sha256:aa", ""), true, true},
		{"old kindnet", agent("docker.io/kindest/kindnetd:v20230511-dc714da8", ""), true, false},
		{"new kindnet", agent("docker.io/kindest/kindnetd:v20250512-df8de77b", ""), true, true},
		{"aws without its agent", agent("602401143452.dkr.ecr.us-west-2.amazonaws.com/amazon-k8s-cni:v1.20.0", ""), true, false},
		{"aws agent off", agent("x/amazon/aws-network-policy-agent:v1.2.0", "--enable-network-policy=false"), false, false},
		{"aws agent on", agent("x/amazon/aws-network-policy-agent:v1.2.0", "--enable-network-policy=true"), true, true},
		{"own network", agent("example.com/net/mynet:v1", ""), false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if e := Build(cluster(t, tt.text)).Enforcement(); e.Known != tt.known || e.Enforced != tt.enforced {
				t.Errorf("%+v, want known %v, enforced %v", e, tt.known, tt.enforced)
			}
		})
	}
}

// TestTalksAgreesWithSides compares pairs with what the sides say of them, on random policies.
func TestTalksAgreesWithSides(t *testing.T) {
	talked, silent := 0, 0
	for seed := range int64(400) {
		rnd := rand.New(rand.NewSource(seed))
		var b strings.Builder
		for _, ns := range []string{"a", "b"} {
			b.WriteString(namespace(ns, "team: "+ns))
			for i := range 3 {
				b.WriteString(pod(ns, fmt.Sprint("p", i), fmt.Sprintf("app: v%d", i)))
			}
		}
		for range rnd.Intn(4) {
			sel := []string{"{}", "{matchLabels: {app: v0}}", "{matchExpressions: [{key: app, operator: NotIn, values: [v1]}]}"}
			from := []string{"", "from: [{podSelector: {}}]", "from: [{namespaceSelector: {}}]", "from: [{namespaceSelector: {matchLabels: {team: a}}}]"}[rnd.Intn(4)]
			rule := "[]"
			if rnd.Intn(3) > 0 {
				rule = "[{" + from + "}]"
			}
			dir := []string{"Ingress", "Egress"}[rnd.Intn(2)]
			if dir == "Egress" {
				rule = strings.Replace(rule, "from", "to", 1)
			}
			b.WriteString(policy([]string{"a", "b"}[rnd.Intn(2)], fmt.Sprintf("{podSelector: %s, policyTypes: [%s], %s: %s}", sel[rnd.Intn(3)], dir, strings.ToLower(dir), rule)))
		}
		c := cluster(t, strings.TrimPrefix(b.String(), "---\n"))
		m := Build(c)
		for _, from := range c.Workloads {
			for _, to := range c.Workloads {
				got := m.Talks(from, to, 8080, "TCP")
				want := within(m.Of(from).Egress, from, to) && within(m.Of(to).Ingress, to, from)
				if got != want {
					t.Fatalf("seed %d: %s to %s: %v, sides say %v", seed, from.Ref, to.Ref, got, want)
				}
				if got {
					talked++
				} else {
					silent++
				}
			}
		}
	}
	if talked < 1000 || silent < 1000 {
		t.Errorf("%d pairs talk, %d do not: too one-sided to prove anything", talked, silent)
	}
}

// within reads a pair off a side. The namespace team=a is the only one that some policies single out.
func within(s Side, w, other *inventory.Workload) bool {
	switch {
	case s.Open.Has(AllNamespaces):
		return true
	case w.Ref.Namespace == other.Ref.Namespace:
		return s.Open.Has(OwnNamespace)
	}
	return s.Open.Has(SomeNamespaces)
}

// TestMetadataAddresses holds the addresses to what clouds document.
func TestMetadataAddresses(t *testing.T) {
	for _, a := range MetadataAddresses {
		if !a.IsValid() || netip.MustParsePrefix("10.0.0.0/8").Contains(a) {
			t.Errorf("%s is no metadata address", a)
		}
	}
}

// sized makes n workloads and n/5 policies in namespaces of 100 workloads.
func sized(n int) *inventory.Cluster {
	c := inventory.NewCluster("big")
	for i := range n {
		ns := fmt.Sprint("team-", i/100)
		if i%100 == 0 {
			c.Namespaces[ns] = &inventory.Namespace{Name: ns, Labels: map[string]string{"team": ns}}
		}
		c.AddWorkload(&inventory.Workload{Ref: inventory.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: ns, Name: fmt.Sprint("app-", i)},
			Labels: map[string]string{"app": fmt.Sprint("app-", i), "tier": fmt.Sprint("t", i%3), "part-of": ns}})
		if i%5 == 0 {
			addPolicy(c, ns, i)
		}
	}
	return c
}

func addPolicy(c *inventory.Cluster, ns string, i int) {
	sel := []any{map[string]any{"matchLabels": map[string]any{"app": fmt.Sprint("app-", i)}},
		map[string]any{}, map[string]any{"matchExpressions": []any{map[string]any{"key": "tier", "operator": "NotIn", "values": []any{"t1"}}}}}[i/5%3]
	o, _ := inventory.NewObject(map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
		"metadata": map[string]any{"name": fmt.Sprint("np-", i), "namespace": ns},
		"spec": map[string]any{"podSelector": sel, "policyTypes": []any{"Ingress", "Egress"},
			"ingress": []any{map[string]any{"from": []any{map[string]any{"namespaceSelector": map[string]any{"matchLabels": map[string]any{"team": ns}}}}}},
			"egress":  []any{map[string]any{"to": []any{map[string]any{"ipBlock": map[string]any{"cidr": "0.0.0.0/0", "except": []any{"169.254.169.254/32"}}}}}}}})
	c.Add(o)
}

// oneNamespace is the worst layout: every policy can meet every workload.
func oneNamespace(n int) *inventory.Cluster {
	c := inventory.NewCluster("flat")
	for i := range n {
		c.AddWorkload(&inventory.Workload{Ref: inventory.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "flat", Name: fmt.Sprint("app-", i)},
			Labels: map[string]string{"app": fmt.Sprint("app-", i), "tier": fmt.Sprint("t", i%3), "part-of": "x"}})
		if i%5 == 0 {
			addPolicy(c, "flat", i)
		}
	}
	return c
}

func BenchmarkMap(b *testing.B) {
	for _, layout := range []struct {
		name string
		make func(int) *inventory.Cluster
	}{{"spread", sized}, {"flat", oneNamespace}} {
		for _, n := range []int{1000, 2000, 5000, 10000, 20000} {
			c := layout.make(n)
			b.Run(fmt.Sprint(layout.name, "-", n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					m := Build(c)
					for _, w := range c.Workloads {
						if r := m.Of(w); !r.Ingress.Isolated && w.Ref.Name == "app-0" {
							b.Fatal("app-0 is not isolated")
						}
					}
				}
			})
		}
	}
}
