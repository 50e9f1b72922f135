package credential

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// Programs that take a secret after a short flag, apart or together with it.
var shortFlags = map[string][]string{
	"mysql": {"-p"}, "mysqldump": {"-p"}, "mysqladmin": {"-p"}, "mysqld_safe": {"-p"}, "mariadb": {"-p"}, "mariadb-dump": {"-p"}, "mongo": {"-p"}, "mongosh": {"-p"},
	"mongodump": {"-p"}, "sshpass": {"-p"}, "redis-cli": {"-a"}, "curl": {"-u", "-U"}, "docker": {"-p"}, "podman": {"-p"}, "skopeo": {}, "htpasswd": {"-b"},
	"openssl": {"-k", "-K"}, "ldapsearch": {"-w"}, "ldapmodify": {"-w"}, "sqlcmd": {"-P"}, "xmrig": {"-p"}, "smbclient": {"-U"},
}

// inSentence is a secret in the middle of an argument: a shell's script, a header.
var inSentence = regexp.MustCompile(`(?i)(([a-z0-9_-]*(?:password|passwd|passphrase|secret|token|api[-_]?key|access[-_]?key)[a-z0-9_-]*)["']?\s*(?:=|:|\s)\s*["']?|authorization:\s*(?:[a-z]+\s+)?|(?:cookie|x-[a-z-]*(?:key|token)):\s*)([^\s"'&;|]{3,})`)

// Args returns the arguments of a process with what may be a secret hidden. It hides more than [Find] finds: nobody reports these.
func Args(args []string) []string {
	out := make([]string, len(args))
	var short []string
	if len(args) > 0 {
		short = shortFlags[path.Base(args[0])]
	}
	secretNext := false
	for i, arg := range args {
		out[i] = arg
		name, value, assigned := strings.Cut(arg, "=")
		bare := strings.Trim(name, `-"' `)
		switch {
		case i == 0:
		case secretNext && !strings.HasPrefix(arg, "--"):
			out[i], secretNext = hidden, false
			continue
		case assigned && !strings.ContainsAny(bare, " \t\n") && Named(bare) != "" && !placeholder(value) && value != "":
			out[i] = name + "=" + hidden
		case !assigned && strings.HasPrefix(arg, "-") && len(arg) > 2 && Named(bare) != "":
			secretNext = true
			continue
		case slices.Contains(short, arg):
			secretNext = true
			continue
		case slices.ContainsFunc(short, func(f string) bool { return strings.HasPrefix(arg, f) && !strings.HasPrefix(arg, "--") }):
			out[i] = arg[:2] + hidden
		default:
			out[i] = inSentence.ReplaceAllStringFunc(Masked(arg, nil), func(m string) string {
				parts := inSentence.FindStringSubmatch(m)
				if parts[2] != "" && reference(parts[2]) {
					return m
				}
				return parts[1] + hidden
			})
		}
		secretNext = false
	}
	return out
}
