package lockfile

import (
	"errors"
	"fmt"

	"github.com/BurntSushi/toml"
	"go.yaml.in/yaml/v3"
)

const (
	maxBytes = 8 << 20 // lock files of the largest projects have 3 MB
	maxDepth = 100     // of brackets: the TOML library calls itself for each
)

// TOML decodes a lock file in TOML. One that is too long or nested too deeply is an error.
func TOML(data []byte, into any) error {
	if len(data) > maxBytes {
		return fmt.Errorf("has %d bytes, more than %d", len(data), maxBytes)
	}
	depth, quote := 0, byte(0)
	for i, c := range data {
		switch {
		case c == '\n':
			quote = 0
		case quote != 0:
			if c == quote && (quote == '\'' || data[i-1] != '\\') {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '[' || c == '{':
			if depth++; depth > maxDepth {
				return errors.New("brackets are nested too deeply")
			}
		case c == ']' || c == '}':
			depth = max(0, depth-1)
		}
	}
	_, err := toml.Decode(string(data), into)
	return err
}

// YAML decodes a lock file in YAML.
func YAML(data []byte, into any) error {
	if len(data) > maxBytes {
		return fmt.Errorf("has %d bytes, more than %d", len(data), maxBytes)
	}
	return yaml.Unmarshal(data, into)
}
