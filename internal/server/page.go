package server

import (
	"embed"
	"html/template"
	"net/http"

	"stockade.dev/stockade/internal/api"
)

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="{{.Lang}}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Stockade</title>
<style>body{font:16px/1.6 system-ui,sans-serif;max-width:44rem;margin:4rem auto;padding:0 1rem;color:#1c2430}code{background:#eef1f5;padding:.1em .3em}</style>
</head><body><h1>Stockade {{.Version}}</h1>
{{if eq .Lang "zh"}}<p>Stockade 服务器已在运行。它扫描 Kubernetes 集群、镜像、节点和编排文件，记录风险项并跟踪处置。</p>
{{if .Setup}}<p><strong>尚未创建管理员。</strong>首次启动时，服务器在终端打印了一次性初始化链接，请使用该链接创建第一个管理员。</p>
{{else}}<p>服务器已完成初始化。请使用 <code>stockade login {{.URL}}</code> 登录，或使用 API 令牌调用接口。</p>{{end}}
<p>接口文档：<a href="/api/v1/openapi.yaml">/api/v1/openapi.yaml</a>（<a href="/api/v1/openapi.json">JSON</a>）</p>
{{else}}<p>The Stockade server is running. It scans Kubernetes clusters, images, nodes and manifests, and keeps what it finds until it is dealt with.</p>
{{if .Setup}}<p><strong>There is no administrator yet.</strong> The server printed a one-time set-up link when it first started: open it to make the first administrator.</p>
{{else}}<p>The server is set up. Sign in with <code>stockade login {{.URL}}</code>, or call the API with a token.</p>{{end}}
<p>API document: <a href="/api/v1/openapi.yaml">/api/v1/openapi.yaml</a> (<a href="/api/v1/openapi.json">JSON</a>)</p>{{end}}
</body></html>
`))

// setupFiles are the page behind the set-up link.
//
//go:embed page
var setupFiles embed.FS

func (s *Server) placeholder(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/setup":
		http.ServeFileFS(w, r, setupFiles, "page/setup.html")
		return
	case "/setup.js":
		http.ServeFileFS(w, r, setupFiles, "page/setup.js")
		return
	}
	if r.URL.Path != "/" {
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Vary", "Accept-Language")
	lang := api.Language(r.Header.Get("Accept-Language"))
	err := page.Execute(w, map[string]any{"Lang": lang, "Version": s.o.Version, "URL": s.URL(), "Setup": s.needsSetup(r.Context())})
	if err != nil {
		s.log.WarnContext(r.Context(), "page", "err", err)
	}
}
