package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stockade.dev/stockade/internal/policy"
	"stockade.dev/stockade/internal/provider/protocol"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/rules"
)

// reviewText is an AdmissionReview as the API server writes it.
func reviewText(version, operation, object string, more string) []byte {
	return fmt.Appendf(nil, `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/%s","request":{"uid":"705ab4f5-6393-11e8-b7cc-42010a800002","kind":{"group":"","version":"v1","kind":"Pod"},`+
		`"name":"web-1","namespace":"shop","operation":%q,"userInfo":{"username":"anna","groups":["team","system:authenticated"]},"object":%s,"oldObject":null%s}}`, version, operation, object, more)
}

const testPod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-1","generateName":"web-","namespace":"shop","uid":"u1","labels":{"pod-template-hash":"6d4cf56db6"},` +
	`"managedFields":[{"manager":"x"}],"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-6d4cf56db6","uid":"r1","controller":true}]},` +
	`"spec":{"containers":[{"name":"web","image":"bad:1","securityContext":{"privileged":true},"env":[{"name":"DB_PASSWORD","value":"hunter2-Xk9"}],` +
	`"volumeMounts":[{"name":"kube-api-access-x2x4v","mountPath":"/var/run/secrets"}]}],"volumes":[{"name":"kube-api-access-x2x4v","projected":{}}]},"status":{"phase":"Pending"}}`

// show sends a review to the recorder.
func (w *world) show(body []byte) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.p.Doors().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/record", strings.NewReader(string(body))))
	return rec
}

// flush judges and sends what was shown.
func (w *world) flush() ([]protocol.Admission, int) {
	w.t.Helper()
	w.p.rec.run()
	w.p.rec.close()
	w.p.spool.Close(true)
	if _, err := w.p.send(w.t.Context(), 100); err != nil {
		w.t.Fatal(err)
	}
	return w.server.admitted()
}

func allowed(t *testing.T, rec *httptest.ResponseRecorder, version string) {
	t.Helper()
	var out struct {
		APIVersion string
		Kind       string
		Response   struct {
			UID     string
			Allowed bool
		}
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || rec.Code != http.StatusOK || !out.Response.Allowed || out.Response.UID != "705ab4f5-6393-11e8-b7cc-42010a800002" ||
		out.APIVersion != "admission.k8s.io/"+version || out.Kind != "AdmissionReview" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// TestRecord: what the library and the checks say is kept with the object, without credentials.
func TestRecord(t *testing.T) {
	w := newWorld(t)
	lib, err := rule.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	w.o.Judge = func(ctx context.Context, b *policy.Bundle, i policy.Images) (Judge, []policy.Undecided, error) {
		return policy.NewJudge(ctx, lib, b, i)
	}
	w.server.bundle.Policies = append(w.server.bundle.Policies, policy.Policy{ID: 9, Version: 3, Name: "pods", Action: policy.Warn, Rules: []policy.RuleUse{{Rule: "workload/privileged-container"}},
		Scope: policy.Scope{NamespaceSelector: "team=shop"}})
	w.server.bundle.Namespaces = map[string]map[string]string{"shop": {"team": "shop"}}
	w.start()
	w.pull()
	w.knows(w.bad("docker.io/library/bad:1"))
	allowed(t, w.show(reviewText("v1", "CREATE", testPod, "")), "v1")
	allowed(t, w.show(reviewText("v1beta1", "CREATE", strings.ReplaceAll(testPod, "x2x4v", "b7k2p"), `,"dryRun":true`)), "v1beta1")
	allowed(t, w.show(reviewText("v1", "CREATE", strings.Replace(testPod, `"labels"`, `"annotations":{"stockade.dev/self-test":"1"},"labels"`, 1), `,"dryRun":true`)), "v1")
	allowed(t, w.show(reviewText("v1", "CREATE", strings.Replace(testPod, `"labels"`, `"annotations":{"stockade.dev/self-test":"1"},"labels"`, 1), ``)), "v1")
	allowed(t, w.show(reviewText("v1", "DELETE", "null", "")), "v1")
	all, lost := w.flush()
	if len(all) != 4 || lost != 0 {
		t.Fatalf("%d admissions, %d lost", len(all), lost)
	}
	objects, selfTests, dry := 0, 0, 0
	for _, a := range all {
		if a.Outcome != "blocked" || a.OwnerKind != "Deployment" || a.OwnerName != "web" || a.User != "anna" || len(a.Groups) != 2 || a.Generated != "g1" || a.Name != "web-1" || a.Namespace != "shop" ||
			a.UID != "u1" || !a.At.Equal(w.clock.Now()) {
			t.Errorf("%+v", a)
		}
		found := map[string]policy.Action{}
		for _, v := range a.Violations {
			found[v.Rule] = v.Action
		}
		if found["workload/privileged-container"] != policy.Warn || found["image/vulnerability"] != policy.Block || found["image/tag"] != policy.Warn {
			t.Errorf("%v", found)
		}
		if a.SelfTest {
			selfTests++
		}
		if a.DryRun {
			dry++
		}
		if a.Object == nil {
			continue
		}
		objects++
		text := string(a.Object)
		for _, gone := range []string{"hunter2", "x2x4v", "managedFields", "Pending", `"uid":"u1"`, `"web-1"`} {
			if strings.Contains(text, gone) {
				t.Errorf("the object has %s: %s", gone, text)
			}
		}
		if !strings.Contains(text, "DB_PASSWORD") || !strings.Contains(text, "bad:1") {
			t.Errorf("%s", text)
		}
	}
	if selfTests != 1 || dry != 2 { // the mark alone hides nothing
		t.Errorf("%d self tests, %d dry runs", selfTests, dry)
	}
	if objects != 2 { // with and without the annotation: equal ones are in a batch once
		t.Errorf("%d objects", objects)
	}
}

// TestMalformedAdmissionReview: whatever can be answered is allowed.
func TestMalformedAdmissionReview(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	good := string(reviewText("v1", "CREATE", testPod, ""))
	for _, s := range []string{good[:len(good)-10], good[:300], strings.Replace(good, testPod, "17", 1), strings.Replace(good, testPod, "[]", 1), strings.Replace(good, testPod, `{"spec":[]}`, 1),
		strings.Replace(good, `"name":"web-1"`, `"name":17`, 1), strings.Replace(good, `"userInfo":{`, `"userInfo":[{`, 1), strings.Replace(good, testPod, strings.Repeat(`{"a":`, 2000)+"1"+strings.Repeat("}", 2000), 1),
		strings.Replace(good, `"containers":[{`, `"containers":[null,17,[],{`, 1)} {
		allowed(t, w.show([]byte(s)), "v1")
	}
	for _, s := range []string{"", "{}", "null", "[]", `{"request":{}}`, `{"request":{"uid":""}}`, `{"request":{"uid":"a\"b"}}`, "\x00\x01", `{"request":`} {
		if rec := w.show([]byte(s)); rec.Code != http.StatusBadRequest {
			t.Errorf("%q: %d %s", s, rec.Code, rec.Body)
		}
	}
	all, lost := w.flush()
	if len(all)+lost != 9 {
		t.Errorf("%d recorded, %d lost", len(all), lost)
	}
	for _, a := range all {
		if a.Kind != "Pod" {
			t.Errorf("%+v", a)
		}
	}
}

// TestQueueOverflow: what finds no room is allowed, and counted as lost.
func TestQueueOverflow(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	w.knows(w.good("docker.io/library/bad:1"))
	body := reviewText("v1", "CREATE", testPod, "")
	for range mostQueue + 25 {
		allowed(t, w.show(body), "v1")
	}
	all, lost := w.flush()
	if len(all) != mostQueue || lost != 25 {
		t.Errorf("%d recorded, %d lost", len(all), lost)
	}
}

func TestQueueIsBoundedInBytes(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	large := reviewText("v1", "CREATE", strings.Replace(testPod, `"labels"`, `"annotations":{"x":"`+strings.Repeat("y", 3<<20)+`"},"labels"`, 1), "")
	for range 7 {
		allowed(t, w.show(large), "v1")
	}
	all, lost := w.flush()
	if len(all) != 5 || lost != 2 {
		t.Errorf("%d recorded, %d lost", len(all), lost)
	}
	for _, a := range all {
		if a.Object != nil || a.Bytes < 3<<20 {
			t.Errorf("%d bytes, object of %d", a.Bytes, len(a.Object))
		}
	}
	over := reviewText("v1", "CREATE", strings.Replace(testPod, `"labels"`, `"annotations":{"x":"`+strings.Repeat("y", mostReview)+`"},"labels"`, 1), "")
	allowed(t, w.show(over), "v1")
}

// TestJudgeFails: the request is kept without a verdict.
func TestJudgeFails(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.pull()
	f := *w.p.force.Load()
	f.judge = panicking{f.judge}
	w.p.force.Store(&f)
	allowed(t, w.show([]byte(strings.ReplaceAll(string(reviewText("v1", "CREATE", testPod, "")), "web-1", "panic-1"))), "v1")
	all, _ := w.flush()
	if len(all) != 1 || all[0].Outcome != "unjudged" || all[0].Object == nil {
		t.Errorf("%+v", all)
	}
}

// TestRecordToken: with a token only the path with it is answered.
func TestRecordToken(t *testing.T) {
	w := newWorld(t)
	w.write("tls/record-token", []byte("s3cret\n"))
	w.start()
	w.pull()
	for path, want := range map[string]int{"/record": 404, "/record/x": 404, "/record/s3cret": 200} {
		rec := httptest.NewRecorder()
		w.p.Doors().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, path, strings.NewReader(string(reviewText("v1", "CREATE", testPod, "")))))
		if rec.Code != want {
			t.Errorf("%s: %d", path, rec.Code)
		}
	}
}

// TestUncheckedIsRecorded: an image without a verdict is let in by policy 1, and the record says so.
func TestUncheckedIsRecorded(t *testing.T) {
	w := newWorld(t)
	w.server.bundle.Policies = w.server.bundle.Policies[:1]
	w.start()
	w.pull()
	w.away(true)
	allowed(t, w.show(reviewText("v1", "CREATE", testPod, "")), "v1")
	w.p.rec.run()
	w.p.rec.close()
	w.away(false)
	w.clock.add(time.Minute)
	w.p.spool.Close(true)
	if _, err := w.p.send(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	all, _ := w.server.admitted()
	if len(all) != 1 || all[0].Outcome != "audited" || len(all[0].Undecided) != 1 || all[0].Undecided[0].Image == "" {
		t.Errorf("%+v", all)
	}
}

func FuzzAdmissionReview(f *testing.F) {
	f.Add(reviewText("v1", "CREATE", testPod, ""))
	f.Add(reviewText("v1beta1", "UPDATE", testPod, `,"dryRun":true`))
	f.Add([]byte(`{"request":{"uid":"a"}}`))
	w := newWorld(f)
	w.start()
	f.Fuzz(func(t *testing.T, body []byte) {
		rec := w.show(body)
		if rec.Code == http.StatusOK {
			var out map[string]any
			if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
				t.Errorf("%s: %v", rec.Body, err)
			}
			select {
			case r := <-w.p.rec.queue:
				w.p.rec.keep(newTestDecoder(), r)
				w.p.rec.bytes.Add(-int64(len(r.text)))
			default:
			}
		} else if rec.Code != http.StatusBadRequest {
			t.Errorf("%d", rec.Code)
		}
	})
}

func FuzzProviderRequest(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"externaldata.gatekeeper.sh/v1beta1","kind":"ProviderRequest","request":{"keys":["g1|1|block|shop||nginx:1"]}}`))
	f.Add([]byte(`{"apiVersion":"externaldata.gatekeeper.sh/v1beta1","kind":"ProviderRequest","request":{"keys":["g1|2|block|shop|a,b|` + "\\u0000" + `"]}}`))
	f.Add(question(3))
	w := newWorld(f)
	w.start()
	w.pull()
	w.away(true)
	w.gkPair()
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range []string{"/validate", "/mutate"} {
			if code, out := w.post(path, body, true); code != http.StatusOK && code != http.StatusBadRequest || code != http.StatusOK && out.Response.SystemError == "" {
				t.Errorf("%s: %d %+v", path, code, out)
			}
		}
	})
}
