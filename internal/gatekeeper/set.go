package gatekeeper

import (
	"context"
	"fmt"
	"strings"

	constraints "github.com/open-policy-agent/frameworks/constraint/pkg/client"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/reviews"
	mutation "github.com/open-policy-agent/gatekeeper/v3/pkg/mutation/types"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/target"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"stockade.dev/stockade/internal/inventory"
)

// Set is templates with constraints that somebody else decides the scope of: it says what each of them has against an object. It is
// safe for use by several goroutines.
type Set struct {
	client *constraints.Client
	uses   map[string]int // by "Kind/name" of the constraint
	count  int
}

// Use is a template with the parameters of one constraint.
type Use struct {
	Template *Template
	Params   map[string]any
	Kinds    []string // "Kind" or "Kind.group"; none is all
}

// NewSet makes a Set. errs has for each use why it cannot be evaluated, or nil.
func NewSet(ctx context.Context, uses []Use) (s *Set, errs []error, err error) {
	s = &Set{uses: map[string]int{}}
	if s.client, err = newClient(); err != nil {
		return nil, nil, err
	}
	added := map[string]error{}
	errs = make([]error, len(uses))
	for i, u := range uses {
		fault, known := added[u.Template.Name]
		if !known {
			if _, fault = s.client.AddTemplate(ctx, u.Template.structured); fault != nil {
				fault = u.Template.placed(fault)
			}
			added[u.Template.Name] = fault
		}
		if errs[i] = fault; fault != nil {
			continue
		}
		name := fmt.Sprintf("use-%d", i)
		c := &unstructured.Unstructured{Object: constraintOf(u, name)}
		if _, errs[i] = s.client.AddConstraint(ctx, c); errs[i] == nil {
			s.uses[u.Template.Kind+"/"+name] = i
			s.count++
		}
	}
	return s, errs, nil
}

func constraintOf(u Use, name string) map[string]any {
	spec := map[string]any{}
	if len(u.Params) > 0 {
		spec["parameters"] = runtime.DeepCopyJSON(whole(u.Params).(map[string]any))
	}
	var kinds []any
	for _, k := range u.Kinds {
		kind, group, grouped := strings.Cut(k, ".")
		if !grouped {
			group = "*"
		}
		kinds = append(kinds, map[string]any{"apiGroups": []any{group}, "kinds": []any{kind}})
	}
	if kinds != nil {
		spec["match"] = map[string]any{"kinds": kinds}
	}
	return map[string]any{"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": u.Template.Kind, "metadata": map[string]any{"name": name}, "spec": spec}
}

// whole turns numbers and lists into those that unstructured objects hold.
func whole(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = whole(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = whole(e)
		}
		return out
	case []string:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = e
		}
		return out
	case int:
		return int64(v)
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	}
	return v
}

// Review is a request as the templates see it.
type Review struct {
	Object, Old *inventory.Object
	Operation   string // "" for an object that is there
	SubResource string
	User        string
	Groups      []string
	Namespace   map[string]string // labels of the object's namespace
}

// Result is what a use has against the object.
type Result struct {
	Use     int // place in what NewSet was given
	Message string
}

// Review asks all uses about a request.
func (s *Set) Review(ctx context.Context, r Review) ([]Result, error) {
	if s == nil || s.count == 0 {
		return nil, nil
	}
	var space *corev1.Namespace
	if r.Object.Namespace != "" {
		space = &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: r.Object.Namespace, Labels: r.Namespace}}
	}
	// The review reads the object only, but its libraries may add defaults: they get a copy.
	content := unstructured.Unstructured{Object: runtime.DeepCopyJSON(r.Object.Content)}
	var subject any = target.AugmentedUnstructured{Object: content, Namespace: space, Source: mutation.SourceTypeOriginal}
	if r.Operation != "" {
		request, err := admissionRequest(r, &content)
		if err != nil {
			return nil, err
		}
		subject = target.AugmentedReview{AdmissionRequest: request, Namespace: space, Source: mutation.SourceTypeOriginal, IsAdmission: true}
	}
	res, err := s.client.Review(ctx, subject, reviews.EnforcementPoint(enforcementPoint))
	if err != nil {
		return nil, err
	}
	var out []Result
	for _, v := range res.Results() {
		if use, ok := s.uses[v.Constraint.GetKind()+"/"+v.Constraint.GetName()]; ok {
			out = append(out, Result{use, v.Msg})
		}
	}
	return out, nil
}

func admissionRequest(r Review, content *unstructured.Unstructured) (*admissionv1.AdmissionRequest, error) {
	raw, err := content.MarshalJSON()
	if err != nil {
		return nil, err
	}
	gvk := content.GroupVersionKind()
	q := &admissionv1.AdmissionRequest{Kind: metav1.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind}, Operation: admissionv1.Operation(r.Operation),
		SubResource: r.SubResource, Name: r.Object.Name, Namespace: r.Object.Namespace, UserInfo: authenticationv1.UserInfo{Username: r.User, Groups: r.Groups},
		Object: runtime.RawExtension{Raw: raw}}
	if r.Old != nil {
		old := unstructured.Unstructured{Object: r.Old.Content}
		if q.OldObject.Raw, err = old.MarshalJSON(); err != nil {
			return nil, err
		}
	}
	return q, nil
}
