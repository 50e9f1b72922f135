package decode

import (
	"reflect"
	"strconv"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Schema says how the protobuf form of a Kubernetes type becomes its JSON form. It is made of the tags of the Go type.
type Schema struct{ root *message }

// SchemaOf returns the schema of a struct type of k8s.io/api.
func SchemaOf(t reflect.Type) *Schema {
	b := schemas{made: map[reflect.Type]*message{}}
	return &Schema{b.message(t)}
}

// form is how a value is encoded and what it becomes.
type form uint8

const (
	formBool form = iota
	formInt
	formDouble
	formString
	formBytes       // base64 in JSON
	formMessage     // an object
	formStrings     // a message that stands for a list of strings, as certificates.ExtraValue
	formTime        // RFC 3339 with seconds
	formMicroTime   // RFC 3339 with microseconds
	formQuantity    // its canonical text
	formIntOrString // a number or a text
	formDuration
	formUnknown // left out
)

type message struct {
	fields  []field // by number; the zero field is none
	absent  []field // fields that JSON has as null when they are not on the wire
	dropped bool    // managedFields
}

type field struct {
	name     string
	index    int // from 1 within the message, for the set of fields seen
	form     form
	sub      *message
	repeated bool
	isMap    bool
	inline   bool // the fields of the message belong to its parent
	omitZero bool // left out when it is the zero value
	known    bool
}

type schemas struct {
	mu   sync.Mutex
	made map[reflect.Type]*message
}

func (b *schemas) message(t reflect.Type) *message {
	if m := b.made[t]; m != nil {
		return m
	}
	m := &message{}
	b.made[t] = m
	b.collect(m, t)
	return m
}

func (b *schemas) collect(m *message, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		number := fieldNumber(f.Tag.Get("protobuf"))
		if name == "-" || number < 0 || name == "" && !strings.Contains(options, "inline") {
			continue
		}
		if t == objectMeta && name == "managedFields" {
			continue
		}
		for len(m.fields) <= number {
			m.fields = append(m.fields, field{})
		}
		fd := b.field(f.Type)
		fd.name, fd.known, fd.inline = name, true, name == ""
		fd.index = len(m.absent) + 1
		zero := strings.Contains(options, "omitempty") && f.Type.Kind() != reflect.Pointer && f.Type.Kind() != reflect.Struct
		fd.omitZero = zero || strings.Contains(options, "omitzero")
		m.fields[number] = fd
		keep := !fd.inline && !fd.omitZero && !strings.Contains(options, "omitempty")
		if k := f.Type.Kind(); !keep || k != reflect.Pointer && k != reflect.Slice && k != reflect.Map {
			m.absent = append(m.absent, field{})
			continue
		}
		m.absent = append(m.absent, fd)
	}
}

var (
	objectMeta   = reflect.TypeFor[metav1.ObjectMeta]()
	specialTypes = map[reflect.Type]form{
		reflect.TypeFor[metav1.Time](): formTime, reflect.TypeFor[metav1.MicroTime](): formMicroTime,
		reflect.TypeFor[resource.Quantity](): formQuantity, reflect.TypeFor[intstr.IntOrString](): formIntOrString,
		reflect.TypeFor[metav1.Duration](): formDuration,
	}
	bytesType = reflect.TypeFor[[]byte]()
)

// field says how a value of a Go type is encoded.
func (b *schemas) field(t reflect.Type) (f field) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if special, ok := specialTypes[t]; ok {
		return field{form: special}
	}
	switch t.Kind() {
	case reflect.Bool:
		f.form = formBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		f.form = formInt
	case reflect.Float32, reflect.Float64:
		f.form = formDouble
	case reflect.String:
		f.form = formString
	case reflect.Struct:
		f.form, f.sub = formMessage, b.message(t)
	case reflect.Slice:
		if t.ConvertibleTo(bytesType) {
			f.form = formBytes
			break
		}
		f = b.field(t.Elem())
		f.repeated = true
	case reflect.Map:
		f = b.field(t.Elem())
		if f.repeated { // only lists of strings have a name of their own and are values of maps
			f.form, f.repeated = formStrings, false
		}
		f.isMap = true
	default:
		f.form = formUnknown
	}
	return f
}

// fieldNumber reads "bytes,3,opt,name=metadata"; -1 when there is no number.
func fieldNumber(tag string) int {
	parts := strings.SplitN(tag, ",", 3)
	if len(parts) < 2 {
		return -1
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil || n < 1 || n > 1000 {
		return -1
	}
	return n
}
