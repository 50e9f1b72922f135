package decode

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

type marshaler interface{ Marshal() ([]byte, error) }

// answer is what an API server sends for an object.
func answer(t testing.TB, apiVersion, kind string, x marshaler) string {
	t.Helper()
	raw, err := x.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	data, err := (&runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: apiVersion, Kind: kind}, Raw: raw}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return protobufMagic + string(data)
}

var podSchema = SchemaOf(reflect.TypeFor[corev1.Pod]())

func podList(n int) *corev1.PodList {
	l := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "7", Continue: "next"}}
	for i := range n {
		l.Items = append(l.Items, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("p", i), Labels: map[string]string{"a": "b"}}})
	}
	return l
}

// protoNames reads a list and returns the names of its items and the errors.
func protoNames(l *ProtoList) (names []string, errs []error) {
	d := NewDecoder()
	for {
		m, _, err := l.Object(d)
		large, broken := (*TooLargeError)(nil), (*BrokenError)(nil)
		switch {
		case err == nil:
			names = append(names, m["metadata"].(map[string]any)["name"].(string))
		case errors.As(err, &large), errors.As(err, &broken):
			errs = append(errs, err)
		default:
			return names, append(errs, err)
		}
	}
}

func TestProtoList(t *testing.T) {
	text := answer(t, "v1", "PodList", podList(3))
	for name, r := range map[string]io.Reader{"whole": strings.NewReader(text), "bytes": iotest.OneByteReader(strings.NewReader(text))} {
		l := NewProtoList(r, podSchema, 1<<20)
		names, errs := protoNames(l)
		if fmt.Sprint(names) != "[p0 p1 p2]" || len(errs) != 1 || errs[0] != io.EOF || l.Continue() != "next" {
			t.Errorf("%s: %v %v %q", name, names, errs, l.Continue())
		}
	}
	names, errs := protoNames(NewProtoList(strings.NewReader(answer(t, "v1", "PodList", &corev1.PodList{})), podSchema, 1<<20))
	if len(names) != 0 || errs[0] != io.EOF {
		t.Errorf("%v %v", names, errs)
	}
}

func TestProtoListLargeItem(t *testing.T) {
	list := podList(3)
	for _, size := range []int{100_000, 600_000} { // below and above what the reader buffers
		list.Items[1].Annotations = map[string]string{"x": strings.Repeat("y", size)}
		text := answer(t, "v1", "PodList", list)
		names, errs := protoNames(NewProtoList(strings.NewReader(text), podSchema, 10_000))
		if fmt.Sprint(names) != "[p0 p2]" || len(errs) != 2 || errs[0].Error() != "item 1 is larger than 0 MiB" || errs[1] != io.EOF {
			t.Errorf("%v %v", names, errs)
		}
		if names, errs = protoNames(NewProtoList(strings.NewReader(text), podSchema, 1<<20)); len(names) != 3 || errs[0] != io.EOF {
			t.Errorf("%v %v", names, errs)
		}
	}
}

func TestProtoListBroken(t *testing.T) {
	text := answer(t, "v1", "PodList", podList(200))
	for cut := len(protobufMagic); cut < len(text)-30; cut += 37 {
		_, errs := protoNames(NewProtoList(strings.NewReader(text[:cut]), podSchema, 1<<20))
		if err := errs[len(errs)-1]; !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
	for name, tt := range map[string]struct{ text, want string }{
		"html":       {"<html>", "the answer is not protobuf"},
		"empty":      {"", "the answer is not protobuf"},
		"status":     {answer(t, "v1", "Status", &metav1.Status{Message: "too old", Reason: "Expired", Code: 410}), "too old"},
		"other wire": {protobufMagic + "\x08\x01\x08\x01", "not valid protobuf: no list"},
		"item":       {protobufMagic + "\x12\x04\x12\x02\xff\xff", "item 0: not valid protobuf"},
		"no message": {protobufMagic + "\x12\x02\x18\x01", "not valid protobuf after item 0"},
	} {
		_, errs := protoNames(NewProtoList(strings.NewReader(tt.text), podSchema, 1<<20))
		if errs[0].Error() != tt.want {
			t.Errorf("%s: %v", name, errs[0])
		}
	}
}

func TestStatus(t *testing.T) {
	want := &StatusError{Code: 403, Reason: "Forbidden", Message: "no"}
	for name, text := range map[string]string{
		"protobuf": answer(t, "v1", "Status", &metav1.Status{Message: "no", Reason: "Forbidden", Code: 403}),
		"json":     `{"kind":"Status","reason":"Forbidden","message":"no","code":403}`,
	} {
		if got := Status([]byte(text)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, text := range []string{"", "<html>", "{}", protobufMagic, protobufMagic + "\xff"} {
		if got := Status([]byte(text)); got != nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// TestMessageMerges: a field that comes twice is one list, one map, or its last value, as protobuf has it.
func TestMessageMerges(t *testing.T) {
	var wire []byte
	for _, p := range []corev1.Pod{
		{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: corev1.PodSpec{NodeName: "n"}},
		{ObjectMeta: metav1.ObjectMeta{Name: "b"}},
	} {
		data, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		wire = append(wire, data...)
	}
	got, err := NewDecoder().Message(podSchema, wire)
	if err != nil || got["metadata"].(map[string]any)["name"] != "b" {
		t.Errorf("%v %v", got, err)
	}
	secret := SchemaOf(reflect.TypeFor[corev1.Secret]())
	wire = nil
	for _, k := range []string{"k", "j"} {
		data, err := (&corev1.Secret{Data: map[string][]byte{k: []byte("hidden")}}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		wire = append(wire, data...)
	}
	d := NewDecoder()
	if got, err = d.Message(secret, wire); err != nil || !reflect.DeepEqual(got["data"], map[string]any{"k": "aGlkZGVu", "j": "aGlkZGVu"}) {
		t.Errorf("%v %v", got, err)
	}
	d.DropValues = true
	if got, err = d.Message(secret, wire); err != nil || !reflect.DeepEqual(got["data"], map[string]any{"k": "", "j": ""}) {
		t.Errorf("%v %v", got, err)
	}
}

func BenchmarkMessage(b *testing.B) {
	pod := podList(1).Items[0]
	var typed corev1.Pod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(must(NewDecoder().Object(podJSON(b))), &typed); err != nil {
		b.Fatal(err)
	}
	pod = typed
	wire, err := pod.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	objects := func(name string, f func() (map[string]any, error)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				if m, err := f(); err != nil || m["spec"] == nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/(cpuTime(b)-before).Seconds(), "pods/cpu-s")
		})
	}
	d := NewDecoder()
	objects("stockade", func() (map[string]any, error) { return d.Message(podSchema, wire) })
	objects("typed and converter", func() (map[string]any, error) {
		var p corev1.Pod
		if err := p.Unmarshal(wire); err != nil {
			return nil, err
		}
		return runtime.DefaultUnstructuredConverter.ToUnstructured(&p)
	})
	text := podJSON(b)
	objects("json", func() (map[string]any, error) { return d.Object(text) })
}

func must(m map[string]any, err error) map[string]any {
	if err != nil {
		panic(err)
	}
	return m
}
