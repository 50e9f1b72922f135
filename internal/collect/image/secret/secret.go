// Package secret finds credentials in the files and the configuration of images. What the system's and the languages' package
// managers install is left out: it is the same for everyone who uses the package, and full of test keys.
package secret

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"stockade.dev/stockade/internal/credential"
	"stockade.dev/stockade/internal/inventory"
)

// maxFile bounds the files that are read; configuration and keys are smaller.
const maxFile = 1 << 20

// leftOut are the folders of installed packages, and those that hold no one's settings. docs/findings.md lists them.
var leftOut = []string{"usr/share/", "usr/lib/", "usr/lib64/", "usr/libexec/", "usr/include/", "usr/src/", "usr/bin/", "usr/sbin/", "bin/", "sbin/", "lib/",
	"lib64/", "var/lib/dpkg/", "var/lib/rpm/", "var/lib/apt/", "var/cache/", "lib/apk/", "etc/ssl/certs/", "etc/pki/ca-trust/", "etc/ca-certificates/",
	"proc/", "sys/", "dev/", "boot/", "etc/nsswitch.conf", "etc/login.defs", "etc/pam.d/", "etc/pam.conf", "etc/security/"}

// packageFolders are folders of language packages, wherever they stand.
var packageFolders = []string{"node_modules/", "site-packages/", "dist-packages/", "/gems/", "vendor/bundle/", "/.cache/", "__pycache__/", "/go/pkg/mod/", "/.m2/repository/", "/.cargo/registry/"}

// settingsNames end the names of files that hold names and values.
var settingsNames = []string{".env", ".properties", ".yaml", ".yml", ".json", ".ini", ".cfg", ".conf", ".cnf", ".config", ".toml", ".xml", ".tfvars", ".tf", ".sh", ".bash",
	".profile", ".npmrc", ".pypirc", ".netrc", ".pgpass", ".my.cnf", ".htpasswd", ".dockercfg", ".git-credentials", ".sql", ".service", ".plist"}

// keyNames end the names of files that are keys, or hold credentials in a form of their own.
var keyNames = []string{".pem", ".key", ".ppk", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "credentials", "kubeconfig", "admin.conf", "config"}

// sourceNames end the names of programs, in which only the form of a value counts.
var sourceNames = []string{".py", ".js", ".mjs", ".ts", ".rb", ".php", ".pl", ".go", ".java", ".groovy", ".lua", ".txt", ".md", ".log", ".html", ".http", ".ps1", ".bat",
	".ipynb", "history", "dockerfile", "makefile", "jenkinsfile"}

// Wants reports whether a file is looked at.
func Wants(name string, mode fs.FileMode, size int64) bool {
	if !mode.IsRegular() || size < 8 || size > maxFile {
		return false
	}
	for _, p := range leftOut {
		if strings.HasPrefix(name, p) {
			return false
		}
	}
	for _, p := range packageFolders {
		if strings.Contains(name, p) {
			return false
		}
	}
	base := path.Base(name)
	return named(base, settingsNames) || named(base, keyNames) || named(base, sourceNames) || strings.HasPrefix(base, ".env")
}

// named reports whether base ends in one of names, in whatever letters.
func named(base string, names []string) bool {
	for _, n := range names {
		if len(base) >= len(n) && strings.EqualFold(base[len(base)-len(n):], n) {
			return true
		}
	}
	return false
}

// Read returns the credentials in a file that Wants named.
func Read(name string, data []byte) []inventory.Hit {
	if bytes.IndexByte(data[:min(len(data), 4096)], 0) >= 0 {
		return nil // no text
	}
	base := path.Base(name)
	settings := named(base, settingsNames) || strings.HasPrefix(base, ".env") || base == "config" || base == "credentials"
	var hits []inventory.Hit
	for _, s := range credential.Each(data, settings) {
		h := hit(s.Leak, name)
		h.Line = s.Line
		if s.Name != "" {
			h.Detail = map[string]string{"name": s.Name}
		}
		hits = append(hits, h)
	}
	return hits
}

func hit(l credential.Leak, name string) inventory.Hit {
	sum := sha256.Sum256([]byte(l.Kind + "\x00" + l.Redacted + "\x00" + name))
	return inventory.Hit{Kind: "secret", Rule: strings.ReplaceAll(l.Kind, " ", "-"), Path: name, Redacted: l.Redacted, Hash: hex.EncodeToString(sum[:8])}
}

// Config returns the credentials in an image's configuration: environment, labels and build history, which everyone who may
// pull the image can read. Paths are "config/env/NAME", "config/label/NAME" and "config/history/3".
func Config(img *inventory.Image) []inventory.Hit {
	var hits []inventory.Hit
	add := func(name, value, at string) {
		if l, found := credential.Find(name, value); found {
			h := hit(l, at)
			h.Detail = map[string]string{"name": name}
			hits = append(hits, h)
		}
	}
	for _, e := range img.Env {
		if name, value, ok := strings.Cut(e, "="); ok {
			add(name, value, "config/env/"+name)
		}
	}
	for name, value := range img.Labels {
		add(name, value, "config/label/"+name)
	}
	for i, step := range img.History {
		at := "config/history/" + strconv.Itoa(i)
		for field := range strings.FieldsSeq(step.CreatedBy) {
			name, value, ok := strings.Cut(strings.TrimLeft(field, "-"), "=")
			if !ok {
				name, value = "", field
			}
			value = strings.Trim(value, `"';`)
			if l, found := credential.Find(name, value); found {
				h := hit(l, at)
				h.Layer, h.Detail = step.Layer, map[string]string{"name": name}
				hits = append(hits, h)
				break
			}
		}
	}
	return hits
}

// Redact returns the image's environment with the values of credentials taken out, for inventories and reports.
func Redact(env []string) []string {
	out := make([]string, len(env))
	for i, e := range env {
		out[i] = e
		if name, value, ok := strings.Cut(e, "="); ok {
			if l, found := credential.Find(name, value); found {
				out[i] = name + "=" + l.Redacted
			}
		}
	}
	return out
}
