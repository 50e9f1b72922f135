// Package emergencytest runs the cases of emergencies: facts, packages, files, objects and local ports as plain YAML, and the verdict
// that is wanted.
package emergencytest

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/big"
	"net"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"

	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/inventory"
)

// Case is one file below cases/.
type Case struct {
	Want     emergency.Verdict    `json:"want"`
	Facts    *inventory.NodeFacts `json:"facts"`
	Software *inventory.Software  `json:"software"`
	Files    map[string]any       `json:"files"`   // path -> text, or {text, hex, setuid}, or {zip: {entry -> text}}
	Answers  map[string]string    `json:"answers"` // port -> what it answers over TLS; "refuse": it wants a certificate
	Cluster  []map[string]any     `json:"cluster"` // objects
}

// Parse reads a case.
func Parse(data []byte) (*Case, error) {
	var c Case
	return &c, yaml.UnmarshalStrict(data, &c)
}

// Subject is what the case describes.
func (c *Case) Subject() emergency.Subject {
	s := emergency.Subject{Name: "subject", Facts: c.Facts, Software: c.Software, Dial: c.dial}
	if c.Files != nil {
		s.Files = Files(c.Files)
	}
	if c.Cluster != nil {
		s.Cluster = inventory.NewCluster("case")
		for _, o := range c.Cluster {
			s.Cluster.Add(&inventory.Object{APIVersion: inventory.Str(o, "apiVersion"), Kind: inventory.Str(o, "kind"),
				Namespace: inventory.Str(o, "metadata", "namespace"), Name: inventory.Str(o, "metadata", "name"), Content: o})
		}
	}
	return s
}

// Files are files in memory.
type Files map[string]any

type file struct {
	*bytes.Reader
	mode fs.FileMode
}

func (f file) Close() error      { return nil }
func (f file) Mode() fs.FileMode { return f.mode }
func (f file) Size() int64       { return f.Reader.Size() }

// Open opens one.
func (f Files) Open(p string) (emergency.File, error) {
	v, ok := f[p]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
	}
	out := file{mode: 0o755}
	switch v := v.(type) {
	case string:
		out.Reader = bytes.NewReader([]byte(v))
	case map[string]any:
		text, _ := v["text"].(string)
		data := []byte(text)
		if entries, ok := v["zip"].(map[string]any); ok {
			b, err := zipped(entries)
			if err != nil {
				return nil, err
			}
			data = b
		}
		if h, ok := v["hex"].(string); ok {
			b, err := hex.DecodeString(h)
			if err != nil {
				return nil, err
			}
			data = b
		}
		out.Reader = bytes.NewReader(data)
		if v["setuid"] == true {
			out.mode |= fs.ModeSetuid
		}
	default:
		return nil, fmt.Errorf("%s: a file of type %T", p, v)
	}
	return out, nil
}

// zipped is an archive of texts.
func zipped(entries map[string]any) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, fmt.Sprint(entries[name]))
		}
		if err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return b.Bytes(), err
}

// Passed is the subject as it is when its files have passed by and are gone: what the list asks of them is kept with the inventory.
// false says that the case has no files, or is not one of an image.
func (c *Case) Passed(list []*emergency.Emergency) (emergency.Subject, bool) {
	if c.Files == nil || c.Facts != nil || c.Software == nil || c.Software.Kind != "image" {
		return emergency.Subject{}, false
	}
	s := c.Subject()
	sw := *c.Software
	probes := emergency.NewProbes(list)
	sw.Asked = probes.Asked()
	for _, p := range slices.Sorted(maps.Keys(c.Files)) {
		name := strings.TrimPrefix(p, "/")
		file, err := Files(c.Files).Open(p)
		if err != nil {
			continue
		}
		if data, err := io.ReadAll(io.NewSectionReader(file, 0, file.Size())); err == nil && probes.Wants(name, file.Size()) {
			sw.Hits = append(sw.Hits, probes.Read(name, data)...)
		}
	}
	s.Software, s.Files = &sw, nil
	return s, true
}

// List names what is directly below a folder.
func (f Files) List(dir string, most int) ([]string, error) {
	var out []string
	for p := range f {
		rest, ok := strings.CutPrefix(p, strings.TrimSuffix(path.Clean(dir), "/")+"/")
		if name, _, _ := strings.Cut(rest, "/"); ok && !slices.Contains(out, name) && len(out) < most {
			out = append(out, name)
		}
	}
	if len(out) == 0 {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: fs.ErrNotExist}
	}
	slices.Sort(out)
	return out, nil
}

// dial connects to a port of the case.
func (c *Case) dial(_ context.Context, port int) (net.Conn, error) {
	answer, ok := c.Answers[fmt.Sprint(port)]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	ours, theirs := net.Pipe()
	go serve(theirs, answer)
	return ours, nil
}

func serve(conn net.Conn, answer string) {
	defer conn.Close()
	cert, err := certificate()
	if err != nil {
		return
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}}
	if answer == "refuse" {
		cfg.ClientAuth = tls.RequireAnyClientCert
	}
	t := tls.Server(conn, cfg)
	buf := make([]byte, 1024)
	if _, err := t.Read(buf); err != nil && !errors.Is(err, io.EOF) {
		return
	}
	_, _ = io.WriteString(t, answer)
}

func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
