package protect

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"stockade.dev/stockade/e2e/lab"
)

const (
	// lenient is a namespace whose policy lets in what is not answered.
	lenient = "lenient"
	// unknown is an image that nobody asks for while the server is there. It is a vulnerable one.
	unknown = registryHost + "/shop/web:2.0"
	// patience is more than any request may take, whoever does not answer: API servers give webhooks 30 s at most.
	patience = 45 * time.Second
)

// expected is something that came in while nobody could judge it, and that has to be on record in the end.
type expected struct {
	fault, namespace, name, state string
	reasons                       []string // one of them
}

func (s *shop) expect(fault, namespace, name, state string, reasons ...string) {
	s.expected = append(s.expected, expected{fault, namespace, name, state, reasons})
}

// entry is an unchecked admission.
type entry struct {
	Name, Namespace, Reason, State, Note string
	OwnerName                            string
}

// unchecked reads the list of a namespace, whole.
func (s *shop) unchecked(namespace string) ([]entry, error) {
	var out []entry
	for after := ""; ; {
		var page struct {
			Items []entry
			Next  string
		}
		if err := s.try("GET", "/unchecked-admissions?limit=100&namespace="+namespace+"&after="+url.QueryEscape(after), nil, &page); err != nil {
			return nil, err
		}
		out = append(out, page.Items...)
		if after = page.Next; after == "" {
			return out, nil
		}
	}
}

// testUnchecked: what the faults before let in is on record, with its reason, and judged.
func testUnchecked(t *testing.T, s *shop) {
	t.Run("Gatekeeper restarted under load", func(t *testing.T) { testLoaded(t, s) })
	for _, x := range s.expected {
		t.Run(x.fault, func(t *testing.T) {
			within(t, 6*time.Minute, x.namespace+"/"+x.name+" is known and judged", func() error {
				list, err := s.unchecked(x.namespace)
				if err != nil {
					return err
				}
				for _, e := range list {
					if e.Name != x.name && e.OwnerName != x.name || e.State != x.state {
						continue
					}
					for _, reason := range x.reasons {
						if e.Reason == reason {
							t.Logf("%+v", e)
							return nil
						}
					}
				}
				return fmt.Errorf("want one of %v, %s; the list is %+v", x.reasons, x.state, list)
			})
		})
	}
}

// create sends a pod, and waits as long as a request may take at most.
func (s *shop) create(namespace string, pod *corev1.Pod, dry bool) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, errors.New("the request hangs"))
	defer cancel()
	o := metav1.CreateOptions{}
	if dry {
		o.DryRun = []string{metav1.DryRunAll}
	}
	_, err := s.Kube.CoreV1().Pods(namespace).Create(ctx, pod, o)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// refused fails unless err is a refusal by the policy that blocks what is not answered, in words of which one stands in it.
func refused(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "No known weaknesses") {
		t.Errorf("%s: want a refusal, got %v", what, err)
		return
	}
	for _, w := range words {
		if strings.Contains(err.Error(), w) {
			return
		}
	}
	t.Errorf("%s: the refusal says none of %q: %v", what, words, err)
}

// testStaticPod: a kubelet runs what stands in its folder, and no admission keeps it from that: refused is only the mirror, by which the
// API server would show it. It is told as what it is, and not as a pod that was blocked.
func testStaticPod(t *testing.T, s *shop) {
	s.StaticPod(t, "quiet", fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: quiet, namespace: shop}\nspec: {containers: [{name: web, image: %q}]}\n", vulnerable))
	within(t, 2*time.Minute, "the kubelet runs it", func() error {
		out, err := s.Exec(t.Context(), "ctr", "-n", "k8s.io", "containers", "ls", "-q", `labels."io.kubernetes.pod.name"==quiet-`+lab.NodeName+`,labels."io.kubernetes.container.name"==web`)
		if err == nil && strings.TrimSpace(out) == "" {
			err = errors.New("there is no container")
		}
		return err
	})
	if _, err := s.Kube.CoreV1().Pods("shop").Get(t.Context(), "quiet-"+lab.NodeName, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("its mirror: %v", err)
	}
	within(t, 2*time.Minute, "it is on record", func() error {
		list, err := s.unchecked("shop")
		for _, e := range list {
			if e.Name == "quiet-"+lab.NodeName && e.Reason == "static-pod" && e.State == "bad" {
				t.Logf("%+v", e)
				return nil
			}
		}
		return fmt.Errorf("%+v, %w", list, err)
	})
	var events struct {
		Items []struct{ Kind, OwnerKind, OwnerName string }
	}
	s.call("GET", "/admission-events?namespace=shop&q=quiet", nil, &events)
	if len(events.Items) != 1 || events.Items[0].Kind != "unchecked" {
		t.Errorf("the events are %+v", events.Items)
	}
	var bypasses struct {
		Items []struct{ Kind, What string }
	}
	s.call("GET", "/protection/"+s.target+"/bypasses", nil, &bypasses)
	for _, b := range bypasses.Items {
		if b.Kind == "static-pod" {
			return
		}
	}
	t.Errorf("no bypass is a static pod: %+v", bypasses.Items)
}

// processes are those of a namespace's containers.
func (s *shop) processes(t *testing.T, namespace string) (pids []string) {
	t.Helper()
	ids, err := s.Exec(t.Context(), "ctr", "-n", "k8s.io", "containers", "ls", "-q", `labels."io.kubernetes.pod.namespace"==`+namespace+`,labels."io.cri-containerd.kind"==container`)
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := s.Exec(t.Context(), "ctr", "-n", "k8s.io", "tasks", "ls")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(tasks) {
		if f := strings.Fields(line); len(f) == 3 && f[2] != "STOPPED" && strings.Contains(ids, f[0]) {
			pids = append(pids, f[1])
		}
	}
	return pids
}

// signal sends a signal to all providers.
func (s *shop) signal(t *testing.T, name string) {
	t.Helper()
	pids := s.processes(t, "stockade-protect")
	if len(pids) < 2 {
		t.Fatalf("%d providers", len(pids))
	}
	for _, pid := range pids {
		if out, err := s.Exec(t.Context(), "sh", "-c", "kill -"+name+" "+pid); err != nil {
			t.Fatal(out, err)
		}
	}
}

// testSlow: providers that take connections and answer nothing. Requests end all the same, as the policy says.
func testSlow(t *testing.T, s *shop) {
	s.signal(t, "STOP")
	over := false
	defer func() {
		if !over {
			s.signal(t, "CONT")
		}
	}()
	refused(t, "a known image, with the policy that blocks what is not answered", s.create("shop", podOf("slow", fixed), false), "No verdict")
	if err := s.create(lenient, podOf("slow", vulnerable), false); err != nil {
		t.Errorf("with the policy that lets in what is not answered: %v", err)
	}
	s.expect("slow provider", lenient, "slow", "bad", "not-recorded", "no-verdict", "not-enforced", "provider-away")
	s.signal(t, "CONT")
	over = true
	s.WaitDeployment(t, "stockade-protect", "stockade-provider")
	s.refusedAgain(t)
}

// both asks so often that every provider is asked.
const both = 8

// testServerAway: without the server the providers answer what they know, and the policy says what happens with the rest. What they
// record comes when the server is back.
func testServerAway(t *testing.T, s *shop) {
	s.pushUnknown(t)
	for range both { // each of them knows both images before
		refused(t, "before", s.create("shop", podOf("before", vulnerable), true), weakness)
		if err := s.create("shop", podOf("before", fixed), true); err != nil {
			t.Fatal(err)
		}
	}
	s.stop()
	for i := range both {
		refused(t, "an image that is known as vulnerable", s.create("shop", podOf(fmt.Sprint("offline-", i), vulnerable), false), weakness)
		if err := s.create("shop", podOf("online", fixed), true); err != nil {
			t.Errorf("an image that is known as good: %v", err)
		}
	}
	refused(t, "an image that nobody knows", s.create("shop", podOf("unknown", unknown), false), "the server is away")
	if err := s.create(lenient, podOf("unknown", unknown), false); err != nil {
		t.Errorf("an image that nobody knows, with the policy that lets it in: %v", err)
	}
	s.expect("server away", lenient, "unknown", "bad", "no-verdict")

	t.Run("certificate expired", func(t *testing.T) { testExpired(t, s) })

	s.start()
	within(t, 3*time.Minute, "the server is back, and the certificate is mended by itself", func() error {
		if err := s.try("GET", "/protection/"+s.target, nil, nil); err != nil {
			return err
		}
		s.nudge(t)
		return s.served(func(c *x509.Certificate) bool { return time.Now().Before(c.NotAfter) })
	})
	s.refusedAgain(t)
	within(t, 2*time.Minute, "what was refused meanwhile is told, all of it", func() error {
		var events struct {
			Items []struct {
				OwnerName string
				Count     int
			}
		}
		if err := s.try("GET", "/admission-events?kind=blocked&namespace=shop&limit=100&q=offline", nil, &events); err != nil {
			return err
		}
		counts := map[string]int{}
		for _, e := range events.Items {
			counts[e.OwnerName] += e.Count
		}
		for i := range both {
			if name := fmt.Sprint("offline-", i); counts[name] != 1 {
				return fmt.Errorf("%s: %+v", name, counts)
			}
		}
		return nil
	})
}

// pushUnknown pushes the image that nobody asks for yet.
func (s *shop) pushUnknown(t *testing.T) {
	t.Helper()
	program := web(t, "v0.3.7")
	image, err := lab.Image{Files: map[string]string{"/web": program, "/also": program}, Entrypoint: []string{"/web"}}.Build()
	if err != nil {
		t.Fatal(err)
	}
	s.Push(t, "shop/web:2.0", image)
}

// testExpired: the certificate that the providers show has ended. The policy says what happens, and says why. The server is away.
func testExpired(t *testing.T, s *shop) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const host = "stockade-provider.stockade-protect.svc"
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	leaf, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := json.Marshal(map[string]any{"data": map[string][]byte{"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf}),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Kube.CoreV1().Secrets("stockade-protect").Patch(t.Context(), "stockade-provider-tls", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	ended := func(c *x509.Certificate) bool { return time.Now().After(c.NotAfter) }
	within(t, 2*time.Minute, "every provider shows the certificate that has ended", func() error {
		s.nudge(t)
		return s.served(ended)
	})
	s.signal(t, "KILL") // Gatekeeper would go on with the connections that it has
	within(t, time.Minute, "the providers are there again", func() error { return s.served(ended) })
	within(t, time.Minute, "the policy that blocks what is not answered says why", func() error {
		err := s.create("shop", podOf("expired", fixed), false)
		if !apierrors.IsForbidden(err) {
			t.Fatalf("want a refusal, got %v", err)
		}
		if !strings.Contains(err.Error(), "certificate has expired") {
			return err
		}
		t.Log(err)
		return nil
	})
	if err := s.create(lenient, podOf("expired", vulnerable), false); err != nil {
		t.Errorf("with the policy that lets in what is not answered: %v", err)
	}
	s.expect("certificate expired", lenient, "expired", "bad", "not-recorded", "no-verdict", "not-enforced", "provider-away")
}

// nudge has the kubelet look at the providers' Secrets now and not within the next minute: it does so when a pod changes.
func (s *shop) nudge(t *testing.T) {
	t.Helper()
	for _, p := range s.providers(t) {
		_, err := s.Kube.CoreV1().Pods(p.Namespace).Patch(t.Context(), p.Name, types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"annotations":{"example.com/nudged":"%d"}}}`, time.Now().Unix()), metav1.PatchOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
}

func (s *shop) providers(t *testing.T) []corev1.Pod {
	t.Helper()
	list, err := s.Kube.CoreV1().Pods("stockade-protect").List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=stockade-provider"})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// served is nil when every provider shows a certificate that is as wanted.
func (s *shop) served(good func(*x509.Certificate) bool) error {
	list, err := s.Kube.CoreV1().Pods("stockade-protect").List(context.Background(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=stockade-provider"})
	if err != nil {
		return err
	}
	for _, p := range list.Items {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		conn, err := s.Dial(ctx, "tcp", p.Status.PodIP+":8443")
		cancel()
		if err != nil {
			return err
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // to look at a certificate
		err = client.Handshake()
		_ = conn.Close()
		if err != nil {
			return err
		}
		if c := client.ConnectionState().PeerCertificates[0]; !good(c) {
			return fmt.Errorf("%s shows a certificate until %s", p.Name, c.NotAfter)
		}
	}
	return nil
}
