//go:build linux

package agent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"stockade.dev/stockade/internal/agent/protocol"
)

// identityFile is where the agent keeps its key, below its folder.
const identityFile = "identity.json"

// identity is who the agent is to the server.
type identity struct {
	Key    string          `json:"key"` // PEM
	Papers protocol.Papers `json:"papers"`
	// Enrolled is the SHA-256 of the token it was enrolled with: a new token makes it enrol anew.
	Enrolled string `json:"enrolled"`
	Server   string `json:"server"`
}

// tokenMark is what of a token is kept.
func tokenMark(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// loadIdentity reads what was kept; nil when there is none.
func loadIdentity(dir string) (*identity, error) {
	name := filepath.Join(dir, identityFile)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	id := new(identity)
	if err := json.Unmarshal(data, id); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return id, nil
}

func (id *identity) save(dir string) error {
	data, err := json.Marshal(id)
	if err != nil {
		return err
	}
	return writeFile(dir, identityFile, data)
}

// writeFile writes a file whole or not at all, for the agent alone.
func writeFile(dir, name string, data []byte) error {
	temp, err := os.CreateTemp(dir, "."+name+"-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return os.Rename(temp.Name(), filepath.Join(dir, name))
}

// parse checks that key, certificate and authority belong together.
func (id *identity) parse() (tls.Certificate, *x509.CertPool, error) {
	cert, err := tls.X509KeyPair([]byte(id.Papers.Certificate), []byte(id.Key))
	if err != nil {
		return cert, nil, fmt.Errorf("the agent's certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(id.Papers.Authority)) {
		return cert, nil, errors.New("the server's authority is not a certificate")
	}
	return cert, roots, nil
}

// newKey makes a key and the request for its certificate. The name in it does not count: the server knows whose it is.
func newKey() (key string, request []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return "", nil, err
	}
	request, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, k)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), request, err
}
