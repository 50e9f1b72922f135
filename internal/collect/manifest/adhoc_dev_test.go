package manifest
import ("testing";"fmt";"strings";"time")
func TestAdhoc(t *testing.T){
 h:="apiVersion: v1\nkind: Pod\n"
 for _,s := range []string{
  h+"metadata:\n  name: a\n   labels: b\n",
  h+"metadata:\n  name: a\n labels: b\n",
  h+"spec:\n\tcontainers: []\n",
  h+"spec: 'abc\n",
  h+"spec: {a: b\n",
  h+"spec: [a, b\nx: y\n",
  h+"spec: a: b\n",
  h+"spec:\n- a\nb\n",
  h+"spec: &a [*a]\n",
  h+"spec: *nope\n",
  h+"x: .inf\n",
  h+"? [a]\n: b\n",
  h+"a: 1\na: 2\n",
  h+"metadata: {name: {{ .Values.x }}}\n",
  h+"{{- if .x }}\nmetadata: {}\n{{- end }}\n---\n"+h,
  h+"---\n"+h+"a: [\n---\n"+h+"metadata: {name: last}\n",
  "apiVersion: v1\nkind: [Pod]\n", "apiVersion: 1\nkind: Pod\n", "apiVersion: v1\nmetadata: {name: kind}\n",
  "\xff\xfeapiVersion kind", h+"a: \"\x01\"\n", h+"a: \xff\n", h+"a: b\r"+"c: d\r\n",
  `{"apiVersion":"v1","kind":"Pod","a":}`,
  `{"apiVersion":"v1","kind":"Pod"} {"apiVersion":"v1","kind":"Pod2"}`,
  h+"spec: # stockade:ignore\n  a: b # stockade:ignore x/y\n",
 } {
  objs, probs := Parse("f.yaml", []byte(s), Limits{})
  fmt.Printf("%q\n", s)
  for _,o := range objs { l,c := o.Origin.Locate("spec.containers[0]"); fmt.Println("   obj", o.Kind, o.Name, o.Origin.Document, o.Origin.Line, l,c, o.Content) }
  for _,p := range probs { fmt.Println("   ", p, p.Code) }
 }
 bomb := h+"a: &a [x,x,x,x,x,x,x,x,x]\n"
 for c:='b'; c<'k'; c++ { bomb += fmt.Sprintf("%c: &%c [%s]\n", c,c, strings.Repeat(fmt.Sprintf("*%c,",c-1),9)) }
 st:=time.Now(); _, probs := Parse("f",[]byte(bomb),Limits{}); fmt.Println(probs, time.Since(st))
 for name, s := range map[string]string{"flow":strings.Repeat("[",5<<20), "dash":strings.Repeat("- ",5<<20),"brace":strings.Repeat("{a: ",2<<20),"amp":strings.Repeat("&a ",2<<20),"tag":strings.Repeat("!a ",2<<20),"q":strings.Repeat("? ",4<<20),"comments":strings.Repeat("# x\n",2<<20), "keys":strings.Repeat("a: b\n",2<<20),"quote":"x: \""+strings.Repeat("a\n",2<<20), "plain":"x: "+strings.Repeat("a\n ",2<<20),"blk":"x: |\n"+strings.Repeat(" a\n",2<<20), "cr": strings.Repeat("a\r",3<<20), "colon": strings.Repeat(": ",3<<20), "json": "{"+strings.Repeat("\"a\":[",1<<20), "docs": strings.Repeat("---\napiVersion: v1\nkind: [\n",3<<17), "ign": strings.Repeat("a: b # stockade:ignore x/y reason=\"z\"\n",2<<17), "amp2": strings.Repeat("a: &a b\n",1<<20), "deepmap": func() string {var b strings.Builder; for i:=0;i<4000;i++ {b.WriteString(strings.Repeat(" ",i)+"a:\n")}; return b.String()}()} {
   st:=time.Now()
   if len(s)> 10<<20-100 {s=s[:10<<20-100]}
   in := h+s; if name=="json" {in = s+"apiVersion kind"}
   objs, probs := Parse("f",[]byte(in),Limits{}); 
   ps := fmt.Sprint(probs); if len(ps)>150 {ps=ps[:150]}
   fmt.Println(name, len(in), time.Since(st), len(objs), len(probs), ps)
 }
}
