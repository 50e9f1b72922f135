package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"

	"stockade.dev/stockade/e2e/images"
	"stockade.dev/stockade/internal/collect/image"
)

// damages are ways to spoil a file: n counts up.
var damages = []struct {
	name string
	do   func(data []byte, n int, r *rand.Rand) []byte
}{
	{"six pages zeroed", func(data []byte, _ int, r *rand.Rand) []byte {
		data = bytes.Clone(data)
		for range 6 {
			at := r.IntN(max(1, len(data)/4096)) * 4096
			clear(data[at:min(at+4096, len(data))])
		}
		return data
	}},
	{"a thousand random bytes", func(data []byte, _ int, r *rand.Rand) []byte {
		data = bytes.Clone(data)
		for range 1000 {
			data[r.IntN(len(data))] = byte(r.Uint32())
		}
		return data
	}},
	{"cut off", func(data []byte, n int, _ *rand.Rand) []byte { return data[:len(data)*(n+1)/12] }},
	{"its first page random", func(data []byte, _ int, r *rand.Rand) []byte {
		data = bytes.Clone(data)
		for i := 24; i < min(4096, len(data)); i++ {
			data[i] = byte(r.Uint32())
		}
		return data
	}},
}

// damage measures how long broken files take until their error.
func (b *bench) damage() error {
	b.say("## Damaged input\n")
	b.say("Each file spoiled ten times in each of %d ways (six pages zeroed, a thousand random bytes, cut off, its first page random), in an image of its own.\n", len(damages))
	b.say("| file | images | with an error told | slowest ms | median ms |\n|---|---|---|---|---|")
	r := rand.New(rand.NewPCG(11, 11))
	victims, err := b.victims()
	if err != nil {
		return err
	}
	for _, v := range victims {
		b.progress("damaged: %s", v.name)
		var us []usage
		told, slowest := 0, time.Duration(0)
		for _, d := range damages {
			for n := range 10 {
				layer, err := v.layer(d.do(v.data, n, r))
				if err != nil {
					return err
				}
				ref, err := b.layout(layer)
				if err != nil {
					return err
				}
				u, err := timed(func() error {
					s, err := analyze(ref, image.Options{})
					if err == nil && len(s.Gaps) > 0 {
						told++
					}
					return err
				})
				if err != nil {
					return err
				}
				us, slowest = append(us, u), max(slowest, u.Wall)
			}
		}
		b.say("| %s, %.1f MB | %d | %d | **%.0f** | %.1f |", v.name, float64(len(v.data))/1e6, len(us), told, milliseconds(slowest), middle(us))
	}
	b.say("\nGoal: under 1000 ms. Damage that nothing read (a class in a jar, a file in a tar) needs no error.\n")
	return nil
}

type victim struct {
	name  string
	data  []byte
	layer func(data []byte) (v1.Layer, error)
}

func (b *bench) victims() ([]victim, error) {
	var out []victim
	for _, db := range []struct{ name, folder string }{{"rpm, Berkeley", "centos8-modularitylabel"}, {"rpm, NDB", "sle15-bci"}, {"rpm, SQLite", "fedora35"}} {
		files, err := rpmFiles(db.folder, "almalinux", "8.10")
		if err != nil {
			return nil, err
		}
		for p, f := range files {
			if p == "etc/os-release" {
				continue
			}
			out = append(out, victim{db.name, f.Data, func(data []byte) (v1.Layer, error) {
				return images.Layer(images.Files{p: {Data: data}, "etc/os-release": files["etc/os-release"]}, images.Gzip), nil
			}})
		}
	}
	nested := map[string][]byte{}
	for i := range 300 {
		name := fmt.Sprintf("library-%d", i)
		nested["WEB-INF/lib/"+name+".jar"] = images.Jar("com.example", name, "1.2.3", map[string][]byte{"data": bytes.Repeat([]byte(name), 2000)})
	}
	out = append(out, victim{"war with 300 jars", images.Zip(nested), func(data []byte) (v1.Layer, error) {
		return images.Layer(images.Files{"opt/app/shop.war": {Data: data}}, images.Gzip), nil
	}})
	files := images.Files{}
	r := rand.New(rand.NewPCG(3, 3))
	for i := range 3000 {
		text := make([]byte, r.IntN(8000))
		for j := range text {
			text[j] = "abcdefghijklmnop \n"[r.IntN(18)]
		}
		files[fmt.Sprintf("usr/share/doc/%d/text", i)] = images.File{Data: text}
	}
	tree := files.Tar()
	out = append(out, victim{"tar", tree, func(data []byte) (v1.Layer, error) { return images.TarLayer(data, images.Gzip), nil }})
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(tree); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return append(out, victim{"gzip", packed.Bytes(), func(data []byte) (v1.Layer, error) { return static.NewLayer(data, types.OCILayer), nil }}), nil
}

// layout writes an image of one layer.
func (b *bench) layout(l v1.Layer) (string, error) {
	b.layouts++
	img, err := images.Image(nil, l)
	if err != nil {
		return "", err
	}
	return images.WriteLayout(filepath.Join(b.tmp, fmt.Sprintf("layout-%d", b.layouts)), img)
}
