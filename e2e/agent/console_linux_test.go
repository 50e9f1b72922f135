package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"stockade.dev/stockade/e2e/lab"
)

const adminPassword = "a fence keeps the cows in"

// consoleFolder has the stories and what they are run with, which `make build` brings.
const consoleFolder = "../../console"

// console looks at the node in a browser: console/stories/agent.node.ts.
func (s *site) console(t *testing.T, node, kubelet string) {
	lab.Eventually(t, "emergencies are verified on the node", func() error {
		var list struct {
			Items []struct{ Name, Verdict string }
		}
		s.call("GET", "/emergencies/CVE-2024-21626/results?kind=node", nil, &list)
		if len(list.Items) != 1 || list.Items[0].Name != lab.NodeName {
			return fmt.Errorf("%+v", list.Items)
		}
		return nil
	})
	given, err := json.Marshal(map[string]string{"url": "https://" + s.Expose(t, serverAddress), "name": "root", "password": adminPassword,
		"cluster": "shop", "target": s.target, "node": lab.NodeName, "id": node, "image": shopImage, "kubelet": kubelet})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(consoleFolder + "/node_modules/.bin/vitest"); err != nil {
		t.Fatalf("the console's tools are not there: run make build first: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), "npx", "vitest", "run", "--config", "vite.node.ts", "agent.node.ts")
	cmd.Dir, cmd.Env = consoleFolder, append(os.Environ(), "STOCKADE_STORY="+string(given), "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the console's story: %v\n%s", err, out)
	}
	t.Logf("%s", out)
}
