// Package fault names the kinds of failure once: each has an exit code, and an error says which kind it is.
package fault

import (
	"errors"
	"fmt"
)

// Kind is a kind of failure.
type Kind string

// The kinds. Codes of notScanned entries (finding.Code) are another list: those are about targets, these about the run.
const (
	Usage    Kind = "usage"    // wrong flags or arguments
	Input    Kind = "input"    // nothing could be read, so nothing was scanned
	Findings Kind = "findings" // findings at or above --fail-on
	Partial  Kind = "partial"  // done, but something asked for could not be scanned
	Internal Kind = "internal" // a bug or the machine
)

// Error carries a kind and what to do about it.
type Error struct {
	Kind Kind
	Op   string // what was being done, in the present participle: "reading kubeconfig"
	Err  error
	Hint string // what the user can do; may be empty
}

func (e *Error) Error() string {
	s := e.Op
	if e.Err != nil {
		if s != "" {
			s += ": "
		}
		s += e.Err.Error()
	}
	if e.Hint != "" {
		s += "\n  " + e.Hint
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Wrap gives err a kind and an operation. It returns nil for a nil err, and leaves the kind of an *Error as it is.
func Wrap(kind Kind, op string, err error) error {
	if err == nil {
		return nil
	}
	var fe *Error
	if errors.As(err, &fe) {
		kind = fe.Kind
	}
	return &Error{Kind: kind, Op: op, Err: err}
}

// New makes an error of a kind.
func New(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// ExitCode is the process exit code for err: 0 done, 1 findings, 2 usage or unreadable input, 3 partial, 4 internal.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	var fe *Error
	if !errors.As(err, &fe) {
		return 4
	}
	switch fe.Kind {
	case Findings:
		return 1
	case Usage, Input:
		return 2
	case Partial:
		return 3
	}
	return 4
}
