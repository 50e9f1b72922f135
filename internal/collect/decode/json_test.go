package decode

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	utiljson "sigs.k8s.io/json"
)

// reference decodes with encoding/json to the same form.
func reference(data []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err == nil || err.Error() != "EOF" {
		return nil, ErrSyntax
	}
	v, err := numbers(m)
	if err != nil {
		return nil, err
	}
	return v.(map[string]any), nil
}

func numbers(v any) (any, error) {
	var err error
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			if x[k], err = numbers(e); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, e := range x {
			if x[i], err = numbers(e); err != nil {
				return nil, err
			}
		}
	case json.Number:
		if n, err := strconv.ParseInt(string(x), 10, 64); err == nil {
			return n, nil
		}
		return strconv.ParseFloat(string(x), 64)
	}
	return v, nil
}

var texts = []string{
	`{}`, ` { "a" : [ 1 , -2.5e+3, true,false , null , "x" ] , "b":{"c":{}} } `, `{"a":"\u00e9\ud83d\ude00\n\"\\\/\b\f\r\t"}`,
	`{"a":9223372036854775807,"b":9223372036854775808,"c":-9223372036854775808,"d":-0,"e":123456789012345678}`,
	`{"a":1,"a":2}`, `{"a":"` + "\xff\xfe中文" + `"}`, `{"a":"\ud800x","b":"\udc00\ud800"}`, `{"":""}`, `{"a":[]}`,
	// broken
	``, `{`, `[1]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":01}`, `{"a":1.}`, `{"a":-}`, `{"a":tru}`, `{"a":"x}`, `{"a":"\x"}`, `{"a":"\u12g4"}`,
	"{\"a\":\"\n\"}", `{"a":1}}`, `{"a":1} {"b":2}`, `{a:1}`, `{"a":[1,]}`, `{"a":[1 2]}`, `{"a":1e999}`, `{"a":.5}`, `{"a":+1}`, `{"a" 1}`,
}

func TestDecoderAgainstReference(t *testing.T) {
	d := NewDecoder()
	for _, text := range texts {
		want, wantErr := reference([]byte(text))
		got, err := d.Object([]byte(text))
		if (err == nil) != (wantErr == nil) || err == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %#v, %v; want %#v, %v", text, got, err, want, wantErr)
		}
	}
}

func TestDecoderLeavesOut(t *testing.T) {
	d := NewDecoder()
	text := []byte(`{"metadata":{"name":"s","managedFields":[{"a":"]}"}],"labels":{"managedFields":"x"}},"data":{"k":"dmFsdWU=","n":null},"stringData":{"j":"v"},"spec":{"data":{"k":"v"},"managedFields":1}}`)
	got, err := d.Object(text)
	if err != nil {
		t.Fatal(err)
	}
	meta := got["metadata"].(map[string]any)
	if meta["managedFields"] != nil || meta["name"] != "s" || meta["labels"].(map[string]any)["managedFields"] != "x" ||
		got["spec"].(map[string]any)["managedFields"] != int64(1) || got["data"].(map[string]any)["k"] != "dmFsdWU=" {
		t.Errorf("%v", got)
	}
	d.DropValues = true
	if got, err = d.Object(text); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"k": "", "n": ""}
	if !reflect.DeepEqual(got["data"], want) || !reflect.DeepEqual(got["stringData"], map[string]any{"j": ""}) ||
		got["spec"].(map[string]any)["data"].(map[string]any)["k"] != "v" {
		t.Errorf("%v", got)
	}
}

func TestDecoderKeepsNothingOfTheInput(t *testing.T) {
	data := []byte(`{"key":"value","list":["one"],"long":"` + strings.Repeat("x", 200) + `"}`)
	got, err := NewDecoder().Object(data)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		data[i] = '#'
	}
	if got["key"] != "value" || got["list"].([]any)[0] != "one" || got["long"] != strings.Repeat("x", 200) {
		t.Errorf("%v", got)
	}
}

func TestDecoderDepth(t *testing.T) {
	text := []byte(`{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`)
	if _, err := NewDecoder().Object(text); err == nil || !strings.Contains(err.Error(), "nested too deeply") {
		t.Errorf("%v", err)
	}
}

func FuzzObject(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	d := NewDecoder()
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := d.Object(data)
		if bytes.Contains(data, []byte("managedFields")) || bytes.Contains(data, []byte("\\u")) && bytes.Contains(data, []byte("anagedFields")) {
			return // left out by design
		}
		want, wantErr := reference(data)
		if (err == nil) != (wantErr == nil) {
			if err != nil && strings.Contains(err.Error(), "nested too deeply") || wantErr == nil && want == nil {
				return // encoding/json nests deeper, and takes null for an object
			}
			t.Fatalf("%q: %v, reference %v", data, err, wantErr)
		}
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %#v, want %#v", data, got, want)
		}
	})
}

func podJSON(tb testing.TB) []byte {
	tb.Helper()
	env := make([]string, 12)
	for i := range env {
		env[i] = `{"name":"SETTING_` + strconv.Itoa(i) + `","value":"value number ` + strconv.Itoa(i*7919) + `"}`
	}
	return []byte(`{"metadata":{"name":"web-7d4b9c8f5-x2x1z","generateName":"web-7d4b9c8f5-","namespace":"team-a","uid":"5b0b3c0e-3c5c-4f0e-8a4e-9a1f6f7d2b11","resourceVersion":"812345","creationTimestamp":"2026-10-01T10:00:00Z","labels":{"app":"web","pod-template-hash":"7d4b9c8f5","team":"a"},"annotations":{"prometheus.io/scrape":"true"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-7d4b9c8f5","uid":"aaaaaaaa-3c5c-4f0e-8a4e-9a1f6f7d2b11","controller":true,"blockOwnerDeletion":true}],"managedFields":[{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":"2026-10-01T10:00:00Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:generateName":{},"f:labels":{".":{},"f:app":{},"f:pod-template-hash":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"aaaaaaaa\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:env":{".":{},"k:{\"name\":\"A\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:ports":{".":{},"k:{\"containerPort\":8080,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}},"f:resources":{},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}},"f:dnsPolicy":{},"f:enableServiceLinks":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}}]},"spec":{"volumes":[{"name":"kube-api-access-x","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}},{"downwardAPI":{"items":[{"path":"namespace","fieldRef":{"apiVersion":"v1","fieldPath":"metadata.namespace"}}]}}],"defaultMode":420}}],"containers":[{"name":"web","image":"registry.example.com/team-a/web:1.4.2","ports":[{"containerPort":8080,"protocol":"TCP"}],"env":[` + strings.Join(env, ",") + `],"resources":{"limits":{"cpu":"500m","memory":"256Mi"},"requests":{"cpu":"100m","memory":"128Mi"}},"volumeMounts":[{"name":"kube-api-access-x","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent","securityContext":{"runAsNonRoot":true,"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"web","serviceAccount":"web","nodeName":"node-17","securityContext":{},"schedulerName":"default-scheduler","tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300},{"key":"node.kubernetes.io/unreachable","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}],"priority":0,"enableServiceLinks":true,"preemptionPolicy":"PreemptLowerPriority"},"status":{"phase":"Running","conditions":[{"type":"Initialized","status":"True","lastProbeTime":null,"lastTransitionTime":"2026-10-01T10:00:00Z"},{"type":"Ready","status":"True","lastProbeTime":null,"lastTransitionTime":"2026-10-01T10:00:05Z"}],"hostIP":"10.0.0.17","podIP":"10.244.17.23","podIPs":[{"ip":"10.244.17.23"}],"startTime":"2026-10-01T10:00:00Z","containerStatuses":[{"name":"web","state":{"running":{"startedAt":"2026-10-01T10:00:04Z"}},"lastState":{},"ready":true,"restartCount":0,"image":"registry.example.com/team-a/web:1.4.2","imageID":"registry.example.com/team-a/web@sha256:3333333333333333333333333333333333333333333333333333333333333333","containerID":"containerd://4444444444444444444444444444444444444444444444444444444444444444","started":true}],"qosClass":"Burstable"}}`)
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkDecode(b *testing.B) {
	data := podJSON(b)
	run := func(name string, f func() (map[string]any, error)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				if m, err := f(); err != nil || m["spec"] == nil {
					b.Fatal(err)
				}
			}
			// CPU time, garbage collection included: the wall says little on a shared machine.
			cpu := cpuTime(b) - before
			b.ReportMetric(float64(b.N*len(data))/1e6/cpu.Seconds(), "MB/cpu-s")
		})
	}
	d := NewDecoder()
	run("stockade", func() (map[string]any, error) { return d.Object(data) })
	run("encoding-json-usenumber", func() (map[string]any, error) { return reference(data) })
	run("sigs-json", func() (map[string]any, error) {
		var m map[string]any
		return m, utiljson.UnmarshalCaseSensitivePreserveInts(data, &m)
	})
	run("encoding-json-plain", func() (map[string]any, error) {
		var m map[string]any
		return m, json.Unmarshal(data, &m)
	})
}
