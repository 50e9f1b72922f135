package api

import (
	"path"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// namer names the schemas of the document: by the type, and where two rooms have types of one name by the room or the operation too.
// Routes are added in one order, so the names stay.
type namer struct {
	named     map[reflect.Type]string
	taken     map[string]bool
	operation string // that is being added
}

func newNamer() *namer { return &namer{named: map[reflect.Type]string{}, taken: map[string]bool{}} }

func (n *namer) name(t reflect.Type, hint string) string {
	if name, ok := n.named[t]; ok {
		return name
	}
	plain := huma.DefaultSchemaNamer(t, hint)
	name := plain
	if n.taken[name] && t.PkgPath() != "" {
		name = title(path.Base(t.PkgPath())) + plain
	}
	if n.taken[name] {
		name = title(n.operation) + plain
	}
	for i := 2; n.taken[name]; i++ {
		name = title(n.operation) + plain + strconv.Itoa(i)
	}
	n.named[t], n.taken[name] = name, true
	return name
}

// title makes "list-findings" ListFindings.
func title(s string) string {
	var b strings.Builder
	for word := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '-' || r == '_' || r == '.' }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}
