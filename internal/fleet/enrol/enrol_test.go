package enrol

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/ledger"
	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
)

type bench struct {
	*Authority
	t    *testing.T
	db   *store.DB
	keys *seal.Keys
	time time.Time
}

func newBench(t *testing.T, db *store.DB) *bench {
	t.Helper()
	keys, err := seal.Load(filepath.Join(t.TempDir(), "keys"), "")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, db: db, keys: keys, time: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	if b.Authority, err = Open(context.Background(), db, keys, func() time.Time { return b.time }); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) target(name string) int64 {
	b.t.Helper()
	var id int64
	b.write(func(ctx context.Context, tx bun.Tx) error {
		target, err := ledger.AddTarget(ctx, tx, "cluster", name, b.time)
		id = target.ID
		return err
	})
	return id
}

func (b *bench) write(f func(ctx context.Context, tx bun.Tx) error) {
	b.t.Helper()
	if err := b.db.Write(context.Background(), f); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) token(target int64, lifetime time.Duration) (token string) {
	b.t.Helper()
	b.write(func(ctx context.Context, tx bun.Tx) (err error) {
		token, _, err = b.NewToken(ctx, tx, target, lifetime)
		return err
	})
	return token
}

func request(t testing.TB, key any, template *x509.CertificateRequest) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func p256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestEnrol(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		b := newBench(t, db)
		shop := b.target("shop")
		csr := request(t, p256(t), &x509.CertificateRequest{})
		if _, _, err := b.Enrol(ctx, "sce_guessed", csr, "192.0.2.1:1"); !errors.Is(err, ErrToken) {
			t.Error(err)
		}
		old := b.token(shop, 0)
		token := b.token(shop, time.Hour)
		if _, _, err := b.Enrol(ctx, old, csr, ""); !errors.Is(err, ErrToken) {
			t.Errorf("a token that was replaced: %v", err)
		}
		// A request that cannot be taken uses no token up.
		if _, _, err := b.Enrol(ctx, token, []byte("no request"), ""); !errors.Is(err, ErrRequest) {
			t.Error(err)
		}
		target, cert, err := b.Enrol(ctx, token, csr, "192.0.2.1:1")
		if err != nil || target != shop {
			t.Fatal(target, err)
		}
		if _, err := cert.Verify(x509.VerifyOptions{Roots: b.Roots(), CurrentTime: b.time, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Error(err)
		}
		if h, err := HolderOf(cert); err != nil || h.Target() != shop || cert.IsCA || !cert.NotAfter.Equal(b.time.Add(Lifetime)) {
			t.Errorf("%+v, %v, until %v", h, err, cert.NotAfter)
		}
		if _, _, err := b.Enrol(ctx, token, csr, ""); !errors.Is(err, ErrUsed) {
			t.Errorf("a used token: %v", err)
		}
		late := b.token(shop, time.Hour)
		b.time = b.time.Add(time.Hour)
		if _, _, err := b.Enrol(ctx, late, csr, ""); !errors.Is(err, ErrExpired) {
			t.Errorf("an expired token: %v", err)
		}
		var stored []string
		if err := db.R.NewSelect().Table("enrolments").Column("hash").Scan(ctx, &stored); err != nil || strings.Contains(strings.Join(stored, " "), token) {
			t.Error("the token is in the database", err)
		}
		if n, err := db.R.NewSelect().Model((*audit.Entry)(nil)).Where("action = 'connector.enrol' AND target_id = ?", shop).Count(ctx); err != nil || n != 1 {
			t.Error(n, err)
		}
	})
}

// TestEnrolRace: of many who come with one token at once, one gets a certificate.
func TestEnrolRace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		shop := b.target("shop")
		token := b.token(shop, 0)
		csr := request(t, p256(t), &x509.CertificateRequest{})
		var wait sync.WaitGroup
		results := make([]error, 16)
		for i := range results {
			wait.Go(func() { _, _, results[i] = b.Enrol(context.Background(), token, csr, "") })
		}
		wait.Wait()
		good := 0
		for _, err := range results {
			switch {
			case err == nil:
				good++
			case !errors.Is(err, ErrUsed):
				t.Error(err)
			}
		}
		rows, err := b.Certificates(context.Background(), shop)
		if good != 1 || err != nil || len(rows) != 1 {
			t.Errorf("%d enrolled, %d certificates, %v", good, len(rows), err)
		}
	})
}

// TestRequests: of a request only the key counts, and weak keys do not.
func TestRequests(t *testing.T) {
	b := newBench(t, storetest.Open(t, "sqlite"))
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	weak, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := url.Parse("spiffe://stockade/connector/99")
	bold := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "stockade server"}, DNSNames: []string{"stockade.example.com"},
		IPAddresses: []net.IP{net.IPv4(10, 0, 0, 1)}, URIs: []*url.URL{other}}
	good := request(t, p256(t), bold)
	for name, tt := range map[string]struct {
		csr []byte
		ok  bool
	}{
		"P-256":            {good, true},
		"Ed25519":          {request(t, ed, bold), true},
		"P-224":            {request(t, weak, bold), false},
		"RSA":              {request(t, rsaKey, bold), false},
		"large":            {append(good, make([]byte, 9<<10)...), false},
		"broken signature": {append(good[:len(good)-1:len(good)-1], good[len(good)-1]^1), false},
	} {
		cert, err := b.sign(tt.csr, 7)
		if (err == nil) != tt.ok || !tt.ok && !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if tt.ok && (len(cert.DNSNames)+len(cert.IPAddresses) != 0 || len(cert.URIs) != 1 || cert.URIs[0].String() != "spiffe://stockade/connector/7" || strings.Contains(cert.Subject.CommonName, "server")) {
			t.Errorf("%s: the certificate is for %v %v %v", name, cert.Subject, cert.URIs, cert.DNSNames)
		}
	}
}

func TestRenewAndRevoke(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		b := newBench(t, db)
		shop, bank := b.target("shop"), b.target("bank")
		csr := request(t, p256(t), &x509.CertificateRequest{})
		enrol := func(target int64) *x509.Certificate {
			_, cert, err := b.Enrol(ctx, b.token(target, 0), csr, "")
			if err != nil {
				t.Fatal(err)
			}
			return cert
		}
		first, other := enrol(shop), enrol(bank)
		b.time = b.time.Add(Lifetime / 2)
		second, err := b.Renew(ctx, first, csr)
		if err != nil || b.Check(ctx, first) != nil || b.Check(ctx, second) != nil {
			t.Fatal(err)
		}
		if h, _ := HolderOf(second); h.Target() != shop {
			t.Errorf("renewed for %+v", h)
		}
		b.write(func(ctx context.Context, tx bun.Tx) error { return b.Revoke(ctx, tx, shop, "stolen") })
		for _, cert := range []*x509.Certificate{first, second} {
			if err := b.Check(ctx, cert); !errors.Is(err, ErrRevoked) {
				t.Error(err)
			}
			if _, err := b.Renew(ctx, cert, csr); !errors.Is(err, ErrRevoked) {
				t.Error(err)
			}
		}
		if err := b.Check(ctx, other); err != nil {
			t.Errorf("another cluster's certificate: %v", err)
		}
		lapsed, err := b.Lapsed(ctx, []string{Serial(first), Serial(other), "77"})
		if err != nil || len(lapsed) != 2 || lapsed[0] != Serial(first) || lapsed[1] != "77" {
			t.Error(lapsed, err)
		}
		third := enrol(shop)
		fourth := enrol(shop)
		if !errors.Is(b.Check(ctx, third), ErrRevoked) || b.Check(ctx, fourth) != nil {
			t.Error("enrolling again does not revoke what was before")
		}
		for n := range maxRenewals + 1 {
			if _, err := b.Renew(ctx, fourth, csr); (err == nil) != (n < maxRenewals-3) { // three were given before
				t.Errorf("renewal %d in a day: %v", n, err)
			}
		}
		b.time = b.time.Add(Lifetime + time.Second)
		if err := b.Check(ctx, fourth); err == nil || errors.Is(err, ErrRevoked) {
			t.Errorf("expired: %v", err)
		}
		if _, err := b.Renew(ctx, fourth, csr); err == nil {
			t.Error("an expired certificate was renewed")
		}
		b.time = b.time.Add(2 * Lifetime)
		if err := b.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		if rows, err := b.Certificates(ctx, shop); err != nil || len(rows) != 0 {
			t.Errorf("%d certificates are kept for ever, %v", len(rows), err)
		}
	})
}

// TestAuthority: all replicas have the same, made by whoever came first, and without the keys it is of no use.
func TestAuthority(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		keys, err := seal.Load(filepath.Join(t.TempDir(), "keys"), "")
		if err != nil {
			t.Fatal(err)
		}
		pins := make([]string, 8)
		var wait sync.WaitGroup
		for i := range pins {
			wait.Go(func() {
				a, err := Open(context.Background(), db, keys, nil)
				if err != nil {
					t.Error(err)
					return
				}
				pins[i] = a.Pin()
			})
		}
		wait.Wait()
		for _, p := range pins {
			if p != pins[0] || len(p) != 64 {
				t.Errorf("pins %q", pins)
			}
		}
		stranger, err := seal.Load(filepath.Join(t.TempDir(), "keys"), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(context.Background(), db, stranger, nil); !errors.Is(err, seal.ErrUnknownKey) {
			t.Error(err)
		}
	})
}

// TestHolders: names in certificates are read exactly.
func TestHolders(t *testing.T) {
	for uri, want := range map[string]int64{"spiffe://stockade/connector/3": 3, "spiffe://stockade/connector/": 0, "spiffe://stockade/connector/3/4": 0, "spiffe://stockade/replica/3": 0,
		"spiffe://elsewhere/connector/3": 0, "https://stockade/connector/3": 0, "spiffe://stockade/connector/x": 0} {
		u, _ := url.Parse(uri)
		if h, _ := HolderOf(&x509.Certificate{URIs: []*url.URL{u}}); h.Target() != want {
			t.Errorf("%s: %+v", uri, h)
		}
	}
}

// FuzzRequest: no bytes of a stranger get a certificate but a well-signed request of a good key.
func FuzzRequest(f *testing.F) {
	key := p256(f)
	f.Add(request(f, key, &x509.CertificateRequest{}))
	f.Add([]byte{0x30, 0x80})
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: serial()}, &x509.Certificate{SerialNumber: serial()}, key.Public(), key)
	if err != nil {
		f.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		f.Fatal(err)
	}
	a := &Authority{now: time.Now, cert: ca, key: key}
	f.Fuzz(func(t *testing.T, data []byte) {
		cert, err := a.sign(data, 1)
		if err == nil && (cert.IsCA || len(cert.URIs) != 1) {
			t.Errorf("%+v", cert)
		}
	})
}
