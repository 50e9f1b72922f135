package images

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Where the image with middleware has what its last layer deletes.
const (
	DeletedJar    = "opt/app/lib/log4j-1.2.jar"
	DeletedSecret = "opt/app/.env"
	KeptJar       = "opt/app/lib/commons-text.jar"
)

// DebianImage returns a reference to the image of a minimal Debian tree.
func DebianImage(t testing.TB, p Packing) string {
	t.Helper()
	base := Debian(t)
	return keptImage(t, "debian", []string{Suite, "minbase", string(p)}, func(dir string) ([]v1.Layer, error) {
		b, err := treeLayer(filepath.Join(dir, "base"), p, base, "")
		return []v1.Layer{b}, err
	})
}

// DebianMiddlewareImage returns a reference to an image of four layers: Debian, the packages of Middleware, an application with
// two jars and a file with a secret, and one that deletes a jar and the secret.
func DebianMiddlewareImage(t testing.TB, p Packing) string {
	t.Helper()
	base, upper := Debian(t), DebianMiddleware(t)
	recipe := append([]string{Suite, string(p), "1"}, Middleware...)
	return keptImage(t, "middleware", recipe, func(dir string) ([]v1.Layer, error) {
		var layers []v1.Layer
		b, err := treeLayer(filepath.Join(dir, "base"), p, base, "")
		if err != nil {
			return nil, err
		}
		layers = append(layers, b)
		if b, err = treeLayer(filepath.Join(dir, "packages"), p, upper, base); err != nil {
			return nil, err
		}
		layers = append(layers, b)
		app := Files{}.Text(DeletedSecret, "AWS_ACCESS_KEY_ID="+AccessKey()+"\n")
		for to, from := range map[string]string{DeletedJar: "usr/share/java/log4j-1.2.jar", KeptJar: "usr/share/java/commons-text.jar"} {
			data, err := os.ReadFile(filepath.Join(upper, from))
			if err != nil {
				return nil, err
			}
			app[to] = File{Data: data}
		}
		return append(layers, Layer(app, p), Layer(Files{}.Delete(DeletedJar).Delete(DeletedSecret), p)), nil
	})
}

// AccessKey is something in the form of a cloud access key that never was one.
func AccessKey() string { return strings.Join([]string{"AKIA", "Z2LQ", "7RNX", "V4KD", "T5WH"}, "") }

// keptImage writes an image to the cache once. Layers are made in a folder that goes away.
func keptImage(t testing.TB, name string, recipe []string, layers func(dir string) ([]v1.Layer, error)) string {
	t.Helper()
	dir, err := folder("image-"+name, recipe...)
	if err != nil {
		t.Fatal(err)
	}
	err = kept(dir, func(dir string) error {
		work, err := os.MkdirTemp(filepath.Dir(dir), "work-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(work)
		list, err := layers(work)
		if err != nil {
			return err
		}
		img, err := Image(nil, list...)
		if err != nil {
			return err
		}
		_, err = WriteLayout(dir, img)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return "oci:" + dir + ":test"
}
