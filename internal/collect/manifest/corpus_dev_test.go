package manifest
import ("testing";"os";"path/filepath";"strings";"io/fs")
func TestDevCorpus(t *testing.T){
 root := os.Getenv("CORPUS"); if root=="" {return}
 taken,total:=0,0; bytesT,bytesAll:=0,0
 filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
  if err!=nil || d.IsDir() || !(strings.HasSuffix(p,".yaml")||strings.HasSuffix(p,".yml")) {return nil}
  b,err:=os.ReadFile(p); if err!=nil||len(b)>3<<20 {return nil}
  text:=strings.TrimPrefix(string(b),"\ufeff")
  src:=newSource(p,text)
  for _,c:= range src.split() {
    ch := text[c.start:c.end]
    if !promising(ch) {continue}
    if _, err := readGeneral(src,c); err!=nil {continue}
    total++; bytesAll+=len(ch)
    if c.marked {continue}
    t.Run(p, func(t *testing.T){ if sameAsLibrary(t, ch) {taken++; bytesT+=len(ch)} else { if os.Getenv("V")!="" {r:=newReader(newSource("",ch),chunk{end:len(ch),line:1},Limits{}.WithDefaults()); r.document(nil); t.Logf("refused %s:%d line %d: %q %v",p,c.line,r.line, ch[r.bol:r.eol], r.failure)}} })
  }
  return nil
 })
 t.Logf("taken %d of %d docs, %d of %d bytes", taken,total,bytesT,bytesAll)
}
