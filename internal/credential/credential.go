// Package credential recognises credentials in values and texts: by the name they stand under, by their form, and by a library
// of token patterns. What it returns holds no part of a secret that would help to use it.
package credential

import (
	"io"
	"math"
	"regexp"
	"strings"
	"sync"

	"github.com/rs/zerolog"
	"github.com/zricethezav/gitleaks/v8/detect"
	"github.com/zricethezav/gitleaks/v8/logging"
)

// Leak is a credential found in a value.
type Leak struct {
	Kind     string // of the pattern: "aws-access-token"; "password by name", "credentials in a URL", "private key"
	Redacted string
}

// detector finds credentials in text. The pattern library costs some 30 ms to load, so that is done when the first value
// looks as if it could be one.
type detector struct {
	once sync.Once
	lib  *detect.Detector
}

var library detector

// maxText bounds what is looked at of one value.
const maxText = 1 << 20

// Find looks for a credential in a value that stands under a name. Names may be "" for free text. It is safe for use by
// several goroutines.
func Find(name, value string) (Leak, bool) {
	if len(value) > maxText {
		value = value[:maxText]
	}
	trimmed := strings.TrimSpace(value)
	if placeholder(trimmed) {
		return Leak{}, false
	}
	if strings.Contains(trimmed, "PRIVATE KEY") {
		if m := privateKey.FindString(trimmed); m != "" {
			return Leak{"private key", m + "****"}, true
		}
	}
	if strings.Contains(trimmed, "://") && strings.Contains(trimmed, "@") {
		if m := userInfo.FindStringSubmatch(trimmed); m != nil && !placeholder(m[2]) {
			return Leak{"credentials in a URL", m[1] + "****@"}, true
		}
	}
	secretName := Named(name)
	if !strings.Contains(trimmed, "\n") && secretName != "" && literal(secretName, trimmed) {
		return Leak{secretName + " by name", redact(trimmed)}, true
	}
	if strings.Contains(trimmed, "AKID") {
		if m := tencentKey.FindString(trimmed); m != "" {
			return Leak{"tencent-secret-id", redact(m)}, true
		}
	}
	if hasPrefix(trimmed) || randomLooking(trimmed) {
		return library.match(name, trimmed)
	}
	return Leak{}, false
}

// match asks the pattern library, line by line of what could be a credential.
func (d *detector) match(name, value string) (Leak, bool) {
	d.once.Do(func() {
		logging.Logger = zerolog.New(io.Discard) // it warns about nothing that a user could act on
		if lib, err := detect.NewDetectorDefaultConfig(); err == nil {
			d.lib = lib
		}
	})
	if d.lib == nil {
		return Leak{}, false
	}
	text := value
	if name != "" {
		text = name + "=" + value
	}
	for _, f := range d.lib.DetectString(text) {
		// The generic pattern takes any long word after "key" or "token": the name must speak for it.
		if f.RuleID == "generic-api-key" && (Named(name) == "" || reference(name) || !random(f.Secret)) {
			continue
		}
		return Leak{f.RuleID, redact(f.Secret)}, true
	}
	return Leak{}, false
}

var (
	privateKey = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----`)
	tencentKey = regexp.MustCompile(`\bAKID[0-9A-Za-z]{32}\b`)
	userInfo   = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s/:@"'$<{]*:)([^\s/@"'$<{]{3,})@`)
)

// redact keeps the first characters of a long secret, so that its owner can tell which one it is.
func redact(s string) string {
	if len(s) >= 12 {
		return s[:4] + "****"
	}
	return "****"
}

// Words that make a name one of a secret: those of passwords, for which any value counts, and the others, for which it
// must look like one.
var (
	passwordWords = []string{"password", "passwd", "passphrase", "pwd", "密码"}
	tokenWords    = []string{"secret", "token", "apikey", "api_key", "accesskey", "access_key", "privatekey", "private_key", "credential",
		"authkey", "auth_key", "encryptionkey", "encryption_key", "signingkey", "signing_key", "sharedkey", "shared_key", "accountkey", "account_key"}
	// notSecret end names that only tell where a secret is or how it is handled.
	notSecret = []string{"_file", "file", "_path", "path", "_name", "secretname", "_url", "_uri", "url", "uri", "_endpoint", "endpoint", "_host", "host",
		"_port", "_ttl", "ttl", "_expiry", "_expiration", "_expires", "expires", "_length", "length", "_enabled", "enabled", "_disabled", "_issuer", "issuer",
		"_type", "type", "_algorithm", "_alg", "_header", "header", "_id", "_ref", "ref", "_policy", "policy", "_prefix", "prefix", "_dir", "_mount",
		"_timeout", "timeout", "_interval", "_lifetime", "lifetime", "_duration", "_seconds", "_minutes", "_days", "_count", "_max", "_min", "_size", "_key_name",
		"_namespace", "_provider", "_audience", "_aud", "_region", "_version", "_field", "_env", "_var", "_user", "_username", "_mode", "_rotation", "_public_key"}
)

// Named says what kind of secret a name stands for, password or credential; "" for none.
func Named(name string) string {
	if name == "" || len(name) > 200 {
		return ""
	}
	n := strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(name), "-", "_"), ".", "_")
	if reference(n) {
		return ""
	}
	for _, w := range passwordWords {
		if strings.Contains(n, w) {
			return "password"
		}
	}
	for _, w := range tokenWords {
		if strings.Contains(n, w) {
			return "credential"
		}
	}
	return ""
}

// reference reports whether a name says where a secret is rather than what it is.
func reference(name string) bool {
	n := strings.ReplaceAll(strings.ReplaceAll(strings.ToLower(name), "-", "_"), ".", "_")
	for _, suffix := range notSecret {
		if strings.HasSuffix(n, suffix) {
			return true
		}
	}
	return false
}

// placeholder reports whether a value stands for a secret that is filled in elsewhere.
func placeholder(v string) bool {
	if len(v) < 3 || strings.HasPrefix(v, "$") || strings.HasPrefix(v, "<") || strings.HasPrefix(v, "{{") || strings.Contains(v, "${") || strings.HasPrefix(v, "$(") {
		return true
	}
	switch strings.ToLower(v) {
	case "true", "false", "null", "none", "nil", "unset", "todo", "yes", "no", "redacted", "disabled", "enabled", "optional", "required", "placeholder":
		return true
	}
	return strings.Trim(v, "*xX.-_") == "" || strings.HasPrefix(v, "vault:") || strings.HasPrefix(v, "ref+") || strings.HasPrefix(v, "arn:") ||
		strings.HasPrefix(v, "ENC[") || strings.HasPrefix(strings.ToLower(v), "your-") || strings.HasPrefix(strings.ToLower(v), "your_")
}

// literal reports whether a value under such a name is the secret itself, and no path, address or setting.
func literal(kind, v string) bool {
	if strings.HasPrefix(v, "/") || strings.HasPrefix(v, "./") || strings.Contains(v, "://") || len(v) > 4096 {
		return false
	}
	if kind == "password" {
		return !strings.ContainsAny(v, " \t{[")
	}
	return len(v) >= 8 && !strings.ContainsAny(v, " \t{[,") && random(v)
}

// random reports whether a word is more than words: letters with digits, or many different characters.
func random(v string) bool {
	digits, letters := 0, 0
	for i := range len(v) {
		switch c := v[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			letters++
		}
	}
	return entropy(v) >= 3 && letters > 0 && digits > 0 && (digits > 1 || len(v) >= 12) || entropy(v) >= 4.2 && len(v) >= 24
}

// entropy is Shannon's, in bits a character.
func entropy(s string) float64 {
	var n [256]int
	for i := range len(s) {
		n[s[i]]++
	}
	h := 0.0
	for _, c := range n {
		if c > 0 {
			p := float64(c) / float64(len(s))
			h -= p * math.Log2(p)
		}
	}
	return h
}

// prefixes begin tokens that need not look random.
var prefixes = []string{"AKIA", "ASIA", "LTAI", "ghp_", "gho_", "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-", "xox", "sk-", "sk_live_", "rk_live_",
	"eyJ", "AIza", "npm_", "SG.", "shpat_", "hvs.", "dop_v1_", "PMAK-", "dckr_pat_", "AGE-SECRET-KEY-"}

func hasPrefix(v string) bool {
	for _, p := range prefixes {
		if strings.Contains(v, p) {
			return true
		}
	}
	return false
}

// randomLooking reports whether a value holds a run that could be a token: 16 characters or more of its alphabet in which
// letters and digits alternate, and no bare hash. It decides whether the pattern library is asked, and must stay cheap.
func randomLooking(v string) bool {
	run, changes, hex := 0, 0, true
	last := byte(0)
	for i := 0; i <= len(v); i++ {
		var c byte
		if i < len(v) {
			c = v[i]
		}
		kind := byte(0)
		switch {
		case c >= '0' && c <= '9':
			kind = '0'
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			kind = 'a'
			hex = hex && c >= 'a' && c <= 'f'
		case c == '_' || c == '-' || c == '+' || c == '/' || c == '=':
			run++
			hex = hex && c == '-'
			continue
		default:
			if run >= 16 && changes >= 3 && !hex {
				return true
			}
			run, changes, hex, last = 0, 0, true, 0
			continue
		}
		run++
		if last != 0 && kind != last {
			changes++
		}
		last = kind
	}
	return false
}
