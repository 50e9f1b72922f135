package binary
import ("testing";"os";"fmt";"strings";"time";"io")
func TestManual(t *testing.T){
 for _, f := range strings.Fields(os.Getenv("FILES")) {
  d,err := os.ReadFile(f); if err!=nil {t.Error(err);continue}
  st,_ := os.Stat(f)
  w := Wants(f, st.Mode(), st.Size(), d[:min(512,len(d))])
  t0:=time.Now(); s := New(f,int64(len(d))); io.Copy(s, struct{io.Reader}{strings.NewReader(string(d))})
  ps,gs := s.Packages(); el:=time.Since(t0)
  fmt.Printf("%s wants=%v %d MB go=%v", f[max(0,len(f)-40):], w, len(d)>>20, s.goFile)
  for i,p := range ps { if i<6 {fmt.Printf(" | %s %s@%s comp=%s %s %v", p.Type,p.Name,p.Version,p.Component,p.Evidence,p.Settings)} }
  fmt.Printf(" (%d pkgs) gaps=%v %v\n", len(ps), gs, el)
 }
}
