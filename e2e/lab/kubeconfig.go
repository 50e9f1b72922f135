package lab

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
)

// kubeconfig is the text of a kubeconfig with one cluster and one user. It is
// written by hand so that the tests do not read with the library they test.
func kubeconfig(server string, ca []byte, pair keyPair) []byte {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: lab
contexts:
- name: lab
  context:
    cluster: lab
    user: lab
clusters:
- name: lab
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: lab
  user:
    client-certificate-data: %s
    client-key-data: %s
`, server, b64(ca), b64(pair.cert), b64(pair.key))
}

// writeKubeconfig issues a client certificate for id and writes a kubeconfig for
// server under a new name in dir.
func (a *authority) writeKubeconfig(dir, server string, id identity) (string, error) {
	pair, err := a.client(id)
	if err != nil {
		return "", fmt.Errorf("make a client certificate for %s: %w", id.user, err)
	}
	return saveKubeconfig(dir, kubeconfig(server, a.pem, pair))
}

func saveKubeconfig(dir string, text []byte) (string, error) {
	f, err := os.CreateTemp(dir, "kubeconfig-*.yaml")
	if err != nil {
		return "", err
	}
	if _, err := f.Write(text); err != nil {
		f.Close()
		return "", err
	}
	return filepath.Clean(f.Name()), f.Close()
}
