// Package account finds accounts that are open to anyone: empty and well-known passwords in shadow and passwd, and default
// credentials in the settings of programs.
package account

import (
	"bytes"
	"path"
	"regexp"
	"strings"

	"stockade.dev/stockade/internal/inventory"
)

// Wants reports whether a file is looked at.
func Wants(name string) bool {
	switch name {
	case "etc/shadow", "etc/passwd", "etc/shadow-", "etc/sudoers":
		return true
	}
	base := path.Base(name)
	if strings.HasPrefix(name, "etc/sudoers.d/") {
		return true
	}
	for _, d := range defaults {
		if base == d.file {
			return true
		}
	}
	return false
}

// Read returns what is wrong in a file that Wants named.
func Read(name string, data []byte) []inventory.Hit {
	switch {
	case name == "etc/shadow" || name == "etc/shadow-":
		return shadow(name, data)
	case name == "etc/passwd":
		return passwd(name, data)
	case strings.HasPrefix(name, "etc/sudoers"):
		return sudoers(name, data)
	}
	base := path.Base(name)
	for _, d := range defaults {
		if base != d.file {
			continue
		}
		number := 0
		for line := range bytes.Lines(data) {
			number++
			if len(line) > 4096 || d.comment(line) || !d.pattern.Match(line) {
				continue
			}
			return []inventory.Hit{{Kind: "account", Rule: d.rule, Path: name, Line: number, Redacted: "****", Detail: map[string]string{"product": d.product}}}
		}
	}
	return nil
}

// fields calls f for every line of a colon-separated file that has at least n fields.
func fields(data []byte, n int, f func(line int, field []string)) {
	number := 0
	for line := range bytes.Lines(data) {
		number++
		if parts := strings.Split(strings.TrimSpace(string(line[:min(len(line), 4096)])), ":"); len(parts) >= n && !strings.HasPrefix(parts[0], "#") {
			f(number, parts)
		}
	}
}

// shadow judges password hashes by their form alone: cracking is for those who may.
func shadow(name string, data []byte) []inventory.Hit {
	var hits []inventory.Hit
	fields(data, 2, func(line int, f []string) {
		rule := ""
		switch hash := f[1]; {
		case hash == "":
			rule = "empty-password"
		case strings.HasPrefix(hash, "!") || strings.HasPrefix(hash, "*") || hash == "x":
			return // locked
		case strings.HasPrefix(hash, "$1$"):
			rule = "md5-password-hash"
		case !strings.HasPrefix(hash, "$") && !strings.HasPrefix(hash, "_"):
			rule = "des-password-hash"
		default:
			rule = "password-in-image"
		}
		hits = append(hits, inventory.Hit{Kind: "account", Rule: rule, Path: name, Line: line, Detail: map[string]string{"user": f[0]}})
	})
	return hits
}

func passwd(name string, data []byte) []inventory.Hit {
	var hits []inventory.Hit
	fields(data, 7, func(line int, f []string) {
		add := func(rule string) {
			hits = append(hits, inventory.Hit{Kind: "account", Rule: rule, Path: name, Line: line, Detail: map[string]string{"user": f[0]}})
		}
		if f[1] == "" {
			add("empty-password")
		}
		if f[2] == "0" && f[0] != "root" && f[0] != "toor" {
			add("second-root")
		}
	})
	return hits
}

// sudoers finds users who become root without a password. What the root user may do changes nothing.
func sudoers(name string, data []byte) []inventory.Hit {
	var hits []inventory.Hit
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text := strings.TrimSpace(string(line[:min(len(line), 4096)]))
		if strings.HasPrefix(text, "#") || strings.HasPrefix(text, "root") || !strings.Contains(text, "NOPASSWD") {
			continue
		}
		who, _, _ := strings.Cut(text, " ")
		hits = append(hits, inventory.Hit{Kind: "account", Rule: "sudo-without-password", Path: name, Line: number, Detail: map[string]string{"user": who}})
	}
	return hits
}

// product is a file in which a product keeps credentials, and how its well-known ones look there.
type product struct {
	file, rule, product string
	pattern             *regexp.Regexp
	marks               string // that begin a comment
}

func (p *product) comment(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) > 0 && p.marks != "" && strings.IndexByte(p.marks, line[0]) >= 0
}

// defaults are default and common credentials of middleware, from the products' own installation guides.
var defaults = []product{
	{"tomcat-users.xml", "default-credentials", "Apache Tomcat", regexp.MustCompile(`(?i)<user\s[^>]*password="(tomcat|admin|password|s3cret|changeit|manager|role1|123456|)"`), ""},
	{"users.properties", "default-credentials", "Apache ActiveMQ", regexp.MustCompile(`^\s*(admin=admin|user=user|guest=guest|system=manager)\s*$`), "#!"},
	{"jetty-realm.properties", "default-credentials", "Jetty, ActiveMQ console", regexp.MustCompile(`^\s*(admin:\s*admin|user:\s*user|guest:\s*guest)\b`), "#!"},
	{"groovy.security", "default-credentials", "Jenkins", regexp.MustCompile(`(?i)password\s*[:=]\s*['"]?(admin|password|jenkins)\b`), "#"},
	{"redis.conf", "default-credentials", "Redis", regexp.MustCompile(`^\s*(requirepass\s+"?(foobared|redis|123456|password)"?|protected-mode\s+no)\s*$`), "#"},
	{"pg_hba.conf", "trust-authentication", "PostgreSQL", regexp.MustCompile(`^\s*host(ssl|nossl)?\s+\S+\s+\S+\s+(0\.0\.0\.0/0|::/0|all)\s+trust\b`), "#"},
	{"my.cnf", "skip-authentication", "MySQL, MariaDB", regexp.MustCompile(`^\s*skip[-_]grant[-_]tables\b`), "#;"},
	{"rabbitmq.conf", "default-credentials", "RabbitMQ", regexp.MustCompile(`^\s*(default_pass\s*=\s*guest|loopback_users\s*=\s*none|loopback_users\.guest\s*=\s*false)\s*$`), "#"},
	{"elasticsearch.yml", "authentication-off", "Elasticsearch", regexp.MustCompile(`^\s*xpack\.security\.enabled\s*:\s*false\b`), "#"},
	{"mongod.conf", "authentication-off", "MongoDB", regexp.MustCompile(`^\s*authorization\s*:\s*"?disabled"?\s*$`), "#"},
	{"harbor.yml", "default-credentials", "Harbor", regexp.MustCompile(`^\s*(harbor_admin_password\s*:\s*Harbor12345|password\s*:\s*root123)\s*$`), "#"},
	{"grafana.ini", "default-credentials", "Grafana", regexp.MustCompile(`^\s*admin_password\s*=\s*admin\s*$`), "#;"},
	{"nacos-application.properties", "default-credentials", "Nacos", regexp.MustCompile(`SecretKey012345678901234567890123456789012345678901234567890123456789`), "#"},
	{"shiro.ini", "default-credentials", "Apache Shiro", regexp.MustCompile(`^\s*(admin|root)\s*=\s*(admin|secret|123456|password)\b`), "#;"},
	{"sshd_config", "sshd-empty-passwords", "OpenSSH", regexp.MustCompile(`(?i)^\s*PermitEmptyPasswords\s+yes\b`), "#"},
	{"vsftpd.conf", "anonymous-upload", "vsftpd", regexp.MustCompile(`(?i)^\s*anon_upload_enable\s*=\s*yes\b`), "#"},
	{"proftpd.conf", "anonymous-root", "ProFTPD", regexp.MustCompile(`(?i)^\s*RootLogin\s+on\b`), "#"},
}
