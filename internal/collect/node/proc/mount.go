package proc

import (
	"slices"
	"strings"
)

const maxMounts = 20_000

// Mount is one line of a mountinfo.
type Mount struct {
	Device  string // "8:1"; its major is 0 for what has no block device
	Root    string // what of the file system is mounted
	Path    string
	Type    string
	Source  string
	Options []string // of the mount and of the file system, sorted, each once
}

// Mounts reads a mountinfo (proc(5)). Lines of another form are left out.
func Mounts(text string) []Mount {
	var out []Mount
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(strings.TrimSpace(line), " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 6 || len(g) < 2 || len(out) >= maxMounts {
			continue
		}
		m := Mount{Device: f[2], Root: unescape(f[3]), Path: unescape(f[4]), Type: g[0], Source: unescape(g[1])}
		m.Options = strings.Split(f[5], ",")
		if len(g) > 2 {
			m.Options = append(m.Options, strings.Split(g[2], ",")...)
		}
		slices.Sort(m.Options)
		m.Options = slices.Compact(m.Options)
		out = append(out, m)
	}
	return out
}

// unescape turns "\040" into a blank, as the kernel writes blanks, tabs, newlines and backslashes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && octal(s[i+1]) && octal(s[i+2]) && octal(s[i+3]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octal(c byte) bool { return c >= '0' && c <= '7' }
