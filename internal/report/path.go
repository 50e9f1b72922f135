package report

import (
	"os"
	"path"
	"path/filepath"
	"strings"
)

// dir is the working directory: what files are named relative to. "" when it is not known.
func (o Options) dir() string {
	if o.Dir != "" {
		return o.Dir
	}
	d, err := os.Getwd()
	if err != nil {
		return ""
	}
	return d
}

// relative names a file with slashes, and relative to dir when it lies below. Viewers and CI systems look it up in the
// checkout, where the paths of the machine that scanned mean nothing.
func relative(file, dir string) string {
	if file == "" {
		return ""
	}
	return below(slashes(filepath.ToSlash(file)), slashes(filepath.ToSlash(dir)))
}

// slashes turns a path that names a Windows drive or share into one with slashes, whichever system the saved result is
// shown on. Other backslashes may be part of a name.
func slashes(file string) string {
	if len(file) >= 3 && file[1] == ':' && isLetter(file[0]) && (file[2] == '\\' || file[2] == '/') || strings.HasPrefix(file, `\\`) {
		return strings.ReplaceAll(file, `\`, "/")
	}
	return file
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func below(file, dir string) string {
	if rooted(file) {
		share := strings.HasPrefix(file, "//")
		file = path.Clean(file)
		if share {
			file = "/" + file // a share of a Windows server, not a folder
		}
		if dir = strings.TrimSuffix(path.Clean(dir), "/"); dir != "." {
			if rest, ok := strings.CutPrefix(file, dir+"/"); ok {
				return rest
			}
		}
		return file
	}
	return path.Clean(file)
}

// rooted reports whether a path with slashes is absolute, here or on Windows.
func rooted(file string) bool {
	return strings.HasPrefix(file, "/") || len(file) >= 3 && isLetter(file[0]) && file[1] == ':' && file[2] == '/'
}

// fileURI is the URI reference of a file: relative, or with the scheme "file" for a file outside of dir.
func fileURI(file, dir string) string {
	file = relative(file, dir)
	switch {
	case strings.HasPrefix(file, "//"):
		return "file:" + escapePath(file)
	case strings.HasPrefix(file, "/"):
		return "file://" + escapePath(file)
	case rooted(file):
		return "file:///" + file[:2] + escapePath(file[2:])
	}
	return escapePath(file)
}

// escapePath percent-encodes every byte of a path but the unreserved characters of RFC 3986, section 2.3, and slashes: so a
// name with a colon is not taken for a scheme, nor one with a question mark or number sign for more than a path.
func escapePath(file string) string {
	var b strings.Builder
	for i := range len(file) {
		switch c := file[i]; {
		case isLetter(c), c >= '0' && c <= '9', strings.IndexByte("-._~/", c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15]})
		}
	}
	return b.String()
}
