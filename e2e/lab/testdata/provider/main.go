// Command provider is an external-data provider for the lab's own tests: a key with "bad" in it is refused. It speaks to
// clients with a certificate of Gatekeeper's CA only.
//
//	provider ADDRESS FOLDER   the folder has tls.crt, tls.key and client-ca.crt
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

type item struct {
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
	Error string `json:"error,omitempty"`
}

func main() {
	address, dir := os.Args[1], os.Args[2]
	pem, err := os.ReadFile(filepath.Join(dir, "client-ca.crt"))
	if err != nil {
		log.Fatal(err)
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(pem) {
		log.Fatal("client-ca.crt has no certificate")
	}
	server := &http.Server{
		Addr:      address,
		Handler:   http.HandlerFunc(answer),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients},
	}
	log.Fatal(server.ListenAndServeTLS(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")))
}

func answer(w http.ResponseWriter, r *http.Request) {
	var in struct{ Request struct{ Keys []string } }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	items := []item{}
	for _, key := range in.Request.Keys {
		if strings.Contains(key, "bad") {
			items = append(items, item{Key: key, Error: "known to be bad, says " + r.TLS.ServerName})
		} else {
			items = append(items, item{Key: key, Value: "good"})
		}
	}
	log.Printf("%s asked for %q", r.TLS.PeerCertificates[0].Subject.CommonName, in.Request.Keys)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"apiVersion": "externaldata.gatekeeper.sh/v1beta1", "kind": "ProviderResponse",
		"response": map[string]any{"idempotent": true, "items": items}})
}
