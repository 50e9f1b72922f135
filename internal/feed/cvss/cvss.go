// Package cvss computes base scores from vectors of CVSS 2.0, 3.0 and 3.1.
package cvss

import (
	"fmt"
	"math"
	"strings"

	"stockade.dev/stockade/internal/advisory"
)

// Rating returns a vector with its base score. Vectors of CVSS 4.0 are kept with the score 0: their score is a look-up in a
// table of macro vectors that publishers do for us where they give a number. It fails when the vector is none or lacks a
// base metric.
func Rating(vector, source string) (advisory.CVSS, error) {
	vector = strings.TrimSpace(vector)
	score, err := Score(vector)
	if err != nil {
		return advisory.CVSS{}, err
	}
	return advisory.CVSS{Vector: vector, Score: score, Source: source}, nil
}

// Score returns the base score of a vector, 0 for CVSS 4.0.
func Score(vector string) (float64, error) {
	prefix, rest, _ := strings.Cut(vector, "/")
	switch prefix {
	case "CVSS:3.0", "CVSS:3.1":
		m, err := metrics(vector, rest, "AV", "AC", "PR", "UI", "S", "C", "I", "A")
		if err != nil {
			return 0, err
		}
		return three(vector, m, prefix == "CVSS:3.1")
	case "CVSS:4.0":
		_, err := metrics(vector, rest, "AV", "AC", "AT", "PR", "UI", "VC", "VI", "VA", "SC", "SI", "SA")
		return 0, err
	}
	m, err := metrics(vector, strings.Trim(vector, "()"), "AV", "AC", "Au", "C", "I", "A")
	if err != nil {
		return 0, err
	}
	return two(vector, m)
}

// metrics splits a vector; wanted must be there.
func metrics(vector, text string, wanted ...string) (map[string]string, error) {
	if len(text) > 400 {
		return nil, fmt.Errorf("CVSS vector of %d bytes", len(vector))
	}
	m := make(map[string]string, 8)
	for part := range strings.SplitSeq(text, "/") {
		if name, value, ok := strings.Cut(part, ":"); ok {
			m[name] = value
		}
	}
	for _, w := range wanted {
		if m[w] == "" {
			return nil, fmt.Errorf("CVSS vector %.80q lacks %s", vector, w)
		}
	}
	return m, nil
}

// weights holds the numbers of the specification; keys are "metric:value".
type weights map[string]float64

func (w weights) of(vector string, m map[string]string, name string) (float64, error) {
	v, ok := w[name+":"+m[name]]
	if !ok {
		return 0, fmt.Errorf("CVSS vector %.80q: %s cannot be %.20q", vector, name, m[name])
	}
	return v, nil
}

// Numbers of CVSS 3.1, section 7.4 (first.org/cvss/v3.1/specification-document); 3.0 has the same.
var v3 = weights{
	"AV:N": 0.85, "AV:A": 0.62, "AV:L": 0.55, "AV:P": 0.2, "AC:L": 0.77, "AC:H": 0.44, "UI:N": 0.85, "UI:R": 0.62,
	"PR:N": 0.85, "PR:L": 0.62, "PR:H": 0.27, "S:U": 0, "S:C": 1,
	"C:H": 0.56, "C:L": 0.22, "C:N": 0, "I:H": 0.56, "I:L": 0.22, "I:N": 0, "A:H": 0.56, "A:L": 0.22, "A:N": 0,
}

func three(vector string, m map[string]string, one bool) (float64, error) {
	var n [8]float64
	for i, name := range []string{"AV", "AC", "PR", "UI", "S", "C", "I", "A"} {
		v, err := v3.of(vector, m, name)
		if err != nil {
			return 0, err
		}
		n[i] = v
	}
	changed := n[4] == 1
	if changed && m["PR"] == "L" {
		n[2] = 0.68
	} else if changed && m["PR"] == "H" {
		n[2] = 0.5
	}
	iss := 1 - (1-n[5])*(1-n[6])*(1-n[7])
	impact := 6.42 * iss
	if changed {
		impact = 7.52*(iss-0.029) - 3.25*math.Pow(iss-0.02, 15)
	}
	if impact <= 0 {
		return 0, nil
	}
	score := impact + 8.22*n[0]*n[1]*n[2]*n[3]
	if changed {
		score *= 1.08
	}
	return up(min(score, 10), one), nil
}

// up rounds to the next tenth; 3.1 has a definition in integers that machines agree on (appendix A).
func up(x float64, one bool) float64 {
	if !one {
		return math.Ceil(x*10-1e-9) / 10
	}
	n := int(math.Round(x * 100000))
	if n%10000 == 0 {
		return float64(n) / 100000
	}
	return float64(n/10000+1) / 10
}

// Numbers of CVSS 2.0, section 3.2.1 (first.org/cvss/v2/guide).
var v2 = weights{
	"AV:L": 0.395, "AV:A": 0.646, "AV:N": 1, "AC:H": 0.35, "AC:M": 0.61, "AC:L": 0.71, "Au:M": 0.45, "Au:S": 0.56, "Au:N": 0.704,
	"C:N": 0, "C:P": 0.275, "C:C": 0.66, "I:N": 0, "I:P": 0.275, "I:C": 0.66, "A:N": 0, "A:P": 0.275, "A:C": 0.66,
}

func two(vector string, m map[string]string) (float64, error) {
	var n [6]float64
	for i, name := range []string{"AV", "AC", "Au", "C", "I", "A"} {
		v, err := v2.of(vector, m, name)
		if err != nil {
			return 0, err
		}
		n[i] = v
	}
	impact := 10.41 * (1 - (1-n[3])*(1-n[4])*(1-n[5]))
	if impact == 0 {
		return 0, nil
	}
	score := (0.6*impact + 0.4*20*n[0]*n[1]*n[2] - 1.5) * 1.176
	return math.Round(score*10) / 10, nil
}
