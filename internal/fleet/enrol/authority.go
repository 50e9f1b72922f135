// Package enrol gives connectors and replicas of the server their identity: a certificate authority of the server's own, one-time
// tokens, certificates that are renewed and can be revoked.
package enrol

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/seal"
	"stockade.dev/stockade/internal/store"
)

// Lifetimes of certificates. Connectors renew theirs when half of it is over.
const (
	AuthorityLifetime = 10 * 365 * 24 * time.Hour
	Lifetime          = 30 * 24 * time.Hour
	ServerLifetime    = 90 * 24 * time.Hour
	skew              = 10 * time.Minute // clocks of clusters may be behind
)

// Kinds of holders of certificates, as the URI in them says: spiffe://stockade/connector/3.
const (
	Connector = "connector" // name is the target's id
	Replica   = "replica"   // of the server, for its other replicas
	Server    = "server"    // what connectors speak to
	Provider  = "provider"  // of a protected cluster; name is the target's id
)

// Holder is who a certificate is for.
type Holder struct{ Kind, Name string }

// Target is the cluster of a connector or provider; 0 for others.
func (h Holder) Target() int64 {
	if h.Kind != Connector && h.Kind != Provider {
		return 0
	}
	n, err := strconv.ParseInt(h.Name, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (h Holder) uri() *url.URL {
	return &url.URL{Scheme: "spiffe", Host: "stockade", Path: "/" + h.Kind + "/" + h.Name}
}

// HolderOf reads who a certificate is for. That the authority signed it is the caller's to check.
func HolderOf(cert *x509.Certificate) (Holder, error) {
	if len(cert.URIs) != 1 || cert.URIs[0].Scheme != "spiffe" || cert.URIs[0].Host != "stockade" {
		return Holder{}, errors.New("the certificate names nobody that stockade knows")
	}
	kind, name, ok := strings.Cut(strings.TrimPrefix(cert.URIs[0].Path, "/"), "/")
	if !ok || name == "" || strings.Contains(name, "/") {
		return Holder{}, errors.New("the certificate names nobody that stockade knows")
	}
	return Holder{Kind: kind, Name: name}, nil
}

// Authority is the server's certificate authority. All replicas share it: its key lies sealed in the database.
type Authority struct {
	db   *store.DB
	keys *seal.Keys
	now  func() time.Time

	cert  *x509.Certificate
	key   crypto.Signer
	roots *x509.CertPool
	all   []*x509.Certificate
}

type authorityRow struct {
	bun.BaseModel `bun:"table:authorities"`

	ID          int64      `bun:"id,pk,autoincrement"`
	Certificate []byte     `bun:"certificate"`
	PrivateKey  []byte     `bun:"private_key"`
	CreatedAt   store.Time `bun:"created_at"`
	Active      bool       `bun:"active"`
}

// place binds the sealed key to its certificate.
func place(der []byte) string {
	sum := sha256.Sum256(der)
	return "authorities/" + hex.EncodeToString(sum[:])
}

// Open loads the authority, and makes it at the first start. now is the clock; nil is time.Now.
func Open(ctx context.Context, db *store.DB, keys *seal.Keys, now func() time.Time) (*Authority, error) {
	if now == nil {
		now = time.Now
	}
	a := &Authority{db: db, keys: keys, now: now}
	rows, err := a.rows(ctx)
	if err == nil && len(rows) == 0 {
		if err = a.create(ctx); err == nil {
			rows, err = a.rows(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening the certificate authority: %w", err)
	}
	a.roots = x509.NewCertPool()
	for _, row := range rows {
		cert, err := x509.ParseCertificate(row.Certificate)
		if err != nil {
			return nil, fmt.Errorf("certificate authority %d: %w", row.ID, err)
		}
		a.roots.AddCert(cert)
		a.all = append(a.all, cert)
		if !row.Active {
			continue
		}
		der, err := keys.Open(place(row.Certificate), row.PrivateKey)
		if err != nil {
			return nil, fmt.Errorf("the certificate authority's key: %w", err)
		}
		key, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			return nil, fmt.Errorf("the certificate authority's key: %w", err)
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("the certificate authority's key: %T cannot sign", key)
		}
		a.cert, a.key = cert, signer
	}
	if a.cert == nil {
		return nil, errors.New("the certificate authority: none of the database's is active")
	}
	return a, nil
}

func (a *Authority) rows(ctx context.Context) ([]authorityRow, error) {
	var rows []authorityRow
	return rows, a.db.R.NewSelect().Model(&rows).Order("id").Scan(ctx)
}

// create makes an authority, unless another replica was faster.
func (a *Authority) create(ctx context.Context) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := a.now()
	template := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: "Stockade CA " + now.UTC().Format("2006-01-02")},
		NotBefore: now.Add(-skew), NotAfter: now.Add(AuthorityLifetime), IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	sealed, err := a.keys.Seal(place(der), secret)
	if err != nil {
		return err
	}
	err = a.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewInsert().Model(&authorityRow{Certificate: der, PrivateKey: sealed, CreatedAt: store.At(now), Active: true}).Exec(ctx)
		return err
	})
	if store.Duplicate(err) {
		return nil
	}
	return err
}

// Reseal seals the authority's key anew, for seal.Keys.Rotate.
func (a *Authority) Reseal(ctx context.Context) error {
	return a.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		var rows []authorityRow
		if err := tx.NewSelect().Model(&rows).Scan(ctx); err != nil {
			return err
		}
		for _, row := range rows {
			sealed, err := a.keys.Reseal(place(row.Certificate), row.PrivateKey)
			if err != nil {
				return err
			}
			if _, err := tx.NewUpdate().Model(&row).Set("private_key = ?", sealed).Where("id = ?", row.ID).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// serial is 16 random bytes, positive.
func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}

// Roots is the pool that trusts the authority.
func (a *Authority) Roots() *x509.CertPool { return a.roots }

// PEM is the authority's certificates.
func (a *Authority) PEM() []byte {
	var out []byte
	for _, c := range a.all {
		out = append(out, PEM(c)...)
	}
	return out
}

// Certificate is the one of the authority that signs.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Pin is the SHA-256 of the authority's public key, hexadecimal: what --ca-pin of the connector takes.
func (a *Authority) Pin() string { return PinOf(a.cert) }

// PinOf is the SHA-256 of a certificate's public key, hexadecimal.
func PinOf(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// Own makes a key and a certificate for the server itself: Kind Server to be shown to connectors and, with hosts, to browsers, Kind
// Replica to be shown to other replicas. The chain holds the authority.
func (a *Authority) Own(h Holder, hosts ...string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := a.template(h, ServerLifetime)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}, err
}

func (a *Authority) template(h Holder, lifetime time.Duration) *x509.Certificate {
	now := a.now()
	return &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: "stockade " + h.Kind + " " + h.Name}, URIs: []*url.URL{h.uri()},
		NotBefore: now.Add(-skew), NotAfter: now.Add(lifetime), KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
}

// maxRequest bounds a certificate request.
const maxRequest = 8 << 10

// sign makes a connector's certificate of a request.
func (a *Authority) sign(request []byte, target int64) (*x509.Certificate, error) {
	return a.signFor(request, Holder{Connector, strconv.FormatInt(target, 10)})
}

// signFor makes a certificate of a request. Of the request only the key counts: the name is the caller's.
func (a *Authority) signFor(request []byte, h Holder) (*x509.Certificate, error) {
	if len(request) > maxRequest {
		return nil, fmt.Errorf("%w: it is larger than %d KiB", ErrRequest, maxRequest>>10)
	}
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	switch k := csr.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			return nil, fmt.Errorf("%w: the curve is not P-256 or P-384", ErrRequest)
		}
	case ed25519.PublicKey:
	default:
		return nil, fmt.Errorf("%w: want a key on P-256, P-384 or Ed25519, not %T", ErrRequest, csr.PublicKey)
	}
	t := a.template(h, Lifetime)
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, csr.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
