package dockerfile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/command"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"stockade.dev/stockade/internal/finding"
)

// builder makes the model in one pass over the instructions, as a build would execute them.
type builder struct {
	src      *source
	escape   rune
	lint     *linter.Linter // its checks are not used: rules do that work; the parser needs one where comments configure it
	warnings []Warning

	global  *variables
	globals []any
	stages  []*stage
	byName  map[string]*stage
	spent   int // bytes of expanded text
	keys    map[string]int
}

// stage is a build stage while it is read.
type stage struct {
	content      map[string]any
	base         *stage
	vars         *variables
	user         string
	userLine     int // of the USER that holds; 0 when there is none
	image        string
	health       bool
	shell        []string
	instructions []any
	last         map[string]map[string]any // by command
}

var defaultShell = []string{"/bin/sh", "-c"}

func newBuilder(src *source, escape rune) *builder {
	return &builder{src: src, escape: escape, lint: linter.New(&linter.Config{}), global: (*variables)(nil).inherit(),
		globals: []any{}, byName: map[string]*stage{}, keys: map[string]int{}}
}

func (b *builder) warn(line int, code finding.Code, text string) {
	switch {
	case len(b.warnings) < maxWarnings:
		b.warnings = append(b.warnings, Warning{b.src.file, line, text, code})
	case len(b.warnings) == maxWarnings:
		b.warnings = append(b.warnings, Warning{b.src.file, 0, "more warnings follow that are not told", finding.Limit})
	}
}

// content is the finished model.
func (b *builder) content() map[string]any {
	stages := make([]any, len(b.stages))
	for i, s := range b.stages {
		for _, in := range s.last {
			in["last"] = true
		}
		s.content["user"] = s.user
		if s.userLine > 0 {
			s.content["userLine"] = int64(s.userLine)
		}
		s.content["hasHealthcheck"] = s.health
		s.content["instructions"] = s.instructions
		s.content["final"] = i == len(b.stages)-1
		s.content["shipped"] = false
		stages[i] = s.content
	}
	if len(b.stages) > 0 {
		for s := b.stages[len(b.stages)-1]; s != nil; s = s.base {
			s.content["shipped"] = true
		}
	}
	out := map[string]any{"apiVersion": "stockade.dev/v1", "kind": "Dockerfile", "escape": string(b.escape), "stages": stages, "globals": b.globals}
	if syntax, _, _, ok := parser.ParseDirective("syntax", []byte(b.src.text[:min(len(b.src.text), 4<<10)])); ok {
		out["syntax"] = syntax
	}
	return out
}

// add takes one instruction of the file.
func (b *builder) add(node *parser.Node) {
	cmd := strings.ToLower(node.Value)
	onbuild := cmd == command.Onbuild
	inner := node
	if onbuild && node.Next != nil && len(node.Next.Children) == 1 {
		inner = node.Next.Children[0]
		inner.StartLine, inner.EndLine, inner.Heredocs = node.StartLine, node.EndLine, node.Heredocs
		cmd = strings.ToLower(inner.Value)
	}
	b.validate(node, inner, onbuild)
	switch {
	case cmd == command.From && !onbuild:
		b.from(node)
	case len(b.stages) == 0:
		if cmd != command.Arg {
			b.warn(node.StartLine, finding.Broken, strings.ToUpper(cmd)+" stands before the first FROM; only ARG may")
		}
		in := b.instruction(inner, cmd, b.global, nil, onbuild)
		if cmd == command.Arg {
			b.arguments(in, b.global)
		}
		b.globals = append(b.globals, in)
	default:
		s := b.stages[len(b.stages)-1]
		in := b.instruction(inner, cmd, s.vars, s, onbuild)
		in["stage"] = int64(len(b.stages) - 1)
		s.instructions = append(s.instructions, in)
		if onbuild {
			return // it runs in the builds of others
		}
		s.last[cmd] = in
		b.execute(s, cmd, in)
	}
}

// execute applies what an instruction changes in its stage.
func (b *builder) execute(s *stage, cmd string, in map[string]any) {
	args := stringsOf(in["args"])
	switch cmd {
	case command.Env:
		keys, _ := in["keys"].(map[string]any)
		for k, v := range keys {
			s.vars.env[k], _ = v.(string)
		}
	case command.Arg:
		b.arguments(in, s.vars)
	case command.User:
		if len(args) == 1 {
			line, _ := in["line"].(int64)
			s.user, s.userLine = args[0], int(line)
		}
	case command.Healthcheck:
		if len(args) > 0 {
			s.health = !strings.EqualFold(args[0], "NONE")
		}
	case command.Shell:
		if len(args) > 0 {
			s.shell = args
		}
	}
}

// arguments gives the ARGs of in their values. One without any value has none to expand to, which is not the same as an
// empty one.
func (b *builder) arguments(in map[string]any, vars *variables) {
	keys, _ := in["keys"].(map[string]any)
	args := stringsOf(in["args"])
	for k, v := range keys {
		text, _ := v.(string)
		if text != "" || slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, k+"=") }) {
			vars.args[k] = text
		}
	}
}

// validate asks BuildKit whether it would take the instruction, and reports it when not.
func (b *builder) validate(node, inner *parser.Node, onbuild bool) {
	refused := func(reason string) {
		b.warn(node.StartLine, finding.Broken, "the build would refuse this instruction: "+reason)
	}
	if _, known := command.Commands[strings.ToLower(inner.Value)]; !known {
		refused("unknown instruction " + shown(inner.Value))
		return
	}
	if onbuild && strings.EqualFold(inner.Value, command.Onbuild) {
		if inner != node { // BuildKit reads chains of ONBUILD by recursion, only to refuse them
			refused("ONBUILD cannot hold another ONBUILD")
			return
		}
	}
	for _, n := range []*parser.Node{node, inner} {
		one := *n
		one.EndLine = one.StartLine // an error location has an entry for each line
		if err := parseInstruction(&one, b.lint); err != nil {
			refused(err.Error())
			return
		}
		if inner == node {
			return
		}
	}
}

func parseInstruction(node *parser.Node, lint *linter.Linter) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the parser failed: %v", p)
		}
	}()
	_, err = instructions.ParseInstructionWithLinter(node, lint)
	return err
}

// from begins a stage.
func (b *builder) from(node *parser.Node) {
	index := len(b.stages)
	s := &stage{last: map[string]map[string]any{}, shell: defaultShell, instructions: []any{}}
	args := nodeArgs(node)
	ref, name := "", ""
	if len(args) > 0 {
		ref = b.word(args[0], b.global, node.StartLine)
	}
	if len(args) >= 3 && strings.EqualFold(args[1], "as") {
		name = strings.ToLower(args[2])
	}
	s.base = b.byName[strings.ToLower(ref)]
	if s.base != nil {
		s.vars, s.user, s.userLine, s.health, s.shell = s.base.vars.inherit(), s.base.user, s.base.userLine, s.base.health, s.base.shell
		s.image = s.base.image
	} else {
		s.vars, s.image = (*variables)(nil).inherit(), ref
	}
	flags, _ := b.flags(node, b.global)
	platform, _ := flags["platform"].(string)
	key := name
	if key == "" {
		key = "#" + strconv.Itoa(index)
	}
	s.content = map[string]any{"index": int64(index), "name": name, "key": b.unique("stage " + key), "base": ref, "baseStage": s.base != nil, "image": s.image,
		"platform": platform, "line": int64(node.StartLine), "endLine": int64(node.EndLine),
		"shown": shown(node.Original)}
	if s.base != nil {
		s.content["baseIndex"] = s.base.content["index"]
	}
	b.stages = append(b.stages, s)
	if name != "" {
		b.byName[name] = s
	}
}

// instruction makes the map of one instruction. s is nil before the first FROM.
func (b *builder) instruction(node *parser.Node, cmd string, vars *variables, s *stage, onbuild bool) map[string]any {
	args := nodeArgs(node)
	original := withHeredocs(node)
	in := map[string]any{"cmd": cmd, "onbuild": onbuild, "last": false, "line": int64(node.StartLine), "endLine": int64(node.EndLine),
		"original": original, "shown": shown(node.Original), "shell": false}
	in["expanded"] = b.expanded(node, original, vars)
	var mounts []any
	in["flags"], mounts = b.flags(node, vars)
	if mounts != nil {
		in["mounts"] = mounts
	}
	heredocs := make([]any, len(node.Heredocs))
	for i, h := range node.Heredocs {
		heredocs[i] = h.Content
	}
	in["heredocs"] = heredocs
	switch cmd {
	case command.Env, command.Label:
		in["keys"] = b.pairs(args, vars, node.StartLine)
		args = nil
		for i, a := range nodeArgs(node) {
			if i%3 != 2 { // name, value, delimiter
				args = append(args, a)
			}
		}
	case command.Arg:
		in["keys"] = b.declared(args, vars, s != nil, node.StartLine)
	case command.Run, command.Cmd, command.Entrypoint, command.Healthcheck:
		in["shell"] = !node.Attributes["json"]
		shell := defaultShell
		if s != nil {
			shell = s.shell
		}
		in["interpreter"] = anyStrings(shell)
		in["commands"] = b.commands(node, args, shell, vars)
	case command.Add, command.Copy, command.Expose, command.StopSignal, command.User, command.Volume, command.Workdir:
		args = slices.Clone(args)
		for i, a := range args {
			args[i] = b.word(a, vars, node.StartLine)
		}
	}
	in["args"] = anyStrings(args)
	in["key"] = b.instructionKey(cmd, original, s, onbuild)
	return in
}

// instructionKey names an instruction so that it stays the same when lines move: its stage, its command and a digest of
// its text, and a number where the same text stands twice.
func (b *builder) instructionKey(cmd, original string, s *stage, onbuild bool) string {
	sum := sha256.Sum256([]byte(strings.Join(strings.Fields(original), " ")))
	key := cmd + " " + hex.EncodeToString(sum[:4])
	if onbuild {
		key = "onbuild " + key
	}
	if s != nil {
		key = strings.TrimPrefix(s.content["key"].(string), "stage ") + " " + key
	}
	return b.unique(key)
}

func (b *builder) unique(key string) string {
	b.keys[key]++
	if n := b.keys[key]; n > 1 {
		return key + " " + strconv.Itoa(n)
	}
	return key
}

// pairs reads ENV and LABEL. Each value sees what was set before the instruction, as in a build.
func (b *builder) pairs(args []string, vars *variables, line int) map[string]any {
	out := make(map[string]any, len(args)/3)
	for i := 0; i+1 < len(args); i += 3 {
		out[b.word(args[i], vars, line)] = b.word(args[i+1], vars, line)
	}
	return out
}

// declared reads ARG. One without a default in a stage takes the value of the global ARG of its name, and is empty where
// there is none. A later one on the line sees an earlier one, as global ARGs do.
func (b *builder) declared(args []string, vars *variables, inStage bool, line int) map[string]any {
	out := make(map[string]any, len(args))
	seen := &variables{env: map[string]string{}, args: map[string]string{}, base: vars}
	for _, a := range args {
		name, value, given := strings.Cut(a, "=")
		name = b.word(name, vars, line)
		switch {
		case given:
			text := b.word(value, seen, line)
			out[name], seen.args[name] = text, text
		case inStage:
			out[name] = b.global.args[name]
		default:
			out[name] = ""
		}
	}
	return out
}

// flags reads --name=value. The mounts of RUN come parsed as well; a flag that stands more than once has its values on
// lines of their own.
func (b *builder) flags(node *parser.Node, vars *variables) (map[string]any, []any) {
	out := map[string]any{}
	var mounts []any
	for _, f := range node.Flags {
		name, value, given := strings.Cut(strings.TrimPrefix(f, "--"), "=")
		name = strings.ToLower(name)
		if !given {
			value = "true"
		}
		value = b.word(value, vars, node.StartLine)
		if name == "mount" {
			mounts = append(mounts, mount(value))
		}
		if old, ok := out[name].(string); ok {
			value = old + "\n" + value
		}
		out[name] = value
	}
	return out, mounts
}

// mount splits the value of --mount; keys have their long names.
func mount(value string) map[string]any {
	out := map[string]any{"type": "bind"}
	for field := range strings.SplitSeq(value, ",") {
		k, v, given := strings.Cut(strings.Trim(field, `"`), "=")
		if !given {
			v = "true"
		}
		switch k = strings.ToLower(strings.TrimSpace(k)); k {
		case "":
			continue
		case "src":
			k = "source"
		case "dst", "destination":
			k = "target"
		case "ro":
			k = "readonly"
		case "rw":
			k = "readwrite"
		}
		out[k] = v
	}
	return out
}

// word expands one word; when it cannot be, it stays as it is and the reader is told.
func (b *builder) word(text string, vars *variables, line int) string {
	out, err := (&expander{vars.lookup, b.escape}).word(text)
	return b.account(text, out, err, line)
}

func (b *builder) account(text, out string, err error, line int) string {
	switch {
	case errors.Is(err, errTooLong):
		b.warn(line, finding.Limit, fmt.Sprintf("not expanded: with its variables the text is longer than %d bytes", maxExpanded))
		return text
	case err != nil:
		b.warn(line, finding.Broken, "the build would refuse this instruction: "+err.Error()+" in "+shown(text))
		return text
	case out != text && b.spent+len(out) > maxExpansion:
		if b.spent <= maxExpansion {
			b.spent = maxExpansion + 1
			b.warn(line, finding.Limit, fmt.Sprintf("from here on variables are not expanded: the file would grow past %d bytes", maxExpansion))
		}
		return text
	case out != text:
		b.spent += len(out)
	}
	return out
}

// expanded is the text of the instruction with its variables replaced. Heredocs whose delimiter is quoted stay as they
// are. What a shell understands and a Dockerfile does not is no error here.
func (b *builder) expanded(node *parser.Node, original string, vars *variables) string {
	if strings.IndexByte(original, '$') < 0 {
		return original
	}
	x := &expander{vars.lookup, b.escape}
	text, err := x.raw(node.Original, true)
	var out strings.Builder
	out.WriteString(text)
	for _, h := range node.Heredocs {
		content := h.Content
		if h.Expand && err == nil {
			content, err = x.raw(content, false)
		}
		if out.Len()+len(content) > maxExpanded && err == nil && len(original) <= maxExpanded {
			err = errTooLong
		}
		if err != nil {
			break
		}
		out.WriteString("\n" + content + h.Name)
	}
	if err != nil && !errors.Is(err, errTooLong) {
		return original
	}
	return b.account(original, out.String(), err, node.StartLine)
}

// withHeredocs is the text of an instruction with its heredocs.
func withHeredocs(node *parser.Node) string {
	if len(node.Heredocs) == 0 {
		return node.Original
	}
	var out strings.Builder
	out.WriteString(node.Original)
	for _, h := range node.Heredocs {
		out.WriteString("\n" + h.Content + h.Name)
	}
	return out.String()
}

// nodeArgs lists the arguments of an instruction.
func nodeArgs(node *parser.Node) []string {
	var out []string
	for n := node.Next; n != nil; n = n.Next {
		if len(n.Children) == 0 {
			out = append(out, n.Value)
		}
	}
	return out
}

// commands reads the programs that an instruction starts. A shell that is not of the Bourne family is not read.
func (b *builder) commands(node *parser.Node, args, shell []string, vars *variables) []any {
	if strings.EqualFold(node.Value, command.Healthcheck) {
		if len(args) < 2 || !strings.EqualFold(args[0], "CMD") {
			return []any{}
		}
		args = args[1:]
	}
	var list []*simple
	switch {
	case node.Attributes["json"]:
		list = readExec(args)
	case len(args) > 0 && posixShells[path.Base(shell[0])]:
		list = readScript(scriptOf(strings.Join(args, " "), node.Heredocs, &expander{vars.lookup, b.escape}))
	}
	out := make([]any, 0, len(list))
	for _, c := range list {
		out = append(out, c.value())
	}
	return out
}

func anyStrings(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

func stringsOf(v any) []string {
	list, _ := v.([]any)
	out := make([]string, 0, len(list))
	for _, e := range list {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func anyMap(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range maps.All(m) {
		out[k] = v
	}
	return out
}
