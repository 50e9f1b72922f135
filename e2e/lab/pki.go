package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority is a certificate authority that lives as long as one control plane.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte
}

// keyPair is a certificate and its key, both PEM.
type keyPair struct{ cert, key []byte }

// identity is what the API server reads from a client certificate.
type identity struct {
	user   string
	groups []string
}

var admin = identity{user: "lab-admin", groups: []string{"system:masters"}}

func newAuthority(name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return authorityOf(name, key)
}

func authorityOf(name string, key crypto.Signer) (*authority, error) {
	tmpl, err := template(pkix.Name{CommonName: name})
	if err != nil {
		return nil, err
	}
	tmpl.DNSNames = []string{name} // Gatekeeper looks for it there
	tmpl.IsCA = true
	tmpl.BasicConstraintsValid = true
	tmpl.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{cert: cert, key: key, pem: encode("CERTIFICATE", der)}, nil
}

// server issues a certificate for loopback, the API server's names and more of
// them, addresses too.
func (a *authority) server(name string, more ...string) (keyPair, error) {
	tmpl, err := template(pkix.Name{CommonName: name})
	if err != nil {
		return keyPair{}, err
	}
	// A webhook's certificate is also what Gatekeeper shows to providers.
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	tmpl.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	tmpl.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	for _, name := range more {
		if ip := net.ParseIP(name); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, name)
		}
	}
	return a.issue(tmpl)
}

// client issues a certificate that Kubernetes reads as id.
func (a *authority) client(id identity) (keyPair, error) {
	tmpl, err := template(pkix.Name{CommonName: id.user, Organization: id.groups})
	if err != nil {
		return keyPair{}, err
	}
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.issue(tmpl)
}

// keyPEM is the authority's own key.
func (a *authority) keyPEM() ([]byte, error) {
	switch key := a.key.(type) {
	case *rsa.PrivateKey:
		return encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), nil
	case *ecdsa.PrivateKey:
		der, err := x509.MarshalECPrivateKey(key)
		return encode("EC PRIVATE KEY", der), err
	}
	return nil, fmt.Errorf("a key of type %T", a.key)
}

func (a *authority) issue(tmpl *x509.Certificate) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		return keyPair{}, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return keyPair{}, err
	}
	return keyPair{cert: encode("CERTIFICATE", der), key: encode("EC PRIVATE KEY", keyDER)}, nil
}

func template(subject pkix.Name) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(365 * 24 * time.Hour), // Gatekeeper renews what ends within three months
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}, nil
}

// tokenKeys is the pair that signs and checks service-account tokens. RSA: the
// API server reads no other kind of PKIX key in every version.
func tokenKeys() (private, public []byte, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, err
	}
	return encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), encode("PUBLIC KEY", der), nil
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// writePKI makes everything the API server reads at start. Its certificate is for
// loopback and for more names and addresses.
func writePKI(dir string, more ...string) (*authority, error) {
	ca, err := newAuthority("stockade-lab")
	if err != nil {
		return nil, fmt.Errorf("make the lab's CA: %w", err)
	}
	serving, err := ca.server("kube-apiserver", more...)
	if err != nil {
		return nil, fmt.Errorf("make the API server's certificate: %w", err)
	}
	private, public, err := tokenKeys()
	if err != nil {
		return nil, fmt.Errorf("make the service-account keys: %w", err)
	}
	caKey, err := ca.keyPEM()
	if err != nil {
		return nil, err
	}
	for name, data := range map[string][]byte{
		"ca.crt":        ca.pem,
		"ca.key":        caKey, // the controller-manager signs with it
		"apiserver.crt": serving.cert,
		"apiserver.key": serving.key,
		"sa.key":        private,
		"sa.pub":        public,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return nil, err
		}
	}
	return ca, nil
}

// ServingCert makes a CA and a server's certificate for these names and
// addresses, all PEM: for servers that tests run inside a cluster.
func ServingCert(names ...string) (ca, cert, key []byte, err error) {
	authority, err := newAuthority("lab-serving")
	if err != nil {
		return nil, nil, nil, err
	}
	pair, err := authority.server(names[0], names...)
	return authority.pem, pair.cert, pair.key, err
}
