package cve5

import (
	"testing"

	"stockade.dev/stockade/internal/feed/feedtest"
)

func TestDocuments(t *testing.T) { feedtest.Golden(t, Reader) }

func FuzzRead(f *testing.F) { feedtest.Fuzz(f, Reader) }
