package cluster

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"stockade.dev/stockade/internal/collect"
	"stockade.dev/stockade/internal/collect/decode"
)

// filler gives values of any type, some fields empty.
type filler struct {
	*rand.Rand
	empty float64 // share of optional fields left empty
}

var words = []string{"a", "kube-system", "registry.example.com/team/app:1.2.3", "中文", "", "with \"quotes\" and \n", strings.Repeat("long", 60)}

func (f filler) fill(v reflect.Value, depth int) {
	switch x := v.Addr().Interface().(type) {
	case *metav1.Time:
		if f.Float64() > f.empty {
			*x = metav1.Time{Time: time.Unix(f.Int64N(4e9), 0).UTC()}
		}
		return
	case *metav1.MicroTime:
		*x = metav1.MicroTime{Time: time.Unix(f.Int64N(4e9), f.Int64N(1e6)*1000).UTC()}
		return
	case *resource.Quantity:
		*x = resource.MustParse([]string{"100m", "1Gi", "2", "0", "1500m", "128974848"}[f.IntN(6)])
		_ = x.String() // as one that was read: with its text cached
		return
	case *intstr.IntOrString:
		if f.IntN(2) == 0 {
			*x = intstr.FromString("http")
		} else {
			*x = intstr.FromInt32(f.Int32() - 1<<30)
		}
		return
	case *[]metav1.ManagedFieldsEntry:
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(f.IntN(2) == 0)
	case reflect.Int32, reflect.Int64, reflect.Int:
		v.SetInt([]int64{0, 1, 65534, -1, 1 << 30, -12345}[f.IntN(6)])
	case reflect.Float64:
		v.SetFloat(f.Float64())
	case reflect.String:
		v.SetString(words[f.IntN(len(words))])
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				f.fill(v.Field(i), depth+1)
			}
		}
	case reflect.Pointer:
		if f.Float64() > f.empty && depth < 40 {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem(), depth+1)
		}
	case reflect.Slice:
		if f.Float64() > f.empty && depth < 40 {
			v.Set(reflect.MakeSlice(v.Type(), 1+f.IntN(3), 3))
			for i := range v.Len() {
				f.fill(v.Index(i), depth+1)
			}
		}
	case reflect.Map:
		if f.Float64() > f.empty {
			v.Set(reflect.MakeMap(v.Type()))
			for range 1 + f.IntN(3) {
				key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				f.fill(key, depth+1)
				f.fill(value, depth+1)
				v.SetMapIndex(key, value)
			}
		}
	}
}

// TestProtobufGivesWhatJSONGives holds the decoder to the types' own encoders: an object read as protobuf is the object
// read as JSON, for every kind that is read so.
func TestProtobufGivesWhatJSONGives(t *testing.T) {
	d := decode.NewDecoder()
	for key, typ := range protobufTypes {
		s := schema(key[0], key[1])
		for round := range 60 {
			f := filler{rand.New(rand.NewPCG(uint64(round), 7)), []float64{0.95, 0.6, 0.3}[round%3]}
			x := reflect.New(typ)
			f.fill(x.Elem(), 0)
			wire, err := x.Interface().(interface{ Marshal() ([]byte, error) }).Marshal()
			if err != nil {
				t.Fatal(err)
			}
			// Once through protobuf, as every object in a cluster has been: it does not tell empty from absent.
			back := reflect.New(typ)
			if err := back.Interface().(interface{ Unmarshal([]byte) error }).Unmarshal(wire); err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(back.Interface())
			if err != nil {
				t.Fatal(err)
			}
			want, err := d.Object(text)
			if err != nil {
				t.Fatal(err)
			}
			got, err := d.Message(s, wire)
			if err != nil {
				t.Fatalf("%v: %v", key, err)
			}
			delete(want, "apiVersion")
			delete(want, "kind")
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%v, round %d: %s", key, round, difference("", got, want))
			}
		}
	}
}

// difference names the first place where two values differ.
func difference(path string, got, want any) string {
	g, ok1 := got.(map[string]any)
	w, ok2 := want.(map[string]any)
	if ok1 && ok2 {
		for k := range w {
			if _, ok := g[k]; !ok {
				return path + "." + k + " is missing"
			}
		}
		for k := range g {
			if _, ok := w[k]; !ok {
				return path + "." + k + " is too much"
			}
			if d := difference(path+"."+k, g[k], w[k]); d != "" {
				return d
			}
		}
		return ""
	}
	gl, ok1 := got.([]any)
	wl, ok2 := want.([]any)
	if ok1 && ok2 && len(gl) == len(wl) {
		for i := range gl {
			if d := difference(path+"[]", gl[i], wl[i]); d != "" {
				return d
			}
		}
		return ""
	}
	if !reflect.DeepEqual(got, want) {
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		return path + ": got " + string(a) + ", want " + string(b)
	}
	return ""
}

// TestProtobufKinds: each type stands for a kind that is read.
func TestProtobufKinds(t *testing.T) {
	for key, typ := range protobufTypes {
		found := false
		for _, k := range collect.Kinds {
			for _, v := range k.Versions {
				if k.Group != "" {
					v = k.Group + "/" + v
				}
				found = found || v == key[0] && k.Kind == key[1]
			}
		}
		if !found || typ.Name() != key[1] {
			t.Errorf("%v is read by nobody", key)
		}
	}
}

func FuzzMessage(f *testing.F) {
	for key, typ := range protobufTypes {
		x := reflect.New(typ)
		filler{rand.New(rand.NewPCG(1, 2)), 0.5}.fill(x.Elem(), 0)
		wire, err := x.Interface().(interface{ Marshal() ([]byte, error) }).Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(key[0], key[1], wire)
	}
	d := decode.NewDecoder()
	f.Fuzz(func(t *testing.T, apiVersion, kind string, data []byte) {
		s := schema(apiVersion, kind)
		if s == nil {
			return
		}
		m, err := d.Message(s, data)
		if err != nil {
			return
		}
		if _, err := json.Marshal(m); err != nil {
			t.Fatal(err)
		}
	})
}
