package manifest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The meaning of scalars is that of the API server, which reads YAML 1.1 (go.yaml.in/yaml/v2) to JSON and JSON to objects:
// yes and on are true, 0644 is 420, a float without a fraction comes out of JSON as an integer, a timestamp is a string.

var errKey = errors.New("a key must be text, a number or a boolean")

var errNotFinite = errors.New("infinity and not-a-number have no JSON form")

// Classes of the first byte of a plain scalar: what it may turn out to be.
const (
	hintText  = iota // only a string
	hintWord         // true, no, null, ~ and the like
	hintDigit        // a number, with or without a sign
	hintDot          // .5 or .inf
)

func hint(c byte) int {
	switch c {
	case '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '+', '-':
		return hintDigit
	case '.':
		return hintDot
	case 'y', 'Y', 'n', 'N', 't', 'T', 'f', 'F', 'o', 'O', '~':
		return hintWord
	}
	return hintText
}

// resolve gives a plain scalar its JSON value.
func resolve(s string) (any, error) {
	if s == "" {
		return nil, nil
	}
	switch hint(s[0]) {
	case hintWord:
		if v, ok := word(s); ok {
			return v, nil
		}
	case hintDigit, hintDot:
		return jsonNumber(s, number(s))
	}
	return s, nil
}

// resolveKey gives a plain scalar the text that it has as a key.
func resolveKey(s string) (string, error) {
	if s != "" {
		if k := hint(s[0]); k == hintDigit || k == hintDot {
			switch n := number(s).(type) {
			case int64:
				return strconv.FormatInt(n, 10), nil
			case uint64:
				return "", errKey
			case float64:
				return floatKey(n), nil
			}
			return s, nil
		}
	}
	v, err := resolve(s)
	if err != nil {
		return "", err
	}
	return keyText(v)
}

// floatKey writes a float the way the YAML library does: with the precision of 32 bits.
func floatKey(f float64) string {
	switch s := strconv.FormatFloat(f, 'g', -1, 32); s {
	case "+Inf":
		return ".inf"
	case "-Inf":
		return "-.inf"
	case "NaN":
		return ".nan"
	default:
		return s
	}
}

func word(s string) (v any, ok bool) {
	switch len(s) {
	case 1:
		switch s[0] {
		case 'y', 'Y':
			return true, true
		case 'n', 'N':
			return false, true
		case '~':
			return nil, true
		}
	case 2, 3, 4, 5:
		switch s {
		case "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON":
			return true, true
		case "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF":
			return false, true
		case "null", "Null", "NULL":
			return nil, true
		}
	}
	return nil, false
}

// number reads what starts with a digit, a sign or a dot: an int64, a uint64 beyond that, a float64, or nil when it is
// none. Most such text in manifests ("10.0.0.1", "100m") is none.
func number(s string) any {
	if n, ok := smallInt(s); ok {
		return n
	}
	switch s {
	case ".nan", ".NaN", ".NAN":
		return math.NaN()
	case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF":
		return math.Inf(1)
	case "-.inf", "-.Inf", "-.INF":
		return math.Inf(-1)
	}
	if s[0] == '.' {
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return f
		}
		return nil
	}
	plain := s
	if strings.IndexByte(s, '_') >= 0 {
		plain = strings.ReplaceAll(s, "_", "")
	}
	if !numeric(plain) {
		return nil
	}
	if n, err := strconv.ParseInt(plain, 0, 64); err == nil {
		return n
	}
	if n, err := strconv.ParseUint(plain, 0, 64); err == nil {
		return n
	}
	if floatSyntax(plain) {
		if f, err := strconv.ParseFloat(plain, 64); err == nil {
			return f
		}
	}
	if strings.HasPrefix(plain, "-0b") {
		if n, err := strconv.ParseInt("-"+plain[3:], 2, 64); err == nil {
			return n
		}
	}
	return nil
}

// jsonNumber is what becomes of a number on its way through JSON: an integer beyond int64 is a float, a float without
// fraction and exponent an integer. Text that is no number stays what it is.
func jsonNumber(s string, n any) (any, error) {
	switch n := n.(type) {
	case int64:
		return n, nil
	case uint64:
		return float64(n), nil
	case float64:
		return jsonFloat(n)
	}
	return s, nil
}

// smallInt reads plain decimal integers, nearly all numbers there are.
func smallInt(s string) (int64, bool) {
	if len(s) > 18 || s[0] < '1' || s[0] > '9' {
		return 0, s == "0"
	}
	n := int64(0)
	for i := 0; i < len(s); i++ {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + int64(c)
	}
	return n, true
}

// numeric reports whether s has only bytes that any number syntax has.
func numeric(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= '0' && c <= '9', c == '+', c == '-', c == '.', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F',
			c == 'x', c == 'X', c == 'o', c == 'O':
		default:
			return false
		}
	}
	return s != ""
}

// floatSyntax is the regular expression [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
func floatSyntax(s string) bool {
	i := 0
	digits := func() bool {
		from := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i > from
	}
	sign := func() {
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
	}
	sign()
	if i < len(s) && s[i] == '.' {
		i++
		if !digits() {
			return false
		}
	} else {
		if !digits() {
			return false
		}
		if i < len(s) && s[i] == '.' {
			i++
			digits()
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		sign()
		if !digits() {
			return false
		}
	}
	return i == len(s)
}

func jsonFloat(f float64) (any, error) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, errNotFinite
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<63 {
		// By its shortest text, as JSON writes it: beyond 2^53 that is another number than the float itself.
		if n, err := strconv.ParseInt(strconv.FormatFloat(f, 'f', -1, 64), 10, 64); err == nil {
			return n, nil
		}
	}
	return f, nil
}

// resolveTagged gives a scalar with an explicit tag its value. Unknown tags leave the text as it is.
func resolveTagged(tag, s string) (any, error) {
	switch tag {
	case "!!str", "!!timestamp":
		return s, nil
	case "!!binary":
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return nil, errors.New("!!binary value is not base64")
		}
		return strings.ToValidUTF8(string(b), "\ufffd"), nil
	case "!!bool", "!!int", "!!float", "!!null":
	default:
		return s, nil
	}
	v, err := resolve(s)
	if err != nil {
		return nil, err
	}
	ok := false
	switch v.(type) {
	case nil:
		ok = tag == "!!null"
	case bool:
		ok = tag == "!!bool"
	case int64, float64:
		ok = tag == "!!int" && !strings.ContainsAny(s, ".") || tag == "!!float"
	}
	if !ok {
		return nil, fmt.Errorf("%q is no %s", s, tag)
	}
	return v, nil
}

// keyText turns the value of a key into the text that JSON wants.
func keyText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return floatKey(v), nil
	}
	return "", errKey
}
