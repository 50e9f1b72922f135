package dockerfile

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// simple is one program that a shell script starts, with its words. It is what rules judge instead of the text of a RUN,
// so that `echo sudo` is no use of sudo and `A && curl -k` is found wherever it stands.
type simple struct {
	name   string   // last part of the program's path; "" when only variables are set
	args   []string // without quotes; substitutions as they are written
	env    map[string]string
	piped  []string // names of the programs before it in its pipeline, first to last
	within string   // the program whose words are made of its output: sh -c "$(curl ...)", bash <(curl ...)
	writes []string // files that its output goes to
	text   string
}

func (c *simple) value() map[string]any {
	return map[string]any{"name": c.name, "args": anyStrings(c.args), "env": anyMap(c.env), "piped": anyStrings(c.piped),
		"within": c.within, "writes": anyStrings(c.writes), "text": shown(c.text)}
}

var (
	posixShells  = map[string]bool{"sh": true, "bash": true, "ash": true, "dash": true, "zsh": true, "ksh": true, "mksh": true, "busybox": true}
	shellWords   = map[string]bool{"if": true, "then": true, "elif": true, "else": true, "fi": true, "while": true, "until": true, "do": true, "done": true, "!": true, "{": true, "}": true, "time": true, "esac": true}
	assignment   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*\+?=`)
	runHeredoc   = regexp.MustCompile(`^\d*<<-?\s*\S+$`)
	shellShebang = regexp.MustCompile(`^#!\s*(?:/usr/bin/env\s+(?:-\S+\s+)*)?(\S+)`)
)

// wrappers start the program that is among their words. The value lists their options that take a word.
var wrappers = map[string][]string{
	"sudo": {"-u", "-g", "-C", "-h", "-p", "-U", "-T", "-r", "-t", "-D"}, "doas": {"-u", "-C"}, "env": {"-u", "-C", "-S"}, "exec": {"-a"},
	"command": nil, "nohup": nil, "busybox": nil, "nice": {"-n"}, "ionice": {"-c", "-n"}, "eatmydata": nil, "builtin": nil, "setsid": nil,
	"xargs": {"-n", "-P", "-I", "-L", "-d", "-a", "-E", "-s"}, "stdbuf": {"-i", "-o", "-e"}, "faketime": nil, "retry": nil,
}

// wrappersWithWord are wrappers whose first plain word is theirs: timeout 5 curl, gosu app cmd.
var wrappersWithWord = map[string]bool{"timeout": true, "gosu": true, "su-exec": true, "chroot": true, "setarch": true, "flock": true}

// scriptOf is the shell script of an instruction: its text, or the heredoc when that is all there is. A heredoc that goes
// to a shell's input is read too; any other is data.
func scriptOf(text string, heredocs []parser.Heredoc, x *expander) string {
	script, err := x.raw(text, true)
	if err != nil {
		script = text
	}
	if len(heredocs) == 0 {
		return script
	}
	first := strings.Fields(script)
	whole := runHeredoc.MatchString(strings.TrimSpace(text))
	if !whole && (len(first) == 0 || !posixShells[path.Base(first[0])]) {
		return script
	}
	body := heredocs[0].Content
	if heredocs[0].Chomp {
		body = parser.ChompHeredocContent(body)
	}
	if m := shellShebang.FindStringSubmatch(body); m != nil && !posixShells[path.Base(m[1])] {
		return ""
	}
	if expanded, err := x.raw(body, false); err == nil {
		body = expanded
	}
	if whole {
		return body
	}
	return script + "\n" + body
}

// readExec is the program of an exec form.
func readExec(words []string) []*simple {
	if len(words) == 0 {
		return nil
	}
	r := &reader{out: new([]*simple)}
	r.emit(words, strings.Join(words, " "), nil)
	return *r.out
}

// readScript lists the programs that a script starts, in the order in which they stand, those inside substitutions,
// `sh -c` texts and wrappers such as sudo included. It does not follow conditions: what may run is listed.
func readScript(script string) []*simple {
	r := &reader{src: script, out: new([]*simple)}
	r.read()
	return *r.out
}

// reader splits a script into simple commands. It knows quotes, substitutions, pipelines, redirections, comments and
// heredocs; malformed text ends the word it is in and never fails.
type reader struct {
	src   string
	pos   int
	depth int
	out   *[]*simple

	word    strings.Builder
	inWord  bool
	quoted  bool
	words   []string
	start   int // of the command in src
	pipe    []string
	nested  []int    // commands of the substitutions in the current command
	writes  []string // of the current command
	target  byte     // 'w': the next word is a file written to; 'r': it is read from; 'h': it is a heredoc's delimiter
	pending []string // delimiters of heredocs that begin at the next line
}

const maxShellDepth = 8

func (r *reader) full() bool { return len(*r.out) >= maxCommands }

func (r *reader) read() {
	for r.pos < len(r.src) && !r.full() {
		c := r.src[r.pos]
		switch c {
		case ' ', '\t', '\r':
			r.endWord()
			r.pos++
		case '\n':
			r.endCommand(false)
			r.pos++
			r.skipHeredocs()
		case ';', '(', ')':
			r.endCommand(false)
			r.pos++
		case '&':
			r.ampersand()
		case '|':
			r.bar()
		case '<', '>':
			r.redirect(c)
		case '#':
			if r.inWord {
				r.put(c)
			} else {
				r.skipLine()
			}
		default:
			r.character(c)
		}
	}
	r.endCommand(false)
}

// character reads what is part of a word: plain characters, quotes, escapes and substitutions.
func (r *reader) character(c byte) {
	if !r.inWord && len(r.words) == 0 {
		r.start = r.pos
	}
	switch c {
	case '\\':
		if r.pos+1 < len(r.src) {
			if r.src[r.pos+1] != '\n' {
				r.inWord, r.quoted = true, true
				r.word.WriteByte(r.src[r.pos+1])
			}
			r.pos++
		}
		r.pos++
	case '\'':
		r.inWord, r.quoted = true, true
		end := strings.IndexByte(r.src[r.pos+1:], '\'')
		if end < 0 {
			end = len(r.src) - r.pos - 1
		}
		r.word.WriteString(r.src[r.pos+1 : r.pos+1+end])
		r.pos = min(r.pos+end+2, len(r.src))
	case '"':
		r.double()
	case '`':
		r.inWord = true
		end := strings.IndexByte(r.src[r.pos+1:], '`')
		if end < 0 {
			end = len(r.src) - r.pos - 1
		}
		r.substitution(r.src[r.pos+1:r.pos+1+end], min(r.pos+end+2, len(r.src)))
	case '$':
		r.inWord = true
		r.dollar()
	default:
		r.put(c)
	}
}

func (r *reader) put(c byte) {
	r.inWord = true
	r.word.WriteByte(c)
	r.pos++
}

func (r *reader) double() {
	r.inWord, r.quoted = true, true
	r.pos++
	for r.pos < len(r.src) {
		switch c := r.src[r.pos]; c {
		case '"':
			r.pos++
			return
		case '\\':
			if r.pos+1 < len(r.src) {
				if next := r.src[r.pos+1]; next != '\n' {
					if !strings.ContainsRune("\"\\$`", rune(next)) {
						r.word.WriteByte('\\')
					}
					r.word.WriteByte(next)
				}
				r.pos++
			}
			r.pos++
		case '$':
			r.dollar()
		case '`':
			end := strings.IndexByte(r.src[r.pos+1:], '`')
			if end < 0 {
				end = len(r.src) - r.pos - 1
			}
			r.substitution(r.src[r.pos+1:r.pos+1+end], min(r.pos+end+2, len(r.src)))
		default:
			r.word.WriteByte(c)
			r.pos++
		}
	}
}

// dollar reads $NAME, ${...}, $((...)) as text, and $(...) as commands.
func (r *reader) dollar() {
	rest := r.src[r.pos:]
	switch {
	case strings.HasPrefix(rest, "$(("), strings.HasPrefix(rest, "${"):
		end := closing(r.src, r.pos+2, rest[1])
		r.word.WriteString(r.src[r.pos:end])
		r.pos = end
	case strings.HasPrefix(rest, "$("):
		end := closing(r.src, r.pos+2, '(')
		r.substitution(r.src[r.pos+2:max(end-1, r.pos+2)], end)
	default:
		r.word.WriteByte('$')
		r.pos++
	}
}

// substitution reads the commands of a text whose output becomes part of the current word, which keeps it as it is
// written up to end.
func (r *reader) substitution(text string, end int) {
	r.word.WriteString(r.src[r.pos:end])
	r.pos = end
	first := len(*r.out)
	r.sub(text)
	for i := first; i < len(*r.out); i++ {
		r.nested = append(r.nested, i)
	}
}

func (r *reader) sub(text string) {
	if r.depth+1 < maxShellDepth {
		(&reader{src: text, depth: r.depth + 1, out: r.out}).read()
	}
}

// closing returns the position after the bracket that closes the one before from; open is '(' or '{'.
func closing(src string, from int, open byte) int {
	shut := byte(')')
	if open == '{' {
		shut = '}'
	}
	depth := 1
	for i := from; i < len(src); i++ {
		switch c := src[i]; {
		case c == '\\':
			i++
		case c == '\'' && open == '(':
			if j := strings.IndexByte(src[i+1:], '\''); j >= 0 {
				i += j + 1
			}
		case c == open:
			depth++
		case c == shut:
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(src)
}

func (r *reader) ampersand() {
	switch rest := r.src[r.pos:]; {
	case strings.HasPrefix(rest, "&&"):
		r.endCommand(false)
		r.pos += 2
	case strings.HasPrefix(rest, "&>"):
		r.endWord()
		r.pos += 2
		if strings.HasPrefix(r.src[r.pos:], ">") {
			r.pos++
		}
		r.target = 'w'
	default:
		r.endCommand(false)
		r.pos++
	}
}

func (r *reader) bar() {
	if strings.HasPrefix(r.src[r.pos:], "||") {
		r.endCommand(false)
		r.pos += 2
		return
	}
	r.endCommand(true)
	r.pos++
	if strings.HasPrefix(r.src[r.pos:], "&") {
		r.pos++
	}
}

// redirect reads <, >, their longer forms, and process substitution.
func (r *reader) redirect(c byte) {
	if strings.HasPrefix(r.src[r.pos+1:], "(") {
		r.inWord = true
		end := closing(r.src, r.pos+2, '(')
		r.substitution(r.src[r.pos+2:max(end-1, r.pos+2)], end)
		return
	}
	if r.inWord && !r.quoted && strings.Trim(r.word.String(), "0123456789") == "" {
		r.word.Reset() // the number of a file descriptor
		r.inWord = false
	}
	r.endWord()
	rest := r.src[r.pos:]
	switch {
	case strings.HasPrefix(rest, "<<<"):
		r.pos += 3
		r.target = 'r'
	case strings.HasPrefix(rest, "<<"):
		r.pos += 2
		if strings.HasPrefix(r.src[r.pos:], "-") {
			r.pos++
		}
		r.target = 'h'
	case strings.HasPrefix(rest, ">&"), strings.HasPrefix(rest, "<&"):
		r.pos += 2
		r.target = 'r'
	case c == '>':
		r.pos++
		if strings.HasPrefix(r.src[r.pos:], ">") || strings.HasPrefix(r.src[r.pos:], "|") {
			r.pos++
		}
		r.target = 'w'
	default:
		r.pos++
		r.target = 'r'
	}
}

func (r *reader) skipLine() {
	end := strings.IndexByte(r.src[r.pos:], '\n')
	if end < 0 {
		end = len(r.src) - r.pos
	}
	r.pos += end
}

// skipHeredocs passes over the bodies that begin here. One whose delimiter does not come is not in this text.
func (r *reader) skipHeredocs() {
	for _, delimiter := range r.pending {
		for at := r.pos; at < len(r.src); {
			line, _, _ := strings.Cut(r.src[at:], "\n")
			at = min(at+len(line)+1, len(r.src))
			if strings.TrimSpace(line) == delimiter {
				r.pos = at
				break
			}
		}
	}
	r.pending = nil
}

func (r *reader) endWord() {
	if !r.inWord {
		return
	}
	w := r.word.String()
	switch r.target {
	case 'w':
		r.writes = append(r.writes, w)
	case 'h':
		r.pending = append(r.pending, w)
	case 'r':
	default:
		r.words = append(r.words, w)
	}
	r.word.Reset()
	r.inWord, r.quoted, r.target = false, false, 0
}

func (r *reader) endCommand(pipe bool) {
	r.endWord()
	r.target = 0
	first := len(*r.out)
	name := ""
	if len(r.words) > 0 {
		name = r.emit(r.words, strings.TrimSpace(r.src[min(r.start, r.pos):r.pos]), r.nested)
	} else if pipe && first > 0 { // (a; b) | c and { a; b; } | c
		name = (*r.out)[first-1].name
	}
	switch {
	case !pipe:
		r.pipe = nil
	case name != "" && len(r.pipe) < 16:
		r.pipe = append(slices.Clip(r.pipe), name)
	}
	r.words, r.nested, r.writes = nil, nil, nil
}

// emit lists the command of words and the one it wraps, and returns its name.
func (r *reader) emit(words []string, text string, nested []int) string {
	for len(words) > 0 && shellWords[words[0]] {
		words = words[1:]
	}
	c := &simple{env: map[string]string{}, piped: r.pipe, writes: r.writes, text: text}
	for len(words) > 0 && assignment.MatchString(words[0]) {
		k, v, _ := strings.Cut(words[0], "=")
		c.env[strings.TrimSuffix(k, "+")] = v
		words = words[1:]
	}
	if len(words) > 0 {
		if c.name = words[0]; !strings.ContainsAny(c.name, "$`") {
			c.name = path.Base(c.name)
		}
		c.args = words[1:]
	}
	name := c.name
	if (c.name != "" || len(c.env) > 0) && !r.full() {
		*r.out = append(*r.out, c)
		if inner := r.unwrap(c); inner != "" {
			name = inner
		}
	}
	for _, i := range nested {
		if n := (*r.out)[i]; n.within == "" {
			n.within = name
		}
	}
	return name
}

// unwrap lists the commands inside c: what sudo or env start, the text of sh -c and eval, find -exec. It returns the
// name that stands for c in its pipeline when that is not its own.
func (r *reader) unwrap(c *simple) string {
	options, wraps := wrappers[c.name]
	script, isScript := "", false
	switch {
	case wraps || wrappersWithWord[c.name]:
		if rest := afterOptions(c.args, options, wrappersWithWord[c.name]); len(rest) > 0 && r.depth+1 < maxShellDepth {
			inner := &reader{depth: r.depth + 1, out: r.out, pipe: r.pipe, writes: r.writes}
			return inner.emit(rest, c.text, nil)
		}
	case posixShells[c.name] || c.name == "su" || c.name == "runuser":
		script, isScript = commandText(c.args)
	case c.name == "eval":
		script, isScript = strings.Join(c.args, " "), true
	case c.name == "find" || c.name == "fd":
		left := 16 // each holds the rest of the words
		for i, a := range c.args {
			if (a == "-exec" || a == "-execdir" || a == "-ok") && left > 0 && r.depth+1 < maxShellDepth {
				left--
				end := slices.IndexFunc(c.args[i:], func(a string) bool { return a == ";" || a == "+" })
				if end < 0 {
					end = len(c.args) - i
				}
				inner := &reader{depth: r.depth + 1, out: r.out}
				inner.emit(c.args[i+1:i+max(end, 1)], c.text, nil)
			}
		}
	}
	if isScript {
		r.sub(script)
	}
	return ""
}

// afterOptions drops options, their words, and the assignments of env and sudo.
func afterOptions(args, options []string, word bool) []string {
	for len(args) > 0 {
		switch a := args[0]; {
		case a == "--":
			args = args[1:]
		case slices.Contains(options, a):
			args = args[min(2, len(args)):]
			continue
		case strings.HasPrefix(a, "-"):
			args = args[1:]
			continue
		}
		break
	}
	if word && len(args) > 0 {
		args = args[1:]
	}
	return args
}

// commandText is the text of sh -c TEXT, also with other options in front or joined (-ec, -lc).
func commandText(args []string) (string, bool) {
	for i, a := range args {
		if strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && strings.HasSuffix(a, "c") && i+1 < len(args) {
			return args[i+1], true
		}
	}
	return "", false
}
