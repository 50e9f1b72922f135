package fleet

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/fleet/enrol"
	"stockade.dev/stockade/internal/fleet/tunnel"
	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/outbox"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

const secret = "token-4711-never-shown"

// api is a small API server that allows what its table says and misbehaves where a test says so.
type api struct {
	*httptest.Server
	version string
	deny    map[string]bool // "resource verb"
	fault   func(w http.ResponseWriter, r *http.Request) bool

	mu   sync.Mutex
	seen []string
}

func newAPI(t testing.TB) *api {
	t.Helper()
	a := &api{version: "v1.31.2", deny: map[string]bool{}}
	a.Server = httptest.NewTLSServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.Close)
	return a
}

func (a *api) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.seen = append(a.seen, r.Header.Get("Authorization"))
	a.mu.Unlock()
	if a.fault != nil && a.fault(w, r) {
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+secret {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"kind":"Status","message":"Unauthorized"}`)
		return
	}
	switch r.URL.Path {
	case "/version":
		fmt.Fprintf(w, `{"gitVersion":%q,"major":"1","minor":"31"}`, a.version)
	case "/api":
		fmt.Fprint(w, `{"kind":"APIVersions","versions":["v1"]}`)
	case "/apis":
		fmt.Fprint(w, `{"kind":"APIGroupList","groups":[{"name":"apps","versions":[{"version":"v1"}]}]}`)
	case "/api/v1":
		fmt.Fprint(w, `{"resources":[{"name":"pods","verbs":["list"]},{"name":"secrets","verbs":["list"]},{"name":"nodes","verbs":["list"]}]}`)
	case "/apis/apps/v1":
		fmt.Fprint(w, `{"resources":[{"name":"deployments","verbs":["list"]}]}`)
	case "/api/v1/nodes":
		fmt.Fprint(w, `{"kind":"NodeList","metadata":{"remainingItemCount":7},"items":[{"metadata":{"name":"a","labels":{"eks.amazonaws.com/nodegroup":"x"}}}]}`)
	case "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews":
		var in review
		_ = json.NewDecoder(r.Body).Decode(&in)
		at := in.Spec.ResourceAttributes
		in.Status.Allowed = at.Resource != "*" && !a.deny[at.Resource+" "+at.Verb]
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(in)
	default:
		http.NotFound(w, r)
	}
}

// authority is who signed the server's certificate, in base64.
func (a *api) authority() string {
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate().Raw}))
}

// kubeconfig is one for the server; change may spoil it.
func (a *api) kubeconfig(change ...string) []byte {
	text := "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}, {name: other, context: {cluster: k, user: x}}]\n" +
		"clusters: [{name: k, cluster: {server: \"" + a.URL + "\", certificate-authority-data: " + a.authority() + "}}]\n" +
		"users: [{name: u, user: {token: " + secret + "}}, {name: x, user: {exec: {command: /bin/steal, apiVersion: client.authentication.k8s.io/v1}}}]\n"
	return []byte(strings.NewReplacer(change...).Replace(text))
}

// bench is a fleet on a database.
type bench struct {
	*Fleet
	db  *store.DB
	mu  sync.Mutex
	now time.Time
}

func newBench(t *testing.T, db *store.DB, o Options) *bench {
	t.Helper()
	keys, err := seal.Load(filepath.Join(t.TempDir(), "keys"), "")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{db: db, now: time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)}
	o.Now = func() time.Time {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.now
	}
	o.AllowLocal = true
	if o.Authority, err = enrol.Open(context.Background(), db, keys, o.Now); err != nil {
		t.Fatal(err)
	}
	o.Tunnels = tunnel.NewServer(tunnel.Options{DB: db, Authority: o.Authority, Now: o.Now})
	o.Server = "stockade.example.com:8443"
	b.Fleet = New(db, keys, o)
	return b
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

var all = identity.Visible{All: true}

func TestAddByKubeconfig(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		f, a := newBench(t, db, Options{}), newAPI(t)
		a.deny["secrets list"], a.deny["pods watch"] = true, true
		c, check, err := f.Add(ctx, Added{Name: " shop ", Kind: Kubeconfig, Kubeconfig: a.kubeconfig()})
		if err != nil {
			t.Fatal(err)
		}
		if c.Name != "shop" || c.State != Connected || check.Version != "v1.31.2" || check.Nodes != 8 || check.Distribution != "eks" || !check.Managed {
			t.Errorf("%+v\n%+v", c, check)
		}
		if check.Missing != 2 || len(check.Permissions) != 4*3 || !strings.Contains(check.Grant, `resources: [secrets]`) || !strings.Contains(check.Grant, "verbs: [watch]") {
			t.Errorf("%d missing of %d:\n%s", check.Missing, len(check.Permissions), check.Grant)
		}
		for _, p := range check.Permissions {
			if want := p.Resource+p.Verb != "secretslist" && p.Resource+p.Verb != "podswatch"; p.Allowed != want || (p.Grant == "") != want || p.Reads == "" || p.NeededBy == "" {
				t.Errorf("%+v", p)
			}
			if p.Resource == "secrets" && p.Verb == "get" && p.Feature != ForImages {
				t.Errorf("%+v", p)
			}
		}
		d, err := f.Get(ctx, all, c.TargetID)
		if err != nil || len(d.Permissions) != 12 || d.Nodes != 8 || d.Server != a.URL || d.ContactAt.IsZero() {
			t.Fatalf("%+v, %v", d, err)
		}
		if text, _ := json.Marshal(d); strings.Contains(string(text), secret) {
			t.Error("the token is in the answer")
		}
		if _, _, err := f.Add(ctx, Added{Name: "shop", Kind: Connector}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), `"shop"`) {
			t.Errorf("the name twice: %v", err)
		}
		s, err := f.Open(ctx, c.TargetID)
		if err != nil || s.Info().Name != "shop" || s.Info().Version != "v1.31.2" {
			t.Fatalf("%v, %v", s, err)
		}
		if err := f.Contact(ctx, c.TargetID, s.Info(), 5, nil); err != nil {
			t.Fatal(err)
		}
		if d, err = f.Get(ctx, all, c.TargetID); err != nil || len(d.Use) != 1 || d.Use[0].Requests < 1 || d.Use[0].Received < 100 || d.Use[0].Sent < 100 || d.Nodes != 5 {
			t.Errorf("use %+v, %v", d.Use, err)
		}
		leaks(t, db)
	})
}

// leaks looks for the token in every table that fleets write.
func leaks(t *testing.T, db *store.DB) {
	t.Helper()
	for _, column := range []string{"audit.before", "audit.after", "audit.object", "outbox.body", "clusters.reason", "clusters.permissions", "clusters.server"} {
		table, name, _ := strings.Cut(column, ".")
		var n int
		if err := db.R.NewSelect().Table(table).ColumnExpr("count(*)").Where(name+" LIKE ?", "%"+secret+"%").Scan(context.Background(), &n); err != nil || n != 0 {
			t.Errorf("%s holds the token %d times, %v", column, n, err)
		}
	}
	var sealed [][]byte
	if err := db.R.NewSelect().Table("clusters").Column("credentials").Where("credentials IS NOT NULL").Scan(context.Background(), &sealed); err != nil {
		t.Error(err)
	}
	for _, s := range sealed {
		if strings.Contains(string(s), secret) {
			t.Error("the token is in the database")
		}
	}
}

func TestKubeconfigsRefused(t *testing.T) {
	a := newAPI(t)
	user := "{token: " + secret + "}"
	for name, tt := range map[string]struct {
		change  []string
		context string
		want    string
	}{
		"exec":              {[]string{user, "{exec: {command: /bin/steal, args: [x], apiVersion: client.authentication.k8s.io/v1beta1}}"}, "", "kubectl create token stockade"},
		"exec beside token": {[]string{user, "{token: x, exec: {command: /bin/steal, apiVersion: client.authentication.k8s.io/v1}}"}, "", "runs no programs"},
		"exec in a context": {nil, "other", "runs no programs"},
		"auth provider":     {[]string{user, "{auth-provider: {name: gcp, config: {cmd-path: /bin/steal}}}"}, "", "auth-provider"},
		"token file":        {[]string{user, "{tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token}"}, "", "tokenFile names a file"},
		"certificate file":  {[]string{user, "{client-certificate: /etc/passwd, client-key: /etc/shadow}"}, "", "names a file"},
		"ca file":           {[]string{"certificate-authority-data:", "certificate-authority: /etc/ssl/ca.pem, certificate-authority-data:"}, "", "--flatten"},
		"proxy":             {[]string{"certificate-authority-data:", "proxy-url: http://169.254.169.254, certificate-authority-data:"}, "", "proxy-url"},
		"password":          {[]string{user, "{username: admin, password: hunter2}"}, "", "since Kubernetes 1.19"},
		"nothing":           {[]string{user, "{}"}, "", "neither a token"},
		"no check of TLS":   {[]string{"certificate-authority-data:", "insecure-skip-tls-verify: true, x:"}, "", "insecure-skip-tls-verify"},
		"plain HTTP":        {[]string{"https://", "http://"}, "", "only sent over https"},
		"a user in the URL": {[]string{"https://", "https://me:pw@"}, "", "has a user"},
		"no URL":            {[]string{a.URL, "::"}, "", "no URL"},
		"a unix socket":     {[]string{a.URL, "unix:///var/run/docker.sock"}, "", "URL"},
		"unknown context":   {nil, "prod", `"other"`},
		"damaged CA":        {[]string{"certificate-authority-data: ", "certificate-authority-data: AAAA"}, "", "damaged"},
		"no YAML":           {[]string{"apiVersion", "\x00{{{"}, "", "cannot be read"},
		"too large":         {[]string{"apiVersion", strings.Repeat("#", 2<<20) + "\napiVersion"}, "", "larger than"},
	} {
		_, err := parseKubeconfig(a.kubeconfig(tt.change...), tt.context)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c, err := parseKubeconfig(a.kubeconfig(), ""); err != nil || c.Server != a.URL || c.Token != secret {
		t.Error(c, err)
	}
}

// FuzzKubeconfig: whatever is given, no file, program or proxy gets into the credentials.
func FuzzKubeconfig(f *testing.F) {
	f.Add([]byte("apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\nclusters: [{name: k, cluster: {server: 'https://x'}}]\nusers: [{name: u, user: {token: t}}]"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseKubeconfig(data, "")
		if err != nil {
			return
		}
		rc := c.config()
		if !strings.HasPrefix(rc.Host, "https://") || rc.Insecure || rc.ExecProvider != nil || rc.AuthProvider != nil || rc.CAFile+rc.CertFile+rc.KeyFile+rc.BearerTokenFile != "" || rc.Proxy != nil {
			t.Errorf("%+v", rc)
		}
	})
}

// TestEvilServers: a check of a server that is none, or means ill, ends soon and says why, and keeps nothing.
func TestEvilServers(t *testing.T) {
	elsewhere := newAPI(t)
	long := strings.Repeat("x", 1<<16)
	for name, tt := range map[string]struct {
		fault  func(w http.ResponseWriter, r *http.Request) bool
		change []string
		state  State
		want   string
		stall  time.Duration
	}{
		"redirect with the token": {fault: func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path+"?q="+secret, http.StatusTemporaryRedirect)
			return true
		}, state: Unreachable, want: "leads elsewhere"},
		"redirect of a question": {fault: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusPermanentRedirect)
			return true
		}, state: Unreachable, want: "leads elsewhere"},
		"says nothing": {fault: func(_ http.ResponseWriter, r *http.Request) bool {
			<-r.Context().Done()
			return true
		}, state: Unreachable, want: "did not answer within", stall: 500 * time.Millisecond},
		"stops in the middle": {fault: func(w http.ResponseWriter, r *http.Request) bool {
			fmt.Fprint(w, `{"gitVersion":`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		}, state: Unreachable, want: "stopped sending", stall: 3 * time.Second},
		"an endless version": {fault: func(w http.ResponseWriter, _ *http.Request) bool {
			for range 64 {
				if _, err := fmt.Fprint(w, long); err != nil {
					break
				}
			}
			return true
		}, state: Unreachable, want: "larger than"},
		"endless headers": {fault: func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("X", long+long)
			return true
		}, state: Unreachable, want: "header"},
		"a web page": {fault: func(w http.ResponseWriter, _ *http.Request) bool {
			fmt.Fprint(w, "<html>Sign in</html>")
			return true
		}, state: Unreachable, want: "HTML"},
		"garbage": {fault: func(w http.ResponseWriter, _ *http.Request) bool {
			fmt.Fprint(w, "\x1b[2J\x00")
			return true
		}, state: Unreachable, want: "not JSON"},
		"garbage for answers to questions": {fault: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				w.WriteHeader(http.StatusCreated)
				fmt.Fprint(w, "[[[")
			}
			return r.Method == http.MethodPost
		}, state: Unreachable, want: "not JSON"},
		"another authority": {state: Unreachable, want: "certificate signed by unknown authority"},
		"wrong token":       {change: []string{secret, "other"}, state: Refused, want: "401"},
		"nobody there":      {state: Unreachable, want: "refused"},
		"too old": {fault: func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/version" {
				fmt.Fprint(w, `{"gitVersion":"v1.18.20","major":"1","minor":"18"}`)
			}
			return r.URL.Path == "/version"
		}, state: Connected, want: "runs Kubernetes v1.18.20; 1.19 is the oldest"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := storetest.Open(t, "sqlite")
			f, a := newBench(t, db, Options{Stall: tt.stall}), newAPI(t)
			a.fault = tt.fault
			config := a.kubeconfig(tt.change...)
			switch name {
			case "another authority":
				config = a.kubeconfig(a.authority(), newStranger(t))
			case "nobody there":
				a.Close()
			}
			add := Added{Name: "evil", Kind: Kubeconfig, Kubeconfig: config}
			check, err := f.Try(context.Background(), add)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := json.Marshal(check)
			if check.State != tt.state || !strings.Contains(check.Problem+check.Hint, tt.want) || strings.Contains(string(text), secret) || strings.ContainsAny(check.Problem, "\x1b\n") {
				t.Errorf("%s: %q, hint %q", check.State, check.Problem, check.Hint)
			}
			if _, _, err := f.Add(context.Background(), add); !errors.Is(err, ErrInvalid) {
				t.Errorf("it was added: %v", err)
			}
			if list, _, _ := f.List(context.Background(), all, Filter{}, store.Page{}); len(list) != 0 {
				t.Errorf("%v", list)
			}
			if name == "too old" {
				return
			}
			add.Unchecked = true
			c, _, err := f.Add(context.Background(), add)
			if err != nil || c.State != tt.state {
				t.Errorf("unchecked: %+v, %v", c, err)
			}
		})
	}
	t.Cleanup(func() {
		elsewhere.mu.Lock()
		defer elsewhere.mu.Unlock()
		if len(elsewhere.seen) != 0 {
			t.Errorf("the redirects were followed, with %q", elsewhere.seen)
		}
	})
}

// newStranger is the certificate of an authority that signed nothing here, in base64.
func newStranger(t *testing.T) string {
	t.Helper()
	db := storetest.Open(t, "sqlite")
	return base64.StdEncoding.EncodeToString(newBench(t, db, Options{}).o.Authority.PEM())
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]bool{
		"10.0.0.1": true, "192.168.1.1": true, "8.8.8.8": true, "100.64.0.1": true, "fd00::1": true, "2001:db8::1": true,
		"127.0.0.1": false, "127.9.9.9": false, "::1": false, "0.0.0.0": false, "::": false, "169.254.169.254": false, "fe80::1": false,
		"100.100.100.200": false, "168.63.129.16": false, "fd00:ec2::254": false, "::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false,
		"64:ff9b::169.254.169.254": false, "224.0.0.1": false, "255.255.255.255": false,
	} {
		if err := reachable(netip.MustParseAddr(address)); (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
	a := newAPI(t)
	f := newBench(t, storetest.Open(t, "sqlite"), Options{})
	f.o.AllowLocal = false
	for _, host := range []string{a.URL, strings.Replace(a.URL, "127.0.0.1", "localhost", 1)} { // names are judged by what they lead to
		check, err := f.Try(context.Background(), Added{Name: "x", Kind: Kubeconfig, Kubeconfig: a.kubeconfig(a.URL, host)})
		if err != nil || check.State != Unreachable || !strings.Contains(check.Problem, "this machine's own") || len(a.seen) != 0 {
			t.Errorf("%s: %+v, %v", host, check, err)
		}
	}
}

func TestOld(t *testing.T) {
	for version, want := range map[string]bool{"v1.18.20": true, "v1.19.0": false, "v1.9.11": true, "v1.36.1-eks-1": false, "v2.0.0": false, "v0.21": true, "": false, "weird": false, "v1.19+": false} {
		if got := old(version); got != want {
			t.Errorf("%q: %v", version, got)
		}
	}
}

// TestContact: state changes are told once, with what was before.
func TestContact(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		f := newBench(t, db, Options{})
		c, _, err := f.Add(ctx, Added{Name: "shop", Kind: Connector})
		if err != nil || c.State != Waiting {
			t.Fatal(c, err)
		}
		info := inventory.ClusterInfo{Version: "v1.30.1", Distribution: "kind"}
		down := errors.New("dial tcp: nobody\n  hint")
		for i, step := range []struct {
			err   error
			state State
			told  int
		}{{nil, Connected, 1}, {nil, Connected, 1}, {down, Unreachable, 2}, {down, Unreachable, 2}, {context.Canceled, Unreachable, 2},
			{fmt.Errorf("x: %w", tunnel.ErrNoConnector), Waiting, 3}, {nil, Connected, 4}} {
			f.pass(time.Minute)
			if err := f.Contact(ctx, c.TargetID, info, 3, step.err); err != nil {
				t.Fatal(err)
			}
			d, err := f.Get(ctx, all, c.TargetID)
			if err != nil || d.State != step.state || (step.err == nil) != (d.Reason == "") || strings.Contains(d.Reason, "\n") || d.Version != "v1.30.1" || d.Nodes != 3 {
				t.Errorf("%d: %+v, %v", i, d.Cluster, err)
			}
			for table, model := range map[string]any{"outbox": (*outbox.Message)(nil), "audit": (*audit.Entry)(nil)} {
				column := map[string]string{"outbox": "topic", "audit": "action"}[table]
				if n, err := db.R.NewSelect().Model(model).Where(column + " = 'cluster.state'").Count(ctx); err != nil || n != int64(step.told) {
					t.Errorf("%d: %d in %s, want %d, %v", i, n, table, step.told, err)
				}
			}
		}
		d, _ := f.Get(ctx, all, c.TargetID)
		if want := f.now; !d.ContactAt.Equal(want) || !d.StateAt.Equal(want) {
			t.Errorf("contact %v, state since %v", d.ContactAt, d.StateAt)
		}
		if err := f.Contact(ctx, 99, info, 0, nil); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}

func TestUpdateAndRemove(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		f, a := newBench(t, db, Options{}), newAPI(t)
		c, _, err := f.Add(ctx, Added{Name: "shop", Kind: Kubeconfig, Kubeconfig: a.kubeconfig()})
		if err != nil {
			t.Fatal(err)
		}
		b := newAPI(t)
		b.version = "v1.33.0"
		name := "bank"
		got, check, err := f.Update(ctx, c.TargetID, Change{Name: &name, Kubeconfig: b.kubeconfig()})
		if err != nil || got.Name != "bank" || got.Server != b.URL || check.Version != "v1.33.0" {
			t.Fatalf("%+v, %v", got, err)
		}
		if s, err := f.Open(ctx, c.TargetID); err != nil || s.Info().Version != "v1.33.0" || s.Info().Name != "bank" {
			t.Errorf("%v, %v", s, err)
		}
		// Rotation of keys, with the process running.
		if err := f.keys.Rotate(ctx, f.Reseal); err != nil {
			t.Fatal(err)
		}
		f.drop(c.TargetID)
		if _, err := f.Open(ctx, c.TargetID); err != nil {
			t.Error("after the rotation:", err)
		}
		if _, err := enrol.Open(ctx, db, f.keys, nil); err != nil {
			t.Error("after the rotation:", err)
		}
		// One row's credentials do not open another's.
		other, _, err := f.Add(ctx, Added{Name: "other", Kind: Kubeconfig, Kubeconfig: a.kubeconfig()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.R.NewUpdate().Table("clusters").Set("credentials = (SELECT credentials FROM clusters WHERE target_id = ?)", other.TargetID).
			Set("generation = 99").Where("target_id = ?", c.TargetID).Exec(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Open(ctx, c.TargetID); !errors.Is(err, seal.ErrBroken) {
			t.Errorf("credentials of another row: %v", err)
		}
		if err := f.Remove(ctx, c.TargetID); err != nil {
			t.Fatal(err)
		}
		if err := f.Remove(ctx, c.TargetID); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		if _, err := f.Open(ctx, c.TargetID); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		if _, err := f.REST(ctx, c.TargetID); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		if _, _, err := f.Add(ctx, Added{Name: "bank", Kind: Connector}); err != nil {
			t.Errorf("a removed cluster's name is taken: %v", err)
		}
		leaks(t, db)
	})
}

func TestListAndSight(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		f := newBench(t, db, Options{})
		var ids []int64
		for i := range 7 {
			c, _, err := f.Add(ctx, Added{Name: fmt.Sprintf("c_%d", i), Kind: Connector})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, c.TargetID)
		}
		names := func(v identity.Visible, filter Filter) (out []string) {
			page := store.Page{Limit: 3}
			for {
				list, next, err := f.List(ctx, v, filter, page)
				if err != nil || len(list) > 3 {
					t.Fatal(len(list), err)
				}
				for _, c := range list {
					out = append(out, c.Name)
				}
				if page.After = next; next == "" {
					return out
				}
			}
		}
		some := identity.Visible{Targets: []int64{ids[1]}, Namespaces: map[int64][]string{ids[4]: {"a"}}}
		for _, tt := range []struct {
			v      identity.Visible
			filter Filter
			want   string
		}{
			{all, Filter{}, "[c_0 c_1 c_2 c_3 c_4 c_5 c_6]"}, {some, Filter{}, "[c_1 c_4]"}, {identity.Visible{}, Filter{}, "[]"},
			{all, Filter{Search: "C_3"}, "[c_3]"}, {all, Filter{Search: "%"}, "[]"}, {all, Filter{Search: "_"}, "[c_0 c_1 c_2 c_3 c_4 c_5 c_6]"}, {all, Filter{State: Connected}, "[]"},
			{all, Filter{Kind: Kubeconfig}, "[]"}, {all, Filter{State: Waiting, Search: "6"}, "[c_6]"},
		} {
			if got := fmt.Sprint(names(tt.v, tt.filter)); got != tt.want {
				t.Errorf("%+v %+v: %s, want %s", tt.v, tt.filter, got, tt.want)
			}
		}
		if d, err := f.Get(ctx, some, ids[4]); err != nil || d.Reason != "" || d.Connector != nil {
			t.Errorf("a namespace's viewer sees %+v, %v", d, err)
		}
		if d, err := f.Get(ctx, some, ids[1]); err != nil || d.Reason == "" || d.Connector == nil {
			t.Errorf("a cluster's viewer sees %+v, %v", d, err)
		}
		if _, err := f.Get(ctx, some, ids[2]); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{"shop": true, "生产集群": true, "arn:aws:eks:eu-west-1:1:cluster/shop": true, "": false, "  ": false, "a\nb": false,
		"<script>": false, strings.Repeat("é", 100): true, strings.Repeat("é", 101): false, "a\x1b[0m": false, "a;b": false} {
		if _, err := validName(name); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestSnapshot: what the server's command line names is there once, under its name.
func TestSnapshot(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		f := newBench(t, db, Options{})
		add := Added{Name: "demo", Kind: Snapshot, Path: "../../demo/shop"}
		id, err := f.Ensure(ctx, add)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := f.Ensure(ctx, add); err != nil || again != id {
			t.Error(again, err)
		}
		s, err := f.Open(ctx, id)
		if err != nil || s.Info().Name != "demo" {
			t.Fatal(s, err)
		}
		if _, err := s.PullSecret(ctx, "a", "b"); err == nil {
			t.Error("a snapshot gives secrets")
		}
		if _, err := f.REST(ctx, id); !errors.Is(err, ErrNotLive) {
			t.Error(err)
		}
		if c, err := f.CheckCluster(ctx, id); err != nil || c.State != Connected {
			t.Error(c, err)
		}
		if _, err := f.Ensure(ctx, Added{Name: "none", Kind: Snapshot, Path: "/nonexistent"}); !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
	})
}
