package task

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"strings"
	"testing"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/rule"
	"stockade.dev/stockade/internal/store"
	"stockade.dev/stockade/internal/store/storetest"
	"stockade.dev/stockade/internal/triage"
	"stockade.dev/stockade/rules"
)

const privileged = "apiVersion: v1\nkind: Pod\nmetadata: {name: till}\nspec: {containers: [{name: c, image: i, securityContext: {privileged: true}}]}\n"

func tarOf(files ...string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	t := tar.NewWriter(z)
	for i := 0; i < len(files); i += 2 {
		_ = t.WriteHeader(&tar.Header{Name: files[i], Size: int64(len(files[i+1])), Mode: 0o644, Typeflag: tar.TypeReg})
		_, _ = t.Write([]byte(files[i+1]))
	}
	_ = t.WriteHeader(&tar.Header{Name: "link.yaml", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink})
	_ = t.Close()
	_ = z.Close()
	return b.Bytes()
}

func zipOf(files ...string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, _ := z.Create(files[i])
		_, _ = w.Write([]byte(files[i+1]))
	}
	_ = z.Close()
	return b.Bytes()
}

// TestUpload scans archives: the findings are those of the files under their own names.
func TestUpload(t *testing.T) {
	lib, err := rule.Load(rules.FS)
	if err != nil {
		t.Fatal(err)
	}
	if lib, err = lib.Select([]string{"privileged-container"}, nil); err != nil {
		t.Fatal(err)
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 0, func(o *Options) { o.Library = lib })
		for name, archive := range map[string][]byte{
			"targz": tarOf("deploy/till.yaml", privileged, "deploy/broken.yaml", "apiVersion: v1\nkind: [unclosed\n", "chart/readme.md", "x"),
			"zip":   zipOf("deploy/till.yaml", privileged, "deploy/broken.yaml", "apiVersion: v1\nkind: [unclosed\n"),
		} {
			r.heard.found, r.heard.gaps, r.heard.runs = nil, nil, nil
			task, err := r.s.Upload(t.Context(), "web-"+name, r.s.Archived(bytes.NewReader(archive)))
			if err != nil {
				t.Fatal(err)
			}
			if got := r.await(task.ID); got.Status != Partial { // broken.yaml
				t.Errorf("%+v\n%s", got, r.dump(task.ID))
			}
			if len(r.heard.found) != 1 || r.heard.found[0].Resource.File != "deploy/till.yaml" || r.heard.found[0].Kind != finding.IaC || r.heard.runs[0].Kind != triage.Upload {
				t.Errorf("%+v", r.heard.found)
			}
			link := false
			for _, g := range r.heard.gaps {
				link = link || g.Target == "link.yaml"
				if strings.Contains(g.Target+g.Reason, "upload-") {
					t.Errorf("the folder shows: %+v", g)
				}
			}
			if name == "targz" && !link {
				t.Errorf("the link is not told: %+v", r.heard.gaps)
			}
			if n := r.count("SELECT count(*) FROM upload_parts"); n != 0 {
				t.Errorf("%d parts of an upload stay", n)
			}
		}
		// History is kept by project.
		second, err := r.s.Upload(t.Context(), "web-zip", r.s.Archived(bytes.NewReader(zipOf("till.yaml", privileged))))
		if err != nil {
			t.Fatal(err)
		}
		if got := r.await(second.ID); got.Status != Finished {
			t.Errorf("%+v", got)
		}
		id, err := r.s.Project(t.Context(), "web-zip")
		if err != nil {
			t.Fatal(err)
		}
		runs, next, err := r.s.Uploads(t.Context(), id, store.Page{Limit: 1})
		if err != nil || len(runs) != 1 || next == "" || runs[0].TaskID != second.ID {
			t.Errorf("%+v %q %v", runs, next, err)
		}
	})
}

// TestUploadRefused: what is refused leaves nothing behind.
func TestUploadRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 0)
		for name, archive := range map[string][]byte{
			"leads-out": tarOf("../../etc/cron.d/x", privileged), "absolute": zipOf("/etc/passwd", "x"), "empty": nil, "noise": bytes.Repeat([]byte("noise"), 1000),
		} {
			if _, err := r.s.Upload(t.Context(), name, r.s.Archived(bytes.NewReader(archive))); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := r.s.Upload(t.Context(), "../x", r.s.Archived(bytes.NewReader(zipOf("a.yaml", privileged)))); !errors.Is(err, ErrInvalid) {
			t.Error(err)
		}
		if n := r.count("SELECT count(*) FROM tasks") + r.count("SELECT count(*) FROM targets") + r.count("SELECT count(*) FROM upload_parts"); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

// TestUploadNothing: an upload without anything to scan fails with words that say so.
func TestUploadNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := newRig(t, db, 0)
		task, err := r.s.Upload(t.Context(), "web", r.s.Archived(bytes.NewReader(zipOf("a.txt", "hello"))))
		if err != nil {
			t.Fatal(err)
		}
		if got := r.await(task.ID); got.Status != Failed {
			t.Errorf("%+v", got)
		}
		items, _, err := r.s.Items(context.Background(), allVisible, task.ID, ItemFilter{}, store.Page{})
		if err != nil || !strings.Contains(items[0].Error, "nothing to scan") {
			t.Errorf("%+v %v", items[0], err)
		}
	})
}
