package helm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/Masterminds/sprig/v3"
	"sigs.k8s.io/yaml"
	goyaml "sigs.k8s.io/yaml/goyaml.v3"
)

// functions are those that Helm gives to templates, each under the budget.
func (e *engine) functions() template.FuncMap {
	f := sprig.TxtFuncMap()
	delete(f, "env")
	delete(f, "expandenv")
	maps.Copy(f, ofHelm())
	maps.Copy(f, ofText())
	maps.Copy(f, fixed())
	for name, fn := range f {
		f[name] = e.guard(name, reflect.ValueOf(fn)).Interface()
	}
	return f
}

// ofText are the functions of text/template that make text, so that they come under the budget too.
func ofText() template.FuncMap {
	return template.FuncMap{
		"print": fmt.Sprint, "printf": fmt.Sprintf, "println": fmt.Sprintln,
		"html": template.HTMLEscaper, "js": template.JSEscaper, "urlquery": template.URLQueryEscaper,
	}
}

// ofHelm are the functions that Helm adds to sprig's. Those that cannot fail return the error as their value or nothing,
// which charts rely on. include and tpl are bound later.
func ofHelm() template.FuncMap {
	none := func(...any) (string, error) { return "", errors.New("not bound") }
	return template.FuncMap{
		"toYaml":     func(v any) string { s, _ := toYAML(v); return s },
		"mustToYaml": toYAML,
		"toYamlPretty": func(v any) string {
			var b bytes.Buffer
			enc := goyaml.NewEncoder(&b)
			enc.SetIndent(2)
			if enc.Encode(v) != nil {
				return ""
			}
			return strings.TrimSuffix(b.String(), "\n")
		},
		"fromYaml": func(s string) map[string]any {
			m := map[string]any{}
			if err := yaml.Unmarshal([]byte(s), &m); err != nil {
				m["Error"] = err.Error()
			}
			return m
		},
		"fromYamlArray": func(s string) []any {
			l := []any{}
			if err := yaml.Unmarshal([]byte(s), &l); err != nil {
				l = []any{err.Error()}
			}
			return l
		},
		"toToml": func(v any) string {
			s, err := toTOML(v)
			if err != nil {
				return err.Error()
			}
			return s
		},
		"mustToToml": toTOML,
		"fromToml": func(s string) map[string]any {
			m := map[string]any{}
			if err := toml.Unmarshal([]byte(s), &m); err != nil {
				m["Error"] = err.Error()
			}
			return m
		},
		"toJson":     func(v any) string { b, _ := json.Marshal(v); return string(b) },
		"mustToJson": func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
		"fromJson": func(s string) map[string]any {
			m := map[string]any{}
			if err := json.Unmarshal([]byte(s), &m); err != nil {
				m["Error"] = err.Error()
			}
			return m
		},
		"fromJsonArray": func(s string) []any {
			l := []any{}
			if err := json.Unmarshal([]byte(s), &l); err != nil {
				l = []any{err.Error()}
			}
			return l
		},
		"lookup":  func(_, _, _, _ string) map[string]any { return map[string]any{} },
		"include": none,
		"tpl":     none,
		"required": func(warning string, v any) (any, error) {
			if v == nil || v == "" {
				return v, errors.New(warning)
			}
			return v, nil
		},
		weaveInclude: none, weaveStep: none, weaveValue: none, weaveOriginText: none, weaveOriginValue: none,
	}
}

func toYAML(v any) (string, error) {
	b, err := yaml.Marshal(v)
	return strings.TrimSuffix(string(b), "\n"), err
}

func toTOML(v any) (string, error) {
	var b bytes.Buffer
	err := toml.NewEncoder(&b).Encode(v)
	return b.String(), err
}

// placeholder stands for secrets and random text that a real installation would make.
const placeholder = "placeholder"

// certificate has the fields of the certificates that sprig makes.
type certificate struct{ Cert, Key string }

// fixed are functions whose results would differ from run to run, cost much or touch the network.
func fixed() template.FuncMap {
	text := func(...any) string { return placeholder }
	cert := func(...any) certificate { return certificate{placeholder, placeholder} }
	random := func(n int) (string, error) {
		if n < 0 || n > maxValue {
			return "", limited("a random text of %d characters", n)
		}
		return strings.Repeat("x", n), nil
	}
	return template.FuncMap{
		"randAlphaNum": random, "randAlpha": random, "randAscii": random, "randBytes": random,
		"randNumeric": func(n int) (string, error) { s, err := random(n); return strings.ReplaceAll(s, "x", "1"), err },
		"randInt":     func(low, _ int) int { return low },
		"shuffle":     func(s string) string { return s },
		"uuidv4":      func() string { return "00000000-0000-4000-8000-000000000000" },
		"now":         func() time.Time { return time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC) },
		"ago":         func(any) string { return "0s" },

		"genPrivateKey": text, "derivePassword": text, "bcrypt": text, "encryptAES": text,
		"htpasswd":        func(user, _ string) string { return user + ":" + placeholder },
		"buildCustomCert": cert, "genCA": cert, "genCAWithKey": cert, "genSelfSignedCert": cert,
		"genSelfSignedCertWithKey": cert, "genSignedCert": cert, "genSignedCertWithKey": cert,
		"getHostByName": func(string) string { return "" },

		"keys":   sortedKeys,
		"values": sortedValues,
	}
}

func sortedKeys(dicts ...map[string]any) []string {
	var out []string
	for _, d := range dicts {
		out = append(out, slices.Sorted(maps.Keys(d))...)
	}
	return out
}

func sortedValues(dict map[string]any) []any {
	out := []any{}
	for _, k := range slices.Sorted(maps.Keys(dict)) {
		out = append(out, dict[k])
	}
	return out
}

// passing are functions that hand values on without reading them through; the arguments of all others are weighed.
var passing = map[string]bool{
	"include": true, "tpl": true, "dict": true, "list": true, "tuple": true, "get": true, "set": true, "unset": true,
	"hasKey": true, "pluck": true, "keys": true, "values": true, "pick": true, "omit": true, "dig": true, "default": true,
	"empty": true, "coalesce": true, "ternary": true, "all": true, "any": true, "kindOf": true, "kindIs": true,
	"typeOf": true, "typeIs": true, "typeIsLike": true, "first": true, "last": true, "rest": true, "initial": true,
	"append": true, "prepend": true, "push": true, "concat": true, "slice": true, "reverse": true, "required": true,
	"mustAppend": true, "mustPush": true, "mustPrepend": true, "mustFirst": true, "mustLast": true, "mustRest": true,
	"mustInitial": true, "mustSlice": true, "mustReverse": true, "fail": true, "lookup": true,
}

// guard puts a function under the budget: its arguments and its result are accounted for.
func (e *engine) guard(name string, fn reflect.Value) reflect.Value {
	t := fn.Type()
	outs := []reflect.Type{t.Out(0), reflect.TypeFor[error]()}
	ins := make([]reflect.Type, t.NumIn())
	for i := range ins {
		ins[i] = t.In(i)
	}
	weighs := !passing[name]
	return reflect.MakeFunc(reflect.FuncOf(ins, outs, t.IsVariadic()), func(args []reflect.Value) []reflect.Value {
		fail := func(err error) []reflect.Value {
			return []reflect.Value{reflect.Zero(t.Out(0)), reflect.ValueOf(&err).Elem()}
		}
		if err := e.step(); err != nil {
			return fail(err)
		}
		total := 0
		if weighs {
			for _, a := range args {
				if !a.IsValid() {
					continue
				}
				n, err := e.size(a.Interface())
				if err != nil {
					return fail(err)
				}
				total += n
			}
		}
		if err := e.foresee(name, args, total); err != nil {
			return fail(err)
		}
		var out []reflect.Value
		if t.IsVariadic() {
			out = fn.CallSlice(args)
		} else {
			out = fn.Call(args)
		}
		if err := e.charge(shallow(out[0])); err != nil {
			return fail(err)
		}
		if len(out) == 1 {
			var none error
			out = append(out, reflect.ValueOf(&none).Elem())
		}
		return out
	})
}

// shallow is the memory of a result without what it points to.
func shallow(v reflect.Value) int {
	for v.Kind() == reflect.Interface && !v.IsNil() {
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String:
		return v.Len()
	case reflect.Slice:
		return v.Len() * 48
	case reflect.Map:
		return v.Len() * 48
	}
	return 0
}

// foresee refuses calls whose result would be far larger than their arguments, before it is made.
func (e *engine) foresee(name string, args []reflect.Value, total int) error {
	num := func(i int) int64 {
		for i < len(args) {
			v := args[i]
			for v.Kind() == reflect.Interface && !v.IsNil() {
				v = v.Elem()
			}
			switch {
			case v.CanInt():
				return v.Int()
			case v.CanUint():
				return int64(min(v.Uint(), 1<<40))
			case v.CanFloat():
				return int64(v.Float())
			case v.Kind() == reflect.Slice && v.Len() > 0: // variadic
				v = v.Index(v.Len() - 1)
			}
			break
		}
		return 0
	}
	var result int64
	switch name {
	case "repeat", "indent", "nindent":
		n := max(num(0), 0)
		if n > maxValue {
			return limited("%s %d makes too much text", name, n)
		}
		lines := int64(1)
		if s, ok := args[1].Interface().(string); ok && name != "repeat" {
			lines += int64(strings.Count(s, "\n"))
		}
		if name == "repeat" {
			lines = int64(total)
		}
		result = n * lines
	case "until":
		result = abs(num(0)) * 8
	case "untilStep":
		if step := num(2); step != 0 {
			result = abs((num(1)-num(0))/step) * 8
		}
	case "seq":
		return e.foreseeSeq(args)
	case "join", "replace", "regexReplaceAll", "mustRegexReplaceAll", "regexReplaceAllLiteral",
		"mustRegexReplaceAllLiteral", "wrapWith", "wrap":
		if total > 1<<20 {
			result = int64(total) * int64(total)
			break
		}
		result = foreseeText(name, args)
	case "printf":
		if s, ok := args[0].Interface().(string); ok {
			result = widths(s) + int64(total)
		}
	}
	if result > maxValue {
		return limited("%s makes more than %d bytes", name, maxValue)
	}
	return nil
}

func abs(n int64) int64 { return max(n, -n) }

// foreseeText is the most that joining or replacing can make of its texts.
func foreseeText(name string, args []reflect.Value) int64 {
	longest, others := int64(0), int64(1)
	for _, a := range args {
		left := 1 << 30
		weigh(a, &left, 0)
		n := int64(1<<30 - left)
		if n > longest {
			longest, n = n, longest
		}
		others += n
	}
	return longest * others / 8
}

// foreseeSeq bounds seq, whose last argument is the end and whose middle one the step.
func (e *engine) foreseeSeq(args []reflect.Value) error {
	if len(args) == 0 || args[0].Kind() != reflect.Slice {
		return nil
	}
	for i := range args[0].Len() {
		if v := args[0].Index(i); v.CanInt() && abs(v.Int()) > 1_000_000 {
			return limited("seq of more than 1000000 numbers")
		}
	}
	return nil
}

// widths sums up the widths and precisions in a format. One that is taken from the arguments counts as the largest.
func widths(format string) int64 {
	sum := int64(0)
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		n := int64(0)
		for i++; i < len(format) && strings.IndexByte("+-# 0123456789.*[]", format[i]) >= 0; i++ {
			switch c := format[i]; {
			case c == '*':
				sum += 1_000_000
			case c >= '0' && c <= '9':
				n = min(n*10+int64(c-'0'), 1_000_000)
			default:
				sum, n = sum+n, 0
			}
		}
		sum += n
	}
	return sum
}
