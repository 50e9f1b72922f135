// Package check holds the checks of emergencies: small functions that look at one precondition or one proof of a fix and say what
// they saw. They only read. Each is bounded in bytes, needs what its entry in the table says, and is told apart by its class, so
// that users can forbid classes. An emergency names checks and their arguments; what a check may be asked is checked when the list
// is loaded, so that a list that came with the advisory database can do nothing that is not in this table.
package check

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"

	"stockade.dev/stockade/internal/finding"
	"stockade.dev/stockade/internal/inventory"
)

// Class is how much a check touches. Users can forbid classes; each includes none of the others.
type Class string

// The classes.
const (
	Reads   Class = "read"    // files and facts that are there already
	Process Class = "process" // /proc of running processes
	Request Class = "request" // one harmless request to a named local port
	Private Class = "private" // a file of its own in a private temporary folder
)

// Classes are all of them.
var Classes = []Class{Reads, Process, Request, Private}

// Files opens files below a root without ever leaving it; every read is bounded by the caller.
type Files interface {
	// Open opens a regular file for reading; anything else is an error. Symbolic links are resolved inside the root.
	Open(path string) (File, error)
	// List names what is in a folder, at most max entries.
	List(path string, max int) ([]string, error)
}

// File is an open regular file.
type File interface {
	io.ReaderAt
	io.Closer
	Size() int64
	Mode() fs.FileMode // with setuid and setgid
}

// Conn is a connection to a local port.
type Conn = net.Conn

// Vendor is what the advisories of a system say of one vulnerability in one of its packages.
type Vendor struct {
	State    string // fixed (in this version), affected, not-affected; "" when they are silent
	Fixed    string // version of the fix, where one is named
	Advisory string // "DSA-5615-1"
	Source   string // feed
}

// Subject is what is looked at. What is nil is not known there; a check that needs it is unknown, with that reason.
type Subject struct {
	Name     string
	Facts    *inventory.NodeFacts
	Software *inventory.Software                               // packages of the node or the image
	Files    Files                                             // the file system of the node or the image; nil when only facts are at hand
	Cluster  *inventory.Cluster                                // pods and roles, on the server
	Dial     func(ctx context.Context, port int) (Conn, error) // to local ports by Request; nil where forbidden
	Temp     string                                            // private folder of Private; "" where forbidden
	// Vendor asks the advisories of the system; nil without an advisory database.
	Vendor func(id string, p *inventory.Package) Vendor
}

// Target is the component that an emergency is judged for.
type Target struct {
	Emergency string // id, for changelogs and advisories
	Component string
	Path      string // of the file; "" when only a package is known
	Container string // that it runs in; its path is not one of the subject's then
	Version   string
	Package   *inventory.Package    // nil for binaries of the facts
	Binary    *inventory.BinaryFact // nil for packages
}

// Holds says whether something is so.
type Holds string

// The answers.
const (
	Yes     Holds = "yes"
	No      Holds = "no"
	Unknown Holds = "unknown"
)

// Answer is what a check saw.
type Answer struct {
	Holds Holds
	Said  finding.Text // what was seen, and where; of unknown what could not be read
}

// Check is one entry of the table.
type Check struct {
	Name  string
	Class Class
	Needs string // what of the subject: facts, files, packages, image, containers, port
	// Args are the names of its arguments; those that begin with "!" must be given.
	Args []string
	Run  func(ctx context.Context, s *Subject, t *Target, a Args) Answer
}

// Table lists every check there is. Adding one is adding a line and a file.
var Table = []Check{
	{Name: "file-contains", Class: Reads, Needs: "files", Args: []string{"paths", "text", "hex", "elf"}, Run: fileContains},
	{Name: "file-exists", Class: Reads, Needs: "files", Args: []string{"!paths"}, Run: fileExists},
	{Name: "file-setuid", Class: Reads, Needs: "files", Args: []string{"paths"}, Run: fileSetuid},
	{Name: "mark", Class: Reads, Needs: "packages", Args: []string{"!name"}, Run: imageMark},
	{Name: "changelog", Class: Reads, Needs: "packages", Args: []string{"package", "ids"}, Run: changelog},
	{Name: "go-module", Class: Reads, Needs: "packages", Args: []string{"!module", "!least"}, Run: goModule},
	{Name: "library-setting", Class: Reads, Needs: "packages", Args: []string{"!setting", "!is", "missing"}, Run: librarySetting},
	{Name: "library-path", Class: Reads, Needs: "packages", Args: []string{"!contains"}, Run: libraryPath},
	{Name: "package-present", Class: Reads, Needs: "packages", Args: []string{"!names", "least", "below", "missing"}, Run: packagePresent},
	{Name: "jar-entry", Class: Reads, Needs: "files", Args: []string{"!entry", "text"}, Run: jarEntry},
	{Name: "config-value", Class: Reads, Needs: "files", Args: []string{"!paths", "!form", "!key", "is", "where", "missing", "contains"}, Run: configValue},
	{Name: "servlet-param", Class: Reads, Needs: "files", Args: []string{"!paths", "!class", "!param", "!is", "missing"}, Run: servletParam},
	{Name: "spring-setting", Class: Reads, Needs: "files", Args: []string{"paths", "!key", "!is", "missing"}, Run: springSetting},
	{Name: "image-config", Class: Reads, Needs: "image", Args: []string{"!field", "matches", "above"}, Run: imageConfig},
	{Name: "system-is", Class: Reads, Needs: "facts", Args: []string{"!ids"}, Run: systemIs},
	{Name: "sysctl", Class: Reads, Needs: "facts", Args: []string{"!name", "!is", "missing"}, Run: sysctl},
	{Name: "user-namespaces", Class: Reads, Needs: "facts", Run: userNamespaces},
	{Name: "kernel-module", Class: Reads, Needs: "facts", Args: []string{"!name"}, Run: kernelModule},
	{Name: "kernel-config", Class: Reads, Needs: "facts", Args: []string{"!option", "!is"}, Run: kernelConfig},
	{Name: "cgroup-v1", Class: Reads, Needs: "facts", Run: cgroupV1},
	{Name: "mount", Class: Reads, Needs: "facts", Args: []string{"path", "type"}, Run: mount},
	{Name: "process-flag", Class: Process, Needs: "facts", Args: []string{"!process", "!flag", "is", "missing", "contains"}, Run: processFlag},
	{Name: "process-running", Class: Process, Needs: "facts", Args: []string{"!names"}, Run: processRunning},
	{Name: "listening", Class: Process, Needs: "facts", Args: []string{"ports", "process", "outside"}, Run: listening},
	{Name: "abstract-socket", Class: Process, Needs: "files", Args: []string{"!prefix"}, Run: abstractSocket},
	{Name: "containers", Class: Process, Needs: "containers", Args: []string{"!any"}, Run: containers},
	{Name: "pods", Class: Reads, Needs: "cluster", Args: []string{"!any"}, Run: pods},
	{Name: "may", Class: Reads, Needs: "cluster", Args: []string{"!verbs", "!resources", "groups"}, Run: may},
	{Name: "objects", Class: Reads, Needs: "cluster", Args: []string{"!kind", "name", "annotation", "contains", "label"}, Run: objects},
	{Name: "answers-without-certificate", Class: Request, Needs: "port", Args: []string{"!port", "path", "tls"}, Run: answersWithoutCertificate},
}

// Find returns a check of the table.
func Find(name string) (*Check, bool) {
	i := slices.IndexFunc(Table, func(c Check) bool { return c.Name == name })
	if i < 0 {
		return nil, false
	}
	return &Table[i], true
}

// Validate says what is wrong with arguments.
func (c *Check) Validate(with map[string]any) error {
	for _, name := range c.Args {
		name, must := strings.CutPrefix(name, "!")
		if _, ok := with[name]; must && !ok {
			return fmt.Errorf("check %s: %s is missing", c.Name, name)
		}
	}
	for name, v := range with {
		if !slices.Contains(c.Args, name) && !slices.Contains(c.Args, "!"+name) {
			return fmt.Errorf("check %s has no argument %q", c.Name, name)
		}
		if err := bounded(v, 0); err != nil {
			return fmt.Errorf("check %s, argument %s: %w", c.Name, name, err)
		}
	}
	return Args(with).validate(c.Name)
}

// bounded refuses arguments that are too large to be meant.
func bounded(v any, depth int) error {
	switch v := v.(type) {
	case string:
		if len(v) > 1000 {
			return fmt.Errorf("longer than 1000 bytes")
		}
	case bool, int, int64, float64, uint64:
	case []any:
		if len(v) > 100 || depth > 3 {
			return fmt.Errorf("too many values")
		}
		for _, e := range v {
			if err := bounded(e, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		if len(v) > 100 || depth > 3 {
			return fmt.Errorf("too many values")
		}
		for _, e := range v {
			if err := bounded(e, depth+1); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("a value of type %T", v)
	}
	return nil
}
