package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"

	"stockade.dev/stockade/internal/identity"
	"stockade.dev/stockade/internal/task"
	"stockade.dev/stockade/internal/unpack"
)

// ByProject is the input of routes that name a project.
type ByProject struct {
	Name string `path:"name" minLength:"1" maxLength:"100" doc:"of the project"`
}

// uploadInput is the input of an upload.
type uploadInput struct {
	ByProject
	Upload
	ContentType string `header:"Content-Type"`
}

// Limits of an upload: bytes of the request, files of a form, bytes of one of them.
const (
	maxUpload      = 256 << 20
	maxUploadFiles = 10_000
	maxUploadFile  = 10 << 20
)

// Uploads adds the routes of IaC projects.
func Uploads(a *API, s *task.Service) {
	Add(a, Route{Method: http.MethodPost, Path: "/projects/{name}/scans", ID: "upload-project", Tag: "Projects", Summary: "Upload files of a project and scan them", Action: identity.Scan,
		Status: http.StatusCreated, MaxBody: maxUpload,
		Description: "The body is an archive (tar, tar.gz, tar.zst or zip, whatever its content type says), or a multipart/form-data form whose files are taken under " +
			"their names, with folders, but for one called \"archive\", which is unpacked. A project that does not exist is made. Links are left out; names that lead " +
			"out of the folder are refused."},
		func(ctx context.Context, in *uploadInput) (*One[*task.Task], error) {
			id, err := s.Project(ctx, in.Name)
			if err != nil {
				return nil, err
			}
			p := identity.From(ctx)
			if !p.Can(identity.Scan, id, "") {
				if id == 0 || !p.Visible(identity.Read).Whole(id) { // the same words: names are not told
					return nil, fmt.Errorf("%w: making a project, or uploading to one that is not yours, needs the role operator for all", ErrForbidden)
				}
				return nil, fmt.Errorf("%w: the project is not yours to scan", ErrForbidden)
			}
			pieces := s.Archived(in.Reader)
			if kind, params, err := mime.ParseMediaType(in.ContentType); err == nil && kind == "multipart/form-data" {
				pieces = form(s, multipart.NewReader(in.Reader, params["boundary"]))
			}
			t, err := s.Upload(ctx, in.Name, pieces)
			if err != nil {
				return nil, taskError(err)
			}
			return &One[*task.Task]{Body: t}, nil
		})
	Add(a, Route{Method: http.MethodGet, Path: "/projects/{name}/scans", ID: "list-project-scans", Tag: "Projects", Summary: "List the uploads of a project, with what each changed", Action: identity.Read},
		func(ctx context.Context, in *struct {
			ByProject
			Paging
		}) (*List[*task.Item], error) {
			id, err := project(ctx, s, in.Name)
			if err != nil {
				return nil, err
			}
			list, next, err := s.Uploads(ctx, id, in.Page())
			if err != nil {
				return nil, err
			}
			return Listed(list, next), nil
		})
}

// form reads the files of a multipart form as they come.
func form(s *task.Service, r *multipart.Reader) task.Pieces {
	return func(ctx context.Context, file func(string, []byte) error) ([]unpack.Note, error) {
		var notes []unpack.Note
		refused := func(format string, args ...any) error {
			return fmt.Errorf("%w: %s", unpack.ErrRefused, fmt.Sprintf(format, args...))
		}
		for n := 0; ; n++ {
			part, err := r.NextRawPart()
			if errors.Is(err, io.EOF) {
				if n == 0 {
					return nil, refused("the form has no file")
				}
				return notes, nil
			}
			if err != nil {
				return nil, badForm(err)
			}
			if n >= maxUploadFiles {
				return nil, refused("the form has more than %d files", maxUploadFiles)
			}
			if part.FormName() == "archive" {
				more, err := s.Archived(part)(ctx, file)
				if notes = append(notes, more...); err != nil {
					return nil, err
				}
				continue
			}
			_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition")) // FileName would cut the folders off
			if err != nil || params["filename"] == "" {
				return nil, refused("the part %q of the form is no file", part.FormName())
			}
			data, err := io.ReadAll(io.LimitReader(part, maxUploadFile+1))
			if err != nil {
				return nil, badForm(err)
			}
			if len(data) > maxUploadFile {
				return nil, refused("%q is larger than %d MiB", params["filename"], maxUploadFile>>20)
			}
			if err := file(params["filename"], data); err != nil {
				return nil, err
			}
		}
	}
}

// badForm is the client's fault unless reading the request failed.
func badForm(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return fmt.Errorf("%w: the form cannot be read: %w", unpack.ErrRefused, err)
}
