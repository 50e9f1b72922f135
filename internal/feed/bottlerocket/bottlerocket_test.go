package bottlerocket

import (
	"testing"

	"stockade.dev/stockade/internal/advisory"
)

func TestStream(t *testing.T) {
	if !advisory.KnownStream(Stream) || !Is("bottlerocket") || Is("fedora") {
		t.Error(Stream)
	}
}
