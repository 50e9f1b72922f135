package lab_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// startChild runs a test once more in a process of its own and returns what that
// says of what it started.
func startChild(t *testing.T, test string) (child *os.Process, said string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), "LAB_TEST_CHILD=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	var all []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "child: ") {
			return cmd.Process, lines.Text()
		}
		all = append(all, lines.Text())
	}
	t.Fatalf("the child ended early:\n%s", strings.Join(all, "\n"))
	return nil, ""
}
