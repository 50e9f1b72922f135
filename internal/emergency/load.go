package emergency

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"stockade.dev/stockade/internal/emergency/check"
	"stockade.dev/stockade/internal/finding"
)

// Bounds of a list, which may come from outside.
const (
	mostEntries = 2000
	mostEntry   = 256 << 10 // bytes of emergency.yaml
	mostList    = 16 << 20  // bytes of a list as JSON
	mostSteps   = 50
	mostSpans   = 200
	mostText    = 8000
)

// Kinds of subjects that an emergency may concern.
var kinds = []string{"node", "image", "cluster"}

var identifier = regexp.MustCompile(`^[A-Z][A-Z0-9-]{3,39}$`)

// Load reads the list from folders with an emergency.yaml each. It is sorted by id; anything wrong with it is an error.
func Load(fsys fs.FS) ([]*Emergency, error) {
	var list []*Emergency
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Base(p) != "emergency.yaml" {
			return err
		}
		if len(list) >= mostEntries {
			return fmt.Errorf("more than %d emergencies", mostEntries)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Size() > mostEntry {
			return fmt.Errorf("%s: larger than %d bytes", p, mostEntry)
		}
		data, err := fs.ReadFile(fsys, p)
		if err != nil {
			return err
		}
		e, err := Parse(data)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		if path.Base(path.Dir(p)) != e.ID {
			return fmt.Errorf("%s: the id is %s, unlike the folder's name", p, e.ID)
		}
		list = append(list, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sorted(list)
}

// Parse reads one emergency.yaml.
func Parse(data []byte) (e *Emergency, err error) {
	defer func() {
		if p := recover(); p != nil {
			e, err = nil, errors.New("cannot be parsed")
		}
	}()
	if len(data) > mostEntry {
		return nil, fmt.Errorf("larger than %d bytes", mostEntry)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	e = &Emergency{}
	if err := d.Decode(e); err != nil {
		return nil, err
	}
	return e, e.validate()
}

// Marshal writes a list as the advisory database carries it.
func Marshal(list []*Emergency) ([]byte, error) { return json.Marshal(list) }

// Unmarshal reads what Marshal has written. What asks for checks that this program does not have is left out and named, so that a
// newer list does not blind an older program; anything else that is wrong is an error.
func Unmarshal(data []byte) (list []*Emergency, left []string, err error) {
	if len(data) > mostList {
		return nil, nil, fmt.Errorf("the list of emergencies is larger than %d bytes", mostList)
	}
	var raw []*Emergency
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, nil, fmt.Errorf("the list of emergencies: %w", err)
	}
	if len(raw) > mostEntries {
		return nil, nil, fmt.Errorf("more than %d emergencies", mostEntries)
	}
	for _, e := range raw {
		if e == nil {
			return nil, nil, errors.New("the list of emergencies has an empty entry")
		}
		switch err := e.validate(); {
		case errors.Is(err, errNewer):
			left = append(left, fmt.Sprintf("%.40s: %v", e.ID, err))
		case err != nil:
			return nil, nil, fmt.Errorf("the list of emergencies: %.40q: %w", e.ID, err)
		default:
			list = append(list, e)
		}
	}
	list, err = sorted(list)
	return list, left, err
}

// Merge joins lists: of entries with one id the highest revision counts, of equal ones that of the earlier list.
func Merge(lists ...[]*Emergency) []*Emergency {
	byID := map[string]*Emergency{}
	for _, list := range lists {
		for _, e := range list {
			if old := byID[e.ID]; old == nil || e.Revision > old.Revision {
				byID[e.ID] = e
			}
		}
	}
	out := make([]*Emergency, 0, len(byID))
	for _, e := range byID {
		out = append(out, e)
	}
	slices.SortFunc(out, byIdentifier)
	return out
}

func byIdentifier(a, b *Emergency) int { return strings.Compare(a.ID, b.ID) }

func sorted(list []*Emergency) ([]*Emergency, error) {
	slices.SortFunc(list, byIdentifier)
	for i := 1; i < len(list); i++ {
		if list[i].ID == list[i-1].ID {
			return nil, fmt.Errorf("%s is there twice", list[i].ID)
		}
	}
	return list, nil
}

// errNewer says that an entry needs a newer program.
var errNewer = errors.New("needs a newer program")

var severityNames = []finding.Severity{finding.Critical, finding.High, finding.Medium, finding.Low}

// validate holds an entry to its form. Texts are needed in both languages.
func (e *Emergency) validate() error {
	if !identifier.MatchString(e.ID) {
		return fmt.Errorf("id %.40q", e.ID)
	}
	if e.Revision < 1 || e.Name == "" || len(e.Name) > 200 {
		return errors.New("revision and name are needed")
	}
	for name, t := range map[string]finding.Text{"title": e.Title, "what": e.What, "fix": e.Fix} {
		if err := wholeText(t); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if e.Traps.EN != "" || e.Traps.ZH != "" {
		if err := wholeText(e.Traps); err != nil {
			return fmt.Errorf("traps: %w", err)
		}
	}
	if !slices.Contains(severityNames, e.Severity) {
		return fmt.Errorf("severity %q", e.Severity)
	}
	if _, err := time.Parse(time.DateOnly, e.Published); err != nil && e.Published != "" {
		return fmt.Errorf("published %q is no day", e.Published)
	}
	if len(e.Where) == 0 || slices.ContainsFunc(e.Where, func(w string) bool { return !slices.Contains(kinds, w) }) {
		return fmt.Errorf("where %q: want some of %s", e.Where, strings.Join(kinds, ", "))
	}
	if len(e.Sources) == 0 || len(e.Sources) > mostSteps {
		return errors.New("sources are needed")
	}
	for _, s := range e.Sources {
		if u, err := url.Parse(s.URL); s.Name == "" || err != nil || u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("source %.80q: a name and an https address are needed", s.Name)
		}
	}
	if len(e.Affected) == 0 || len(e.Affected) > mostSpans {
		return errors.New("affected is needed")
	}
	for _, r := range e.Affected {
		if err := r.validate(); err != nil {
			return err
		}
	}
	if e.Configuration && len(e.Preconditions) == 0 {
		return errors.New("a danger of configuration needs preconditions")
	}
	if len(e.Preconditions)+len(e.Proofs) > mostSteps {
		return fmt.Errorf("more than %d steps", mostSteps)
	}
	for _, s := range slices.Concat(e.Preconditions, e.Proofs) {
		if err := s.validate(); err != nil {
			return err
		}
	}
	return nil
}

func wholeText(t finding.Text) error {
	if strings.TrimSpace(t.EN) == "" || strings.TrimSpace(t.ZH) == "" {
		return errors.New("both languages are needed")
	}
	if len(t.EN) > mostText || len(t.ZH) > mostText {
		return fmt.Errorf("longer than %d bytes", mostText)
	}
	return nil
}

func (s *Step) validate() error {
	c, ok := check.Find(s.Check)
	if !ok {
		return fmt.Errorf("%w: there is no check %.40q here", errNewer, s.Check)
	}
	if err := c.Validate(s.With); err != nil {
		return fmt.Errorf("%w: %w", errNewer, err)
	}
	if slices.ContainsFunc(s.Where, func(w string) bool { return !slices.Contains(kinds, w) }) {
		return fmt.Errorf("step %s: where %q", s.Check, s.Where)
	}
	if err := wholeText(s.Says); err != nil {
		return fmt.Errorf("step %s says: %w", s.Check, err)
	}
	return nil
}
