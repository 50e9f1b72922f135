package protect

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"stockade.dev/stockade/internal/store"
)

// Lifetimes of what we issue, and when it is replaced.
const (
	authorityLife  = 10 * 365 * 24 * time.Hour
	authorityRenew = 365 * 24 * time.Hour // left
	servingLife    = 90 * 24 * time.Hour
	servingRenew   = 30 * 24 * time.Hour // left
	clockSkew      = 10 * time.Minute
	gatekeeperLife = 10 * 365 * 24 * time.Hour // of the authority that we give Gatekeeper to begin with; it renews both by itself
)

// pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newSerial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[0] = b[0]&0x7f | 0x40
	return new(big.Int).SetBytes(b)
}

// sign makes a certificate of t for key, signed by the authority, or by itself.
func sign(t *x509.Certificate, key crypto.Signer, by *pair) (*pair, error) {
	t.SerialNumber = newSerial()
	parent, signer := t, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &pair{cert, key}, err
}

// newAuthority makes the authority of a cluster: it signs the provider's serving certificate and nothing else.
func newAuthority(target int64, now time.Time) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return sign(&x509.Certificate{Subject: pkix.Name{CommonName: fmt.Sprintf("stockade protection of cluster %d", target)},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(authorityLife), IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}, key, nil)
}

// serving makes the certificate that the provider shows to Gatekeeper and to the API server.
func serving(by *pair, now time.Time) (*pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	host := providerName + "." + Namespace
	return sign(&x509.Certificate{Subject: pkix.Name{CommonName: host + ".svc"}, DNSNames: []string{host + ".svc", host + ".svc.cluster.local", host, providerName},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(servingLife), BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, key, by)
}

// gatekeeperPairs makes what Gatekeeper's certificate Secret holds, as Gatekeeper itself would write it: an authority whose name is
// among its own alternative names, with a PKCS #1 RSA key, and a certificate for server and client. Filled in advance it spares the
// pods a restart; Gatekeeper renews both.
func gatekeeperPairs(now time.Time) (ca, tls *pair, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	ca, err = sign(&x509.Certificate{Subject: pkix.Name{CommonName: "gatekeeper-ca", Organization: []string{"gatekeeper"}}, DNSNames: []string{"gatekeeper-ca"},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(gatekeeperLife), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign}, key, nil) // without an extended usage, which would hold for the certificates below it too
	if err != nil {
		return nil, nil, err
	}
	leafKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	const host = "gatekeeper-webhook-service." + gatekeeperNS + ".svc"
	tls, err = sign(&x509.Certificate{Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: now.Add(-clockSkew), NotAfter: now.Add(gatekeeperLife),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, leafKey, ca)
	return ca, tls, err
}

func (p *pair) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})
}

// keyPEM writes the key: RSA as PKCS #1, since Gatekeeper reads no other, the rest as PKCS #8.
func (p *pair) keyPEM() ([]byte, error) {
	if k, ok := p.key.(*rsa.PrivateKey); ok {
		return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}), nil
	}
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// maxPEM bounds the certificates that are read from a Secret.
const maxPEM = 20

// parsePEM reads certificates; what is none is left out.
func parsePEM(data []byte) []*x509.Certificate {
	var list []*x509.Certificate
	for len(list) < maxPEM {
		var b *pem.Block
		if b, data = pem.Decode(data); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		if c, err := x509.ParseCertificate(b.Bytes); err == nil {
			list = append(list, c)
		}
	}
	return list
}

// union writes certificates once each, those first that come first, without those that have ended.
func union(now time.Time, lists ...[]*x509.Certificate) []byte {
	var out []byte
	have := map[string]bool{}
	for _, list := range lists {
		for _, c := range list {
			if have[string(c.Raw)] || now.After(c.NotAfter) || len(have) >= maxPEM {
				continue
			}
			have[string(c.Raw)] = true
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
	}
	return out
}

// place binds the sealed key of a cluster's authority to its row.
func place(target int64) string { return fmt.Sprintf("protections/%d/authority", target) }

// authority returns the authority of a cluster, and all that its certificates may be signed by. It is made when there is none, and
// replaced a year before it ends: the old one stays trusted until its end.
func (s *Service) authority(r *row) (by *pair, roots []byte, changed bool, err error) {
	now := s.o.Now()
	certs := parsePEM(r.Authority)
	if len(certs) > 0 && len(r.AuthorityKey) > 0 && now.Add(authorityRenew).Before(certs[0].NotAfter) {
		der, err := s.o.Keys.Open(place(r.TargetID), r.AuthorityKey)
		if err != nil {
			return nil, nil, false, fmt.Errorf("the key of the cluster's authority: %w", err)
		}
		key, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			return nil, nil, false, fmt.Errorf("the key of the cluster's authority: %w", err)
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, nil, false, errors.New("the key of the cluster's authority cannot sign")
		}
		return &pair{certs[0], signer}, union(now, certs), false, nil
	}
	if by, err = newAuthority(r.TargetID, now); err != nil {
		return nil, nil, false, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(by.key)
	if err != nil {
		return nil, nil, false, err
	}
	if r.AuthorityKey, err = s.o.Keys.Seal(place(r.TargetID), der); err != nil {
		return nil, nil, false, err
	}
	all := []*x509.Certificate{by.cert}
	r.Authority = union(now, all, certs)
	return by, r.Authority, true, nil
}

// described is a certificate for people.
func described(name, use, by string, c *x509.Certificate, left time.Duration) Certificate {
	return Certificate{Name: name, Use: use, By: by, Ends: store.At(c.NotAfter), Renewed: store.At(c.NotAfter.Add(-left))}
}

// hostOf is the host and port of an address.
func hostOf(address string) (host, port string) {
	u, err := url.Parse(address)
	if err != nil {
		return "", ""
	}
	if port = u.Port(); port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return u.Hostname(), port
}
