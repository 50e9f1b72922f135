package policy

import (
	"errors"
	"strconv"
	"strings"
)

// ImageKey is what Gatekeeper asks the provider about: the image of a container in the light of one policy's checks of one action.
// Gatekeeper keeps answers by key, so whatever changes an answer must change the key: Generation does when Gatekeeper is not told
// to keep nothing.
//
//	GENERATION|POLICY|ACTION|NAMESPACE|SECRET,SECRET|IMAGE
type ImageKey struct {
	Generation  string
	Policy      int64
	Action      Action
	Namespace   string
	PullSecrets []string
	Image       string // as the pod has it: anything
}

// String writes the key.
func (k ImageKey) String() string {
	return strings.Join([]string{k.Generation, strconv.FormatInt(k.Policy, 10), string(k.Action), k.Namespace, strings.Join(k.PullSecrets, ","), k.Image}, "|")
}

// ErrKey says that a key was not made by our template.
var ErrKey = errors.New("not a key of the form GENERATION|POLICY|ACTION|NAMESPACE|SECRETS|IMAGE")

// ParseImageKey reads a key.
func ParseImageKey(s string) (ImageKey, error) {
	parts := strings.SplitN(s, "|", 6)
	if len(parts) != 6 {
		return ImageKey{}, ErrKey
	}
	id, err := strconv.ParseInt(parts[1], 10, 64)
	k := ImageKey{Generation: parts[0], Policy: id, Action: Action(parts[2]), Namespace: parts[3], Image: parts[5]}
	if err != nil || k.Action.Rank() == 0 {
		return ImageKey{}, ErrKey
	}
	if parts[4] != "" {
		k.PullSecrets = strings.Split(parts[4], ",")
	}
	return k, nil
}

// KeyAnswer is the value that the provider answers to a key: no messages, no objection.
type KeyAnswer struct {
	Messages []string `json:"messages"` // each a refusal, in the cluster's language
	// Unless has for each message the Failure.Pardons; it is left out when no message has any.
	Unless [][][]int64 `json:"unless,omitempty"`
}
