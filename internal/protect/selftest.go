package protect

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"stockade.dev/stockade/internal/audit"
	"stockade.dev/stockade/internal/store"
)

// SelfTest is what became of a bad pod.
type SelfTest struct {
	At        store.Time `json:"at" format:"date-time"`
	Namespace string     `json:"namespace"`
	Refused   bool       `json:"refused"`
	By        string     `json:"by,omitempty" enum:"stockade,gatekeeper,api-server,pod-security,other" doc:"who refused it: a policy of ours, another constraint, our admission policy in the API server, Pod Security, or somebody else"`
	Message   string     `json:"message,omitempty" doc:"as kubectl would show it"`
	Lines     []string   `json:"lines" doc:"one for each violation"`
	Warnings  []string   `json:"warnings" doc:"that the API server sent along"`
	Millis    float64    `json:"millis" doc:"from the request to the answer"`
	Pod       string     `json:"pod" doc:"that was sent, as a dry run"`
	Meaning   string     `json:"meaning"`
}

// maxNamespace bounds the name of a namespace.
const maxNamespace = 63

// badPod violates about every rule there is, and is never created: it is sent as a dry run. The annotation tells the recorder.
func badPod(namespace string) *object {
	return &object{Object: m{"apiVersion": "v1", "kind": "Pod", "metadata": m{"generateName": "stockade-self-test-", "namespace": namespace,
		"annotations": m{"stockade.dev/self-test": "true"}, "labels": m{managedLabel: managedBy}},
		"spec": m{"hostPID": true, "hostNetwork": true, "hostIPC": true, "restartPolicy": "Never",
			"volumes": l{m{"name": "root", "hostPath": m{"path": "/"}}},
			"containers": l{m{"name": "bad", "image": "registry.invalid/stockade/self-test:latest", "command": l{"true"},
				"securityContext": m{"privileged": true, "runAsUser": int64(0), "allowPrivilegeEscalation": true},
				"volumeMounts":    l{m{"name": "root", "mountPath": "/host"}}}}}}}
}

// SelfTest sends a bad pod as a dry run into a namespace, "" is default.
func (s *Service) SelfTest(ctx context.Context, target int64, namespace string) (*SelfTest, error) {
	if namespace == "" {
		namespace = "default"
	}
	if len(namespace) > maxNamespace || !labelForm.MatchString(namespace) {
		return nil, invalid("namespace %q: want the name of a namespace", namespace)
	}
	r, err := s.row(ctx, target)
	if errors.Is(err, store.ErrNotFound) {
		if err := s.there(ctx, target); err != nil {
			return nil, err
		}
		return nil, refuse("the cluster is not protected: there is nothing to test")
	}
	if err != nil {
		return nil, err
	}
	if !r.State.On() {
		return nil, refuse("the cluster is not protected: there is nothing to test")
	}
	c, err := s.client(ctx, target)
	if err != nil {
		return nil, refuse("the cluster does not answer: %s", oneLine(err.Error()))
	}
	ctx, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	pod := badPod(namespace)
	t := &SelfTest{At: store.At(s.o.Now()), Namespace: namespace, Lines: []string{}, Warnings: []string{}, Pod: jsonText(pod.Object)}
	began := time.Now()
	header, err := c.create(ctx, pod, Manager, url.Values{"dryRun": {"All"}})
	t.Millis = float64(time.Since(began).Microseconds()) / 1000
	for _, w := range header.Values("Warning") {
		t.Warnings = append(t.Warnings, warning(w))
	}
	if err := t.read(err, header); err != nil {
		return nil, err
	}
	t.explain(r)
	return t, s.db.Write(ctx, func(ctx context.Context, tx bun.Tx) error {
		return audit.Record(ctx, tx, "protection.self-test", "cluster "+strconv.FormatInt(target, 10), target, nil, map[string]any{"namespace": namespace, "refused": t.Refused, "by": t.By})
	})
}

// warning is the text of a Warning header: 299 - "text".
func warning(h string) string {
	if _, text, ok := strings.Cut(h, ` "`); ok {
		if plain, err := strconv.Unquote(`"` + strings.TrimSuffix(text, `"`) + `"`); err == nil {
			return oneLine(plain)
		}
	}
	return oneLine(h)
}

// read tells a refusal from an answer that says nothing about the policies.
func (t *SelfTest) read(err error, _ http.Header) error {
	var r *refusal
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &r):
		return refuse("the cluster does not answer: %s", oneLine(err.Error()))
	case missing(err):
		return invalid("there is no namespace %s", t.Namespace)
	case r.Code == http.StatusForbidden && strings.Contains(r.Message, "cannot create resource"):
		return refuse("the credentials may not create pods, not even as a dry run: grant {apiGroups: [\"\"], resources: [pods], verbs: [create]} for the self-test")
	}
	t.Refused, t.Message = true, r.Message
	text := r.Message
	switch {
	case strings.Contains(text, `admission webhook "validation.gatekeeper.sh"`), strings.Contains(text, `admission webhook "system.validation.gatekeeper.sh"`):
		t.By = "gatekeeper"
		_, text, _ = strings.Cut(text, "denied the request: ")
	case strings.Contains(text, "ValidatingAdmissionPolicy '"+managedBy):
		t.By = "api-server"
	case strings.Contains(text, "violates PodSecurity"):
		t.By = "pod-security"
	default:
		t.By = "other"
	}
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "; [", "\n["), "\n") {
		if line = strings.TrimSpace(line); line != "" && len(t.Lines) < 100 {
			t.Lines = append(t.Lines, line)
		}
	}
	if t.By == "gatekeeper" && ourConstraint(t.Lines) {
		t.By = "stockade"
	}
	return nil
}

// ourConstraint reports whether a line comes from a constraint of ours: Gatekeeper puts its name in brackets, and ours are p7-block.
func ourConstraint(lines []string) bool {
	for _, line := range lines {
		name, ok := strings.CutPrefix(line, "[p")
		digits := strings.IndexFunc(name, func(r rune) bool { return r < '0' || r > '9' })
		if ok && digits > 0 && name[digits] == '-' {
			return true
		}
	}
	return false
}

// explain says what the result means.
func (t *SelfTest) explain(r *row) {
	switch {
	case t.Refused && (t.By == "stockade" || t.By == "gatekeeper" || t.By == "api-server"):
		t.Meaning = "Protection works: the pod was refused."
	case t.Refused:
		t.Meaning = "The pod was refused, but not by a policy of this server: something before it did."
	case r.Seen.Policies == 0:
		t.Meaning = "Nothing refused the pod: no policy holds in this cluster."
	case len(t.Warnings) > 0:
		t.Meaning = "Nothing refused the pod: policies warned, and none blocks in this namespace."
	default:
		t.Meaning = "Nothing refused the pod: no policy blocks in this namespace, or Gatekeeper did not answer in time and the webhook lets such requests in."
	}
}
