package errata

import (
	"testing"

	"stockade.dev/stockade/internal/feed/feedtest"
)

func TestDocuments(t *testing.T) { feedtest.Golden(t, Readers...) }

func FuzzRead(f *testing.F) { feedtest.Fuzz(f, Readers...) }
