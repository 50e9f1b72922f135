package verdict

import (
	"errors"
	"strings"

	"stockade.dev/stockade/internal/collect/image/registry"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/policy"
)

// because is an error of who reads images, or asks registries about them, as a reason that all languages have.
func because(err error) string {
	var coded interface{ Code() string }
	if errors.As(err, &coded) {
		return caused(coded.Code(), err.Error())
	}
	return err.Error()
}

// caused is because for what is kept of an error: its code and its words.
func caused(of, why string) string {
	code := finding.Code(of)
	says := func(list ...string) bool {
		for _, s := range list {
			if strings.Contains(why, s) {
				return true
			}
		}
		return false
	}
	c := map[finding.Code]policy.Cause{finding.Forbidden: policy.CauseForbidden, finding.Unreachable: policy.CauseUnreachable, finding.Limit: policy.CauseTooLarge,
		finding.Unsupported: policy.CauseUnsupported, finding.Broken: policy.CauseBroken, finding.Skipped: policy.CauseSkipped}[code]
	switch { // what people do about it differs
	case code == finding.Unreachable && says(registry.ErrNotFound.Error()):
		c = policy.CauseNotFound
	case (code == finding.Unreachable || code == finding.Broken) && says("certificate", "x509:"):
		c = policy.CauseCertificate
	case code == finding.Unreachable && says("HTTP 429"):
		c = policy.CauseThrottled
	case code == finding.Unreachable && says("deadline exceeded", "timeout", "sent nothing for"):
		c = policy.CauseSlow
	case code == finding.Broken && says("larger than", "limit: more than"):
		c = policy.CauseTooLarge
	}
	return policy.Because(c, why)
}
