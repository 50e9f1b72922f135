package node

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"stockade.dev/stockade/internal/inventory"
)

const (
	maxCertFile = 1 << 20
	maxCerts    = 50 // of one file: bundles of public authorities are no certificates of the cluster
	maxDepth    = 4  // folders below a PKI folder
)

// certificates reads those in PKI folders and kubeconfigs, and notes the files of the folders.
func (r *reader) certificates() {
	var dirs []string
	for _, f := range r.facts.Files {
		switch f.Role {
		case "pki-dir":
			dirs = append(dirs, f.Path)
		case "kubelet-kubeconfig", "kube-proxy-kubeconfig", "admin-conf", "scheduler-conf", "controller-manager-conf":
			r.certificate(view{root: r.root}, f.Path)
		}
	}
	for _, dir := range dirs {
		r.pki(dir, 0)
	}
	kubelet := r.view(r.process(inventory.Kubelet))
	if k := r.facts.Kubelet; k != nil {
		dir := kubelet.at(k.Flags["cert-dir"])
		if dir == "" {
			dir = "/var/lib/kubelet/pki"
			if rest := k.Flags["root-dir"]; rest != "" {
				dir = path.Join(kubelet.at(rest), "pki")
			}
		}
		r.kubeletPKI(kubelet, dir)
		file := k.Flags["tls-cert-file"]
		if file == "" {
			file = inventory.Str(k.Config, "tlsCertFile")
		}
		r.certificate(kubelet, kubelet.at(file))
		r.certificate(kubelet, kubelet.at(k.Flags["kubeconfig"]))
	} else {
		r.kubeletPKI(kubelet, "/var/lib/kubelet/pki")
	}
}

// kubeletPKI reads the certificates that are in use: the "current" links, not the ones of former rounds.
func (r *reader) kubeletPKI(v view, dir string) {
	for _, f := range []string{"kubelet-client-current.pem", "kubelet-server-current.pem", "kubelet.crt"} {
		r.certificate(v, dir+"/"+f)
	}
}

// pki walks a PKI folder: modes of everything, certificates of what holds some. Keys are never opened.
func (r *reader) pki(dir string, depth int) {
	entries, err := r.root.List(dir, 2000)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.skip("files/pki-dir", "the folder "+printable(dir), err)
		}
		return
	}
	for _, e := range entries {
		p := dir + "/" + e.Name
		switch ext := strings.ToLower(path.Ext(e.Name)); {
		case e.Type.IsDir():
			if depth < maxDepth && !slices.Contains([]string{"temporary-certs", "dynamic-cert.json"}, e.Name) {
				r.file("pki-dir", p)
				r.pki(p, depth+1)
			}
		case ext == ".key" || strings.HasSuffix(e.Name, "-key.pem"):
			r.file("pki-key", p)
		case ext == ".crt" || ext == ".pem" || ext == ".cert" || ext == ".cer":
			r.file("pki-cert", p)
			r.certificate(view{root: r.root}, p)
		}
	}
}

// certificate reads the certificates of a PEM file or of a kubeconfig.
func (r *reader) certificate(v view, file string) {
	if file == "" {
		return
	}
	info, err := v.root.Stat(file)
	if v.own && errors.Is(err, fs.ErrNotExist) {
		v = view{root: r.root}
		info, err = v.root.Stat(file)
	}
	if err != nil || !info.Mode.IsRegular() || r.certs[info.Path] {
		return
	}
	r.certs[info.Path] = true
	data, err := v.root.ReadFile(file, maxCertFile)
	if err != nil {
		r.skip("certificates", "the file "+printable(file), err)
		return
	}
	if !bytes.Contains(data, []byte("-----BEGIN")) {
		if data = kubeconfigCerts(data); data == nil {
			return
		}
	}
	n := 0
	for block, rest := pem.Decode(data); block != nil && n < maxCerts; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue // a key beside it is dropped at once
		}
		n++
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			r.skip("certificates", "the file "+printable(file), errorf("a certificate in it cannot be read", fs.ErrInvalid))
			continue
		}
		r.facts.Certs = append(r.facts.Certs, r.certFact(file, c))
	}
}

// kubeconfigCerts returns the certificates that stand in a kubeconfig.
func kubeconfigCerts(data []byte) []byte {
	config, err := decode(data)
	if err != nil || config["kind"] != "Config" && config["clusters"] == nil {
		return nil
	}
	var out []byte
	add := func(list, inner, key string) {
		for _, x := range inventory.List(config, list) {
			m, _ := x.(map[string]any)
			if one, err := base64.StdEncoding.DecodeString(inventory.Str(m, inner, key)); err == nil && len(out)+len(one) < maxCertFile {
				out = append(append(out, one...), '\n')
			}
		}
	}
	add("users", "user", "client-certificate-data")
	add("clusters", "cluster", "certificate-authority-data")
	return out
}

func (r *reader) certFact(file string, c *x509.Certificate) inventory.CertFact {
	f := inventory.CertFact{Path: printable(file), Subject: printable(c.Subject.String()), Issuer: printable(c.Issuer.String()),
		NotAfter: c.NotAfter.UTC().Format(time.RFC3339), Signature: c.SignatureAlgorithm.String(), DaysLeft: inventory.Days(r.now, c.NotAfter)}
	for _, o := range c.Subject.Organization {
		f.Organization = append(f.Organization, printable(o))
	}
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		f.KeyType, f.KeyBits = "rsa", key.N.BitLen()
	case *ecdsa.PublicKey:
		f.KeyType, f.KeyBits = "ecdsa", key.Curve.Params().BitSize
	case ed25519.PublicKey:
		f.KeyType, f.KeyBits = "ed25519", 256
	}
	return f
}

// apiServer reads the encryption configuration and the audit policy that the API server is told to use.
func (r *reader) apiServer(c *component) {
	file := c.flags["encryption-provider-config"]
	if file == "" {
		file = c.flags["experimental-encryption-provider-config"]
	}
	if file != "" {
		v, p := r.locate(c, file)
		r.fileIn(v, "encryption-config", p)
		if err := r.encryption(v, p); err != nil {
			r.skip("encryption", "the file "+printable(p), err)
		}
	}
	if file := c.flags["audit-policy-file"]; file != "" {
		v, p := r.locate(c, file)
		r.fileIn(v, "audit-policy", p)
		policy, err := r.configuration(v, p, "Policy")
		if err != nil {
			r.skip("auditPolicy", "the file "+printable(p), err)
		}
		r.facts.AuditPolicy = policy
	}
	if file := c.flags["audit-log-path"]; file != "" && file != "-" {
		v, p := r.locate(c, file)
		r.fileIn(v, "audit-log", p)
	}
}

// encryption reads an encryption configuration; the keys are left where they are.
func (r *reader) encryption(v view, file string) error {
	info, err := v.root.Stat(file)
	if err != nil {
		return err
	}
	doc, err := r.document(v, file)
	if err != nil {
		return errorf("it is no YAML", err) // a parser's error may quote what it read
	}
	modified := time.Unix(info.MTime, 0).UTC()
	e := &inventory.EncryptionFact{Path: printable(file), Modified: modified.Format(time.RFC3339), ModifiedDays: inventory.Days(modified, r.now)}
	for _, x := range inventory.List(doc, "resources") {
		m, ok := x.(map[string]any)
		if !ok || len(e.Resources) >= 1000 {
			continue
		}
		one := inventory.EncryptedResources{Resources: []string{}, Providers: []inventory.ProviderFact{}}
		for _, s := range inventory.Strs(m, "resources") {
			one.Resources = append(one.Resources, printable(s))
		}
		for _, p := range inventory.List(m, "providers") {
			provider, _ := p.(map[string]any)
			for _, kind := range []string{"aescbc", "aesgcm", "secretbox", "kms", "identity"} {
				inner, has := provider[kind]
				if !has {
					continue
				}
				settings, _ := inner.(map[string]any)
				f := inventory.ProviderFact{Type: kind}
				if kind == "kms" {
					if f.Version = printable(inventory.Str(settings, "apiVersion")); f.Version == "" {
						f.Version = "v1"
					}
				}
				for _, k := range inventory.List(settings, "keys") {
					key, _ := k.(map[string]any)
					f.Keys = append(f.Keys, printable(inventory.Str(key, "name")))
				}
				one.Providers = append(one.Providers, f)
			}
		}
		e.Resources = append(e.Resources, one)
	}
	r.facts.Encryption = e
	return nil
}
