package dockerfile

// variables are the ENV and ARG values that hold at a place of a stage. A stage that builds on another sees its values
// through base, so that many stages on one large base cost nothing.
type variables struct {
	env   map[string]string
	args  map[string]string // declared with a value
	base  *variables
	depth int // of base
}

// maxChain bounds the walk of a look-up; deeper chains are flattened.
const maxChain = 16

// inherit returns the variables of a stage on v, which may be nil.
func (v *variables) inherit() *variables {
	out := &variables{env: map[string]string{}, args: map[string]string{}}
	if v == nil {
		return out
	}
	if len(v.env)+len(v.args) == 0 && v.base != nil {
		out.base, out.depth = v.base, v.depth
		return out
	}
	out.base, out.depth = v, v.depth+1
	if out.depth <= maxChain {
		return out
	}
	chain := []*variables{}
	for b := v; b != nil; b = b.base {
		chain = append(chain, b)
	}
	flat := &variables{env: map[string]string{}, args: map[string]string{}}
	for i := len(chain) - 1; i >= 0; i-- {
		for k, val := range chain[i].env {
			flat.env[k] = val
		}
		for k, val := range chain[i].args {
			flat.args[k] = val
		}
	}
	out.base, out.depth = flat, 1
	return out
}

// lookup returns the value of name: ENV goes before ARG, wherever it was set.
func (v *variables) lookup(name string) (string, bool) {
	for s := v; s != nil; s = s.base {
		if val, ok := s.env[name]; ok {
			return val, true
		}
	}
	for s := v; s != nil; s = s.base {
		if val, ok := s.args[name]; ok {
			return val, true
		}
	}
	return "", false
}
