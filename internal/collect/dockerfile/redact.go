package dockerfile

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// Secrets are masked in whatever leaves the model for people to read: evidence and snippets. Rules judge the real text.
var (
	userInfo = regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/@"']*:[^\s/@"']+@`)
	assigned = regexp.MustCompile(`(?i)([A-Z0-9_.-]*(?:passw(?:or)?d|passphrase|passwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|auth[_-]?(?:key|token)|_pw|_pass|_auth\b)[A-Z0-9_.-]*)(\s*=\s*|\s*:\s*|\s+)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s"']+)`)
	bearer   = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}`)
	userFlag = regexp.MustCompile(`(\s(?:-u|--user|--login)[ =]?['"]?[^\s:'"]+:)[^\s'"]+`)
	shapes   = regexp.MustCompile(`\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_-]{16,}|\bxox[abposr]-[A-Za-z0-9-]{10,}|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}[A-Za-z0-9_.-]*|\bnpm_[A-Za-z0-9]{30,}|\bsk-[A-Za-z0-9_-]{20,}|\bLTAI[A-Za-z0-9]{12,}`)
	chpasswd = regexp.MustCompile(`\b([a-z_][a-z0-9_-]*):[^\s'"|:]+`)
	plainKey = regexp.MustCompile(`-----BEGIN[ A-Z]*PRIVATE KEY-----[^\n]*`)
)

const mask = "***"

// redact masks passwords, tokens and keys in text.
func redact(text string) string {
	if len(text) > maxLine {
		text = text[:maxLine]
	}
	if strings.Contains(text, "://") {
		text = userInfo.ReplaceAllString(text, "${1}"+mask+"@")
	}
	lower := strings.ToLower(text)
	if strings.Contains(lower, "chpasswd") {
		text = chpasswd.ReplaceAllString(text, "${1}:"+mask)
	}
	if hasAny(lower, "passw", "passp", "_pass", "_pw", "secret", "token", "credential", "_auth") ||
		strings.Contains(lower, "key") && hasAny(lower, "api", "access", "private", "auth") {
		text = assigned.ReplaceAllStringFunc(text, maskAssigned)
	}
	if hasAny(lower, "bearer", "basic") {
		text = bearer.ReplaceAllString(text, "${1} "+mask)
	}
	if strings.Contains(text, " -u") || strings.Contains(text, " --user") || strings.Contains(text, " --login") {
		text = userFlag.ReplaceAllString(text, "${1}"+mask)
	}
	if strings.Contains(text, "PRIVATE KEY") {
		text = plainKey.ReplaceAllString(text, mask)
	}
	if hasAny(text, "AKIA", "ASIA", "gh", "glpat-", "xox", "eyJ", "npm_", "sk-", "LTAI") {
		text = shapes.ReplaceAllString(text, mask)
	}
	return text
}

// maskAssigned masks the value of NAME=value, --name value and "ENV NAME value". A value that only names a variable or a
// file is no secret, and a plain word after a plain word ("the token file") is prose.
func maskAssigned(match string) string {
	m := assigned.FindStringSubmatch(match)
	name, sep, value := m[1], m[2], m[3]
	bare := strings.Trim(value, `"'`)
	if strings.TrimSpace(sep) == "" && !strings.HasPrefix(name, "-") && name != strings.ToUpper(name) {
		return match
	}
	if bare == "" || strings.HasPrefix(bare, "$") || strings.HasPrefix(bare, "/") || strings.HasPrefix(bare, "-") || strings.HasPrefix(bare, "&") || bare == `\` {
		return match
	}
	return name + sep + mask
}

func hasAny(s string, words ...string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

// shown is text as evidence shows it: one line, short, without secrets.
func shown(text string) string {
	const most = 200
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		text = text[:i] + " …"
	}
	if len(text) > 8*most {
		text = text[:8*most]
		for !utf8.ValidString(text) && len(text) > 0 {
			text = text[:len(text)-1]
		}
	}
	text = redact(strings.Join(strings.Fields(text), " "))
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most]) + "…"
	}
	return text
}
