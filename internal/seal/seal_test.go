package seal

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func load(t *testing.T) (*Keys, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "data", "keys")
	k, err := Load(file, "")
	if err != nil {
		t.Fatal(err)
	}
	return k, file
}

func TestSealAndOpen(t *testing.T) {
	k, file := load(t)
	st, err := os.Stat(file)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatal(st, err)
	}
	sealed, err := k.Seal("clusters/1", []byte("swordfish"))
	if err != nil || bytes.Contains(sealed, []byte("swordfish")) {
		t.Fatal(err)
	}
	if again, _ := k.Seal("clusters/1", []byte("swordfish")); bytes.Equal(again, sealed) {
		t.Error("two seals of one value are the same")
	}
	other, _ := load(t)
	for name, tt := range map[string]struct {
		keys   *Keys
		place  string
		sealed []byte
		want   error
	}{
		"right":         {k, "clusters/1", sealed, nil},
		"another row":   {k, "clusters/2", sealed, ErrBroken},
		"cut":           {k, "clusters/1", sealed[:len(sealed)-1], ErrBroken},
		"very short":    {k, "clusters/1", sealed[:5], ErrBroken},
		"empty":         {k, "clusters/1", nil, ErrBroken},
		"flipped":       {k, "clusters/1", append(bytes.Clone(sealed[:len(sealed)-1]), sealed[len(sealed)-1]^1), ErrBroken},
		"another key":   {other, "clusters/1", sealed, ErrUnknownKey},
		"another form":  {k, "clusters/1", append([]byte{9}, sealed[1:]...), ErrBroken},
		"no nonce left": {k, "clusters/1", sealed[:2+int(sealed[1])+3], ErrBroken},
	} {
		plain, err := tt.keys.Open(tt.place, tt.sealed)
		if !errors.Is(err, tt.want) || tt.want == nil && string(plain) != "swordfish" {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
	}
}

func TestModes(t *testing.T) {
	k, file := load(t)
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file, ""); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("%o: %v", mode, err)
		}
	}
	if _, err := k.Seal("x", nil); err == nil {
		t.Error("a running server seals with keys that others can read")
	}
}

func TestEnvironment(t *testing.T) {
	one := "a:" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32))
	two := "b:" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{2}, 32))
	k, err := Load("/nonexistent/keys", one)
	if err != nil {
		t.Fatal(err)
	}
	sealed, _ := k.Seal("x", []byte("v"))
	both, err := Load("", one+","+two)
	if err != nil || both.Current() != "b" || !both.Stale(sealed) {
		t.Fatal(err)
	}
	if err := both.Rotate(context.Background(), func(context.Context) error {
		sealed, err = both.Reseal("x", sealed)
		return err
	}); err != nil || both.Stale(sealed) {
		t.Error(err)
	}
	for _, bad := range []string{"a", "a:", "a:AAAA", one + "," + one, ":" + strings.TrimPrefix(one, "a:"), ","} {
		if _, err := Load("", bad); err == nil || strings.Contains(err.Error(), "AQEBAQ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestRotate: a second process that shares the file goes on working, and old keys go.
func TestRotate(t *testing.T) {
	k, file := load(t)
	second, err := Load(file, "")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string][]byte{}
	for _, place := range []string{"a", "b"} {
		rows[place], _ = k.Seal(place, []byte(place))
	}
	reseal := func(context.Context) error {
		for place, sealed := range rows {
			var err error
			if rows[place], err = k.Reseal(place, sealed); err != nil {
				return err
			}
		}
		return nil
	}
	first := k.Current()
	if err := k.Rotate(context.Background(), func(context.Context) error { return errors.New("disk full") }); err == nil {
		t.Fatal("a failure is told")
	}
	if plain, err := k.Open("a", rows["a"]); err != nil || string(plain) != "a" {
		t.Error("after a failed rotation:", err)
	}
	for range 2 {
		if err := k.Rotate(context.Background(), reseal); err != nil {
			t.Fatal(err)
		}
	}
	for place, sealed := range rows {
		if plain, err := second.Open(place, sealed); err != nil || string(plain) != place {
			t.Errorf("the second process: %v", err)
		}
	}
	if ids := second.IDs(); len(ids) != 2 || ids[0] == first || second.Current() != k.Current() {
		t.Errorf("keys %v", ids)
	}
	text, _ := os.ReadFile(file)
	if strings.Contains(string(text), first) {
		t.Error("the first key is still in the file")
	}
	if st, _ := os.Stat(file); st.Mode().Perm() != 0o600 {
		t.Error(st.Mode())
	}
}

// FuzzOpen: no bytes from the database make it fail but by an error.
func FuzzOpen(f *testing.F) {
	k, err := Load("", "a:"+base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32)))
	if err != nil {
		f.Fatal(err)
	}
	sealed, _ := k.Seal("x", []byte("value"))
	f.Add(sealed)
	f.Add([]byte{1, 255})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if plain, err := k.Open("x", data); err == nil && string(plain) != "value" { // the seed of another process opens too
			t.Errorf("opened %x to %q", data, plain)
		}
	})
}
