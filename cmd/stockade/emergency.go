package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"stockade.dev/stockade/emergencies"
	"stockade.dev/stockade/internal/collect/image"
	"stockade.dev/stockade/internal/database"
	"stockade.dev/stockade/internal/emergency"
	"stockade.dev/stockade/internal/emergency/check"
	"stockade.dev/stockade/internal/examine"
	"stockade.dev/stockade/internal/fault"
	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
	"stockade.dev/stockade/internal/match"
)

// builtin is the list of emergencies that the program brings.
func builtin() ([]*emergency.Emergency, error) {
	list, err := emergency.Load(emergencies.FS)
	return list, fault.Wrap(fault.Internal, "reading the built-in emergencies", err)
}

// emergencyList is the built-in list with what a database has that is newer. notes say what of the database's could not be used.
func emergencyList(db *database.DB) (list []*emergency.Emergency, notes []string, err error) {
	if list, err = builtin(); err != nil || db == nil {
		return list, nil, err
	}
	data, err := db.Emergencies()
	if err != nil {
		return list, []string{"the database's list of emergencies is damaged, the built-in one is used: " + err.Error()}, nil
	}
	if data == nil {
		return list, nil, nil
	}
	theirs, left, err := emergency.Unmarshal(data)
	if err != nil {
		return list, []string{"the database's list of emergencies cannot be used, the built-in one is: " + err.Error()}, nil
	}
	return emergency.Merge(theirs, list), left, nil
}

// packedEmergencies is the list that goes into a database: the built-in one and those of folders over it.
func packedEmergencies(dirs []string) ([]byte, error) {
	list, err := builtin()
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		more, err := emergency.Load(os.DirFS(dir))
		if err != nil {
			return nil, fault.Wrap(fault.Input, "--emergencies "+dir, err)
		}
		if len(more) == 0 {
			return nil, fault.New(fault.Input, "--emergencies %s: there is no emergency.yaml below it", dir)
		}
		list = emergency.Merge(list, more)
	}
	data, err := emergency.Marshal(list)
	return data, fault.Wrap(fault.Internal, "writing the list of emergencies", err)
}

// allowedClasses reads --emergency-checks.
func allowedClasses(names []string) ([]emergency.Class, error) {
	var out []emergency.Class
	for _, n := range names {
		c := emergency.Class(n)
		if n == "none" && len(names) == 1 {
			return nil, nil
		}
		if !slices.Contains(check.Classes, c) {
			return nil, usage("--emergency-checks %q: want some of read, process, request and private, or none", n)
		}
		out = append(out, c)
	}
	return out, nil
}

// setUrgent has inventories judged for emergencies.
func (f *imageFlags) setUrgent(db *database.DB) ([]string, error) {
	list, notes, err := emergencyList(db)
	if err != nil {
		return nil, err
	}
	allowed, err := allowedClasses(f.checks)
	if err != nil {
		return nil, err
	}
	f.urgent = &examine.Urgent{List: list, Allowed: allowed, Complete: rootFiles}
	if db != nil {
		f.urgent.Matcher = match.NewMatcher(match.Over(db), match.Options{})
	}
	return notes, nil
}

// probes are the questions that a list of emergencies asks of the files of images; nil where there are none.
func probes(list []*emergency.Emergency) image.Probes {
	if p := emergency.NewProbes(list); len(p.Asked()) > 0 {
		return p
	}
	return nil
}

// rootFiles gives checks the files of an unpacked image.
func rootFiles(_ context.Context, sw *inventory.Software, s *emergency.Subject) func() {
	dir, ok := strings.CutPrefix(sw.Name, "rootfs:")
	if !ok || sw.Kind != "rootfs" {
		return func() {}
	}
	return openFiles(dir, s)
}

func openFiles(dir string, s *emergency.Subject) func() {
	files, err := emergency.OpenDir(dir)
	if err != nil {
		return func() {} // checks say that there are no files
	}
	s.Files = files
	return func() { files.Close() }
}

// ofNode gives checks the facts and files of a node, and of the running one its local ports.
func (f *imageFlags) ofNode(facts *inventory.NodeFacts, root string) {
	if f.urgent == nil {
		return
	}
	f.urgent.Complete = func(_ context.Context, _ *inventory.Software, s *emergency.Subject) func() {
		s.Facts = facts
		if root == "/" {
			s.Dial = func(ctx context.Context, port int) (emergency.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			}
		}
		return openFiles(root, s)
	}
}

// emergencyView is an emergency as `rule list --emergency -o json` shows it: the fields of a rule, and its own.
type emergencyView struct {
	ruleView
	Name          string             `json:"name"`
	Revision      int                `json:"revision"`
	Published     string             `json:"published,omitempty"`
	KEV           bool               `json:"kev"`
	Retired       bool               `json:"retired,omitempty"`
	Configuration bool               `json:"configuration,omitempty"`
	Affected      []string           `json:"affected"`
	Fixed         []string           `json:"fixed"`
	Sources       []emergency.Source `json:"sources"`
	Checks        []stepView         `json:"checks"`
	Traps         *finding.Text      `json:"traps,omitempty"`
}

// stepView is a check of an emergency.
type stepView struct {
	Check string       `json:"check"`
	Class string       `json:"class"`
	Role  string       `json:"role"` // precondition or proof
	Says  finding.Text `json:"says"`
}

func viewEmergency(e *emergency.Emergency) emergencyView {
	v := emergencyView{Name: e.Name, Revision: e.Revision, Published: e.Published, KEV: e.KEV, Retired: e.Retired, Configuration: e.Configuration,
		Affected: []string{}, Fixed: e.Fixes(), Sources: e.Sources, Checks: []stepView{}}
	v.ruleView = ruleView{Rule: e.ID, ID: e.ID, Title: e.Title, Why: e.What, Fix: e.Fix, Severity: e.Severity, Kind: finding.Emergency, Kinds: e.Where,
		References: []string{}, Aliases: map[string][]string{}, Compliance: []finding.ClauseRef{}, Engine: "checks"}
	if len(e.Aliases) > 0 {
		v.Aliases["cve"] = e.Aliases
	}
	for _, s := range e.Sources {
		v.References = append(v.References, s.URL)
	}
	for i := range e.Affected {
		v.Affected = append(v.Affected, e.Affected[i].String())
	}
	for role, steps := range map[string][]emergency.Step{"precondition": e.Preconditions, "proof": e.Proofs} {
		for _, s := range steps {
			one := stepView{Check: s.Check, Role: role, Says: s.Says}
			if c, ok := check.Find(s.Check); ok {
				one.Class = string(c.Class)
			}
			v.Checks = append(v.Checks, one)
		}
	}
	slices.SortStableFunc(v.Checks, func(a, b stepView) int { return strings.Compare(a.Role, b.Role) })
	if e.Traps.EN != "" {
		v.Traps = &e.Traps
	}
	return v
}

// listEmergencies is `rule list --emergency`: the built-in list, with what the database in place has that is newer.
func listEmergencies(s streams, form, lang, dbDir string) error {
	list, err := emergenciesInUse(s, dbDir)
	if err != nil {
		return err
	}
	switch form {
	case "json":
		views := make([]emergencyView, 0, len(list))
		for _, e := range list {
			views = append(views, viewEmergency(e))
		}
		return writeJSON(s, views)
	case "table":
		t := table.NewWriter()
		t.SetOutputMirror(s.out)
		t.SetStyle(table.StyleLight)
		t.AppendHeader(table.Row{"ID", "Name", "Severity", "Where", "Title", "Sources"})
		for _, e := range list {
			var names []string
			for _, src := range e.Sources {
				names = append(names, src.Name)
			}
			t.AppendRow(table.Row{e.ID, e.Name, e.Severity, strings.Join(e.Where, ", "), e.Title.In(lang), strings.Join(names, "; ")})
		}
		t.Render()
		fmt.Fprintf(s.out, "%d emergencies\n", len(list))
		return nil
	}
	return usage("output form %q: want table or json", form)
}

// emergenciesInUse is the list as scans use it.
func emergenciesInUse(s streams, dir string) ([]*emergency.Emergency, error) {
	f := imageFlags{db: dir}
	db, err := f.database()
	if err != nil {
		return nil, err
	}
	if db != nil {
		defer db.Close()
	}
	list, notes, err := emergencyList(db)
	for _, n := range notes {
		fmt.Fprintln(s.err, "stockade:", n)
	}
	return list, err
}

// emergencyLabels name the parts of an emergency in both languages, padded to one width.
var emergencyLabels = map[string][]string{
	"en": {"severity", "affected", "fixed   ", "why     ", "fix     ", "needs   ", "proof   ", "beware  ", "source  "},
	"zh": {"级别    ", "受影响  ", "修复版本", "原因    ", "修复    ", "利用条件", "修复证据", "注意    ", "来源    "},
}

func showEmergency(s streams, e *emergency.Emergency, lang string) {
	if lang != "zh" {
		lang = "en"
	}
	line := func(label int, format string, args ...any) {
		fmt.Fprintf(s.out, "  "+emergencyLabels[lang][label]+"  "+format+"\n", args...)
	}
	fmt.Fprintf(s.out, "%s  %s  %s\n", e.ID, e.Name, e.Title.In(lang))
	line(0, "%s", e.Severity)
	for i := range e.Affected {
		line(1, "%s", e.Affected[i].String())
	}
	for _, f := range e.Fixes() {
		line(2, "%s", f)
	}
	line(3, "%s", e.What.In(lang))
	line(4, "%s", e.Fix.In(lang))
	for _, p := range e.Preconditions {
		line(5, "%s (%s)", p.Says.In(lang), p.Check)
	}
	for _, p := range e.Proofs {
		line(6, "%s (%s)", p.Says.In(lang), p.Check)
	}
	if e.Traps.EN != "" {
		line(7, "%s", e.Traps.In(lang))
	}
	for _, src := range e.Sources {
		line(8, "%s  %s", src.Name, src.URL)
	}
}
