// Package dockerfile turns a Dockerfile or Containerfile into the model that rules judge (docs/rules.md, "Dockerfile
// model"). Reading is BuildKit's own parser; what is added here is what a build would know: which value an ARG or ENV has
// at each instruction, which user and health check a stage inherits, and which programs a shell line starts.
//
// Beside what docs/rules.md lists, the model has: of the object, globals (the instructions before the first FROM) and
// syntax (the build front end that the file asks for); of a stage, key (its name, or its number), image (the outside image
// at the end of its chain of stages), baseIndex, shipped (its layers are part of the final image), userLine and
// shown; of an instruction, key (stable when lines move), shown (one line for evidence, secrets masked), interpreter
// (the SHELL that holds), mounts (RUN --mount, parsed) and commands: what RUN, CMD, ENTRYPOINT and HEALTHCHECK start, each
// {name, args, env, piped, within, writes, text}. No value is ever null: an ARG without a value is empty in keys.
//
// Input is hostile: sizes, nesting and expansion are bounded, an instruction that BuildKit refuses is kept as it was
// written and reported, and the rest goes on.
package dockerfile

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Limits of one file. They stand far above what people write; past them a build would not be workable either.
const (
	maxBytes        = 10 << 20 // of the file
	maxLines        = 262_144
	maxLine         = 64<<10 - 1 // bytes of one line: BuildKit's own limit
	maxJoined       = 1 << 20    // bytes of one instruction with its continuation lines, without heredocs
	maxNesting      = 64         // of ${A:-${B:-...}}
	maxInstructions = 65_536
	maxExpanded     = 64 << 10 // bytes of one instruction's expanded text
	maxExpansion    = 16 << 20 // bytes of expanded text in the whole file
	maxCommands     = 2_048    // commands read out of one instruction
	maxWarnings     = 200
)

// Warning is something in a file that was not read as it stands, and why. The rest of the file was read.
type Warning struct {
	File string
	Line int // from 1; 0 when the whole file is meant
	Text string
	Code finding.Code // broken, limit or skipped
}

func (w Warning) String() string {
	if w.Line <= 0 {
		return w.File + ": " + w.Text
	}
	return fmt.Sprintf("%s:%d: %s", w.File, w.Line, w.Text)
}

// notDockerfiles are endings of files that stand beside a Dockerfile and begin with its name, or that must be rendered
// before they are one.
var notDockerfiles = map[string]bool{
	"dockerignore": true, "containerignore": true, "md": true, "markdown": true, "txt": true, "rst": true, "adoc": true, "html": true,
	"json": true, "yaml": true, "yml": true, "toml": true, "lock": true, "ini": true, "conf": true, "env": true, "sh": true, "bash": true,
	"py": true, "js": true, "ts": true, "go": true, "rb": true, "ps1": true, "bat": true, "mk": true, "orig": true, "bak": true,
	"rej": true, "swp": true, "patch": true, "diff": true, "tmpl": true, "tpl": true, "template": true, "j2": true, "jinja": true,
	"jinja2": true, "erb": true, "gotmpl": true, "mustache": true, "m4": true, "png": true, "svg": true, "gz": true, "zip": true, "vim": true,
}

// IsDockerfile reports whether a file of this base name is a Dockerfile: Dockerfile, Containerfile, either with an ending
// that names a variant (Dockerfile.prod, Dockerfile-dev, Dockerfile_windows), or any name that ends in .dockerfile or
// .containerfile.
func IsDockerfile(name string) bool {
	lower := strings.ToLower(name)
	if strings.HasSuffix(lower, ".dockerfile") || strings.HasSuffix(lower, ".containerfile") {
		return len(lower) > len(path.Ext(lower))
	}
	for _, base := range []string{"dockerfile", "containerfile"} {
		variant, ok := strings.CutPrefix(lower, base)
		if !ok {
			continue
		}
		if variant == "" {
			return true
		}
		ending := path.Ext(variant)
		return strings.IndexByte(".-_", variant[0]) >= 0 && len(variant) > 1 && !strings.HasSuffix(variant, "~") && !notDockerfiles[strings.TrimPrefix(ending, ".")]
	}
	return false
}

// Parse reads a Dockerfile. file is only a name, as the user would name it. The error names file and line of what makes
// the whole file unreadable; everything less is a Warning. The object keeps a copy of data for positions and snippets.
func Parse(file string, data []byte) (*inventory.Object, []Warning, error) {
	text, err := decode(file, data)
	if err != nil {
		return nil, nil, err
	}
	src := newSource(file, text)
	if err := src.guard(); err != nil {
		return nil, nil, err
	}
	tree, err := parseTree(src)
	if err != nil {
		return nil, nil, err
	}
	if n := len(tree.AST.Children); n > maxInstructions {
		return nil, nil, fmt.Errorf("%s: %d instructions, more than the %d that are read", file, n, maxInstructions)
	}
	b := newBuilder(src, tree.EscapeToken)
	for _, node := range tree.AST.Children {
		b.add(node)
	}
	if len(b.stages) == 0 {
		return nil, nil, fmt.Errorf("%s:%d: no FROM instruction, so there is no image to judge", file, tree.AST.StartLine)
	}
	suppressions := src.suppressions(tree.AST.Children, b.warn)
	o := &inventory.Object{APIVersion: "stockade.dev/v1", Kind: "Dockerfile", Name: path.Base(strings.ReplaceAll(file, `\`, "/")), Content: b.content()}
	o.Origin = inventory.Origin{File: file, Line: max(tree.AST.StartLine, 1), Suppressions: suppressions, Snippet: src.snippet}
	o.Origin.Locate = src.locator(o.Content, o.Origin.Line)
	return o, b.warnings, nil
}

// decode returns data as UTF-8 text. Bytes that are no UTF-8 become U+FFFD, as a build would carry them into strings that
// JSON cannot hold.
func decode(file string, data []byte) (string, error) {
	switch {
	case len(data) > maxBytes:
		return "", fmt.Errorf("%s: %d bytes, more than the %d that are read", file, len(data), maxBytes)
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		return "", fmt.Errorf("%s:1: the file is UTF-16; a Dockerfile must be UTF-8", file)
	case bytes.IndexByte(data, 0) >= 0:
		line := 1 + bytes.Count(data[:bytes.IndexByte(data, 0)], []byte{'\n'})
		return "", fmt.Errorf("%s:%d: the file holds a NUL byte and is no text", file, line)
	case !utf8.Valid(data):
		return strings.ToValidUTF8(string(data), "\uFFFD"), nil
	}
	return string(data), nil
}

// parseTree runs BuildKit's parser. A panic of it is an error of this file, not of the scan.
func parseTree(src *source) (tree *parser.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			tree, err = nil, fmt.Errorf("%s: the parser failed: %v", src.file, p)
		}
	}()
	tree, err = parser.Parse(strings.NewReader(src.text))
	if err == nil {
		return tree, nil
	}
	line := 0
	var at *parser.LocationError
	if errors.As(err, &at) && len(at.Locations) > 0 && len(at.Locations[0]) > 0 {
		line = at.Locations[0][0].Start.Line
	}
	return nil, fmt.Errorf("%s:%d: %s", src.file, max(line, 1), err.Error())
}
