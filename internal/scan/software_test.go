package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/report"
	"stockade.dev/stockade/internal/rule"
)

// looked runs a scan of n images with a loader.
func looked(t *testing.T, ctx context.Context, n int, load func(context.Context, Use) (*inventory.Software, error)) (*Summary, error) {
	t.Helper()
	h, err := report.New("json", io.Discard, report.Options{Lang: "en"})
	if err != nil {
		t.Fatal(err)
	}
	s := &Software{Load: load, NoDatabase: "none", Workers: 3}
	for i := range n {
		s.Asked = append(s.Asked, Use{Reference: fmt.Sprint("image-", i)})
	}
	type ended struct {
		sum *Summary
		err error
	}
	done := make(chan ended, 1)
	go func() {
		sum, err := Run(ctx, Config{Library: &rule.Library{}, Header: finding.Header{Target: finding.Target{Kind: "image", Name: "x"}}, Software: s}, Objects(nil), h)
		done <- ended{sum, err}
	}()
	select {
	case e := <-done:
		return e.sum, e.err
	case <-time.After(time.Minute):
		t.Fatal("the scan hangs")
		return nil, nil
	}
}

// TestCancelled: a scan that is ended in the middle of its images ends, and is no report of half of them.
func TestCancelled(t *testing.T) {
	for _, at := range []int{0, 5} {
		ctx, cancel := context.WithCancel(t.Context())
		if at == 0 {
			cancel()
		}
		_, err := looked(t, ctx, 100, func(ctx context.Context, u Use) (*inventory.Software, error) {
			if u.Reference == fmt.Sprint("image-", at) {
				cancel()
			}
			return &inventory.Software{Kind: "image", Name: u.Reference}, ctx.Err()
		})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled at %d: %v", at, err)
		}
	}
}

// TestUnread: what cannot be read is told; nothing read at all is an error.
func TestUnread(t *testing.T) {
	refuse := func(all bool) func(context.Context, Use) (*inventory.Software, error) {
		return func(_ context.Context, u Use) (*inventory.Software, error) {
			if all || u.Reference == "image-7" {
				return nil, errors.New("no route")
			}
			return &inventory.Software{Kind: "image", Name: u.Reference}, nil
		}
	}
	if sum, err := looked(t, t.Context(), 20, refuse(false)); err != nil || sum.Partial != 2 { // the image, and the missing database
		t.Errorf("%+v, %v", sum, err)
	}
	if _, err := looked(t, t.Context(), 3, refuse(true)); err == nil {
		t.Error("nothing was read, and that is no error")
	}
}
