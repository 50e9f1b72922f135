package helm
import ("testing";"context";"os";"path/filepath";"fmt";"time";"runtime";"stockade.dev/stockade/internal/collect/manifest")
func TestBombs(t *testing.T){
 for name, tpl := range map[string]string{
  "intrange":"{{range 1000000000}}aaaaaaaa{{end}}",
  "intrange-empty":"{{range 10000000000}}{{end}}",
  "until":"{{range until 1000000000}}a{{end}}",
  "untilstep":"{{range untilStep 0 1000000000 1}}a{{end}}",
  "seq":"{{ seq 1000000000 }}",
  "seq2":"{{ seq 1 1 1000000000 }}",
  "repeat":"{{ repeat 1000000000 \"aaaa\" }}",
  "indent":"{{ indent 1000000000 \"aaaa\" }}",
  "double":"{{ $s := \"aaaaaaaaaaaaaaaa\" }}{{range until 60}}{{ $s = print $s $s }}{{end}}",
  "doublelist":"{{ $s := list 1 2 }}{{range until 60}}{{ $s = concat $s $s }}{{end}}",
  "dag":"{{ $s := list 1 2 }}{{range until 60}}{{ $s = list $s $s }}{{end}}{{ toJson $s }}",
  "dagprint":"{{ $s := list 1 2 }}{{range until 60}}{{ $s = list $s $s }}{{end}}{{ $s }}",
  "cycle":"{{ $d := dict }}{{ $_ := set $d \"a\" $d }}{{ toYaml $d }}",
  "cycleprint":"{{ $d := dict }}{{ $_ := set $d \"a\" $d }}{{ $d }}",
  "cyclecopy":"{{ $d := dict }}{{ $_ := set $d \"a\" $d }}{{ deepCopy $d }}",
  "cycleset":"{{ $_ := set .Values \"a\" .Values }}{{ .Values }}",
  "recinclude":"{{define \"a\"}}{{include \"a\" .}}{{include \"a\" .}}{{end}}{{include \"a\" .}}",
  "rectemplate":"{{define \"a\"}}x{{template \"a\" .}}{{template \"a\" .}}{{end}}{{template \"a\" .}}",
  "rectpl":"{{define \"a\"}}{{tpl \"{{include \\\"a\\\" .}}\" .}}{{end}}{{include \"a\" .}}",
  "tplrange":"{{ tpl \"{{range 1000000000}}aaaaaaaa{{end}}\" . }}",
  "branch":"{{define \"a\"}}{{if gt . 0}}{{template \"a\" (sub . 1)}}{{template \"a\" (sub . 1)}}{{end}}{{end}}{{template \"a\" 60}}",
  "printf":"{{ printf \"%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d%1000000d\" 1}}",
  "replace":"{{ $s := repeat 1000000 \"ab\" }}{{ replace \"a\" $s $s }}",
  "join":"{{ $s := repeat 1000000 \"ab\" }}{{ join $s (until 100000) }}",
  "randAlphaNum":"{{ randAlphaNum 2000000000 }}",
  "genca":"{{range until 1000}}{{ $c := genCA \"a\" 10 }}{{ $c.Cert }}{{end}}",
  "regex":"{{ $s := repeat 1000000 \"ab\" }}{{ regexReplaceAll \"\" $s $s }}",
  "nest": func() string { s:=""; for range 49000 { s+="{{if 1}}" }; return s }(),
  "parens": "{{"+func() string { b:=make([]byte,900000); for i:=range b {b[i]='('}; return string(b) }()+"}}",
  "env":"a: {{ env \"HOME\" }}",
  "files":"a: {{ .Files.Get \"../../../../etc/passwd\" }}",
  "nilderef":"{{ .Values.a.b.c }}",
  "fail":"{{ fail \"no good\" }}", "required":"{{ required \"need x\" .Values.x }}",
  "lookup":"{{ $x := (lookup \"v1\" \"Secret\" \"a\" \"b\").data }}{{ $x }}",
  "pad":"{{ $s := \"a\" }}{{range until 1000000}}{{ $s = printf \"%s%s\" $s $s }}{{end}}",
  "mergecycle":"{{ $d := dict \"a\" 1 }}{{ $e := merge $d (dict \"x\" $d) }}{{ toYaml $e }}",
  "b64": "{{ $s := repeat 10000000 \"ab\" }}{{ range until 1000}}{{ $x := b64enc $s }}{{end}}",
  "sha": "{{ $s := repeat 10000000 \"ab\" }}{{ range until 100000}}{{ $x := sha512sum $s }}{{end}}",
 } {
  dir := t.TempDir()
  os.MkdirAll(filepath.Join(dir,"templates"),0o755)
  os.WriteFile(filepath.Join(dir,"Chart.yaml"),[]byte("apiVersion: v2\nname: x\nversion: 1.0.0\n"),0o644)
  os.WriteFile(filepath.Join(dir,"templates/b.yaml"),[]byte("# line\n"+tpl),0o644)
  os.WriteFile(filepath.Join(dir,"templates/a.yaml"),[]byte("apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Release.Name }}\n"),0o644)
  var m0,m1 runtime.MemStats; runtime.ReadMemStats(&m0)
  st := time.Now()
  objs, probs := Render(context.Background(), dir, nil, nil, manifest.Limits{})
  runtime.ReadMemStats(&m1)
  for i := range probs { probs[i].File = filepath.Base(probs[i].File) }
  fmt.Println(name, time.Since(st), (m1.TotalAlloc-m0.TotalAlloc)>>20, "MB", len(objs), probs)
 }
}
