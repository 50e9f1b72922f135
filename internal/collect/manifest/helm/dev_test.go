package helm

import ("testing";"context";"os";"path/filepath";"io/fs";"strings";"fmt";"time"
 heng "helm.sh/helm/v4/pkg/engine"
 "helm.sh/helm/v4/pkg/chart/v2/loader"
 "stockade.dev/stockade/internal/collect/manifest"
)
func TestDev(t *testing.T){
 root := os.Getenv("CHARTS"); if root=="" {return}
 n,same,diff,both:=0,0,0,0
 filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
  if err!=nil || d.IsDir() || d.Name()!="Chart.yaml" {return nil}
  dir := filepath.Dir(p)
  c, err := loader.LoadDir(dir)
  st := time.Now()
  objs, probs := Render(context.Background(), dir, nil, nil, manifest.Limits{})
  dur := time.Since(st)
  n++
  if err != nil { fmt.Println("LOADERR", dir, err, len(objs), probs); return nil }
  top, err := topValues(c, map[string]any{})
  if err != nil { fmt.Println("VALERR", dir, err, probs); return nil }
  want, err := heng.Render(c, top)
  if err != nil { both++; fmt.Println("ENGERR", dir, strings.ReplaceAll(err.Error(),"\n"," | "), "OURS:", len(objs), probs); return nil }
  // compare raw
  c2, _ := loader.LoadDir(dir); top2,_ := topValues(c2, map[string]any{})
  r := &render{path: dir, lim: manifest.Limits{}.WithDefaults(), origin: map[*byte]string{}}
  e := newEngine(context.Background(), r.lim)
  r.collect(e, c2, top2)
  e.parse()
  ok := true
  for _, s := range e.order { if !s.produces() {continue}
    out, fail := e.render(s)
    if fail != nil { fmt.Println("OURFAIL", dir, *fail); ok=false; continue}
    if string(out.text) != want[s.name] { ok=false; fmt.Printf("DIFF %s %s\n--- ours\n%s\n--- helm\n%s\n", dir, s.name, out.text, want[s.name]) }
  }
  if ok {same++} else {diff++}
  if dur > 50*time.Millisecond { fmt.Println("SLOW", dir, dur, len(objs))}
  if len(probs)>0 { fmt.Println("PROBS", dir, probs) }
  return nil
 })
 fmt.Println("charts",n,"same",same,"diff",diff,"engine errors",both)
}
