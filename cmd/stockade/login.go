package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"stockade.dev/stockade/internal/api/client"
	"stockade.dev/stockade/internal/fault"
)

// contexts are the servers that the user is signed in to, in a file that only they can read.
type contexts struct {
	Current string             `json:"current"`
	Servers map[string]*access `json:"servers"`
	file    string
}

// access is how one server is reached.
type access struct {
	URL     string `json:"url"`
	Token   string `json:"token"`
	TokenID string `json:"tokenId,omitempty"` // when login made the token: logout revokes it
	Pin     string `json:"caPin,omitempty"`
	CA      string `json:"ca,omitempty"` // PEM
}

func readContexts() (*contexts, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return nil, fault.Wrap(fault.Usage, "finding the folder of your settings", err)
	}
	c := &contexts{Servers: map[string]*access{}, file: filepath.Join(dir, "stockade", "servers.json")}
	data, err := os.ReadFile(c.file)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(data, c)
	}
	if c.Servers == nil {
		c.Servers = map[string]*access{}
	}
	return c, fault.Wrap(fault.Input, "reading "+c.file, err)
}

func (c *contexts) save() error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.file), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(c.file), ".servers-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), c.file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

func (a *access) open(session bool) (*client.Client, error) {
	c, err := client.New(client.Options{URL: a.URL, Token: a.Token, Pin: a.Pin, CA: []byte(a.CA), Lang: defaultLang(), UserAgent: "stockade/" + release, Session: session})
	return c, fault.Wrap(fault.Usage, "", err)
}

type loginFlags struct {
	name, token, user, setup string
	pin, caFile              string
	days                     int
}

func loginCommand(s streams) *cobra.Command {
	var f loginFlags
	cmd := &cobra.Command{Use: "login URL", Short: "Sign in to a server", Args: cobra.ExactArgs(1),
		Long: `Sign in to a server and keep the access in your settings, in a file that only you can read. With --user you are asked for the
password (or $STOCKADE_PASSWORD), and a token for this machine is made. Otherwise an API token is taken from --token,
$STOCKADE_TOKEN or the prompt. With --setup-token, which the server prints at its first start, the first administrator is made.

A server with its own CA prints a fingerprint at its start: give it as --ca-pin. In a pipeline nothing needs to be kept:
$STOCKADE_URL, $STOCKADE_TOKEN and $STOCKADE_CA_PIN are enough for all commands.`,
		Example: `  stockade login https://stockade.example.com:8443 --user anna --ca-pin sha256:4f...
  stockade login https://stockade.example.com --token - < token`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), s, args[0])
		}}
	fl := cmd.Flags()
	fl.StringVar(&f.name, "name", "", "name of this server in your settings (default: its host)")
	fl.StringVar(&f.token, "token", "", "API token; - reads it from standard input, which keeps it out of the process list")
	fl.StringVar(&f.user, "user", "", "sign in with this name and a password, and make a token")
	fl.StringVar(&f.setup, "setup-token", "", "make the first administrator, named by --user, with the token of the set-up link")
	fl.StringVar(&f.pin, "ca-pin", os.Getenv("STOCKADE_CA_PIN"), "fingerprint of the server's own CA")
	fl.StringVar(&f.caFile, "ca-file", "", "CA certificates (PEM) to trust in place of the system's")
	fl.IntVar(&f.days, "days", 90, "how long the token that is made holds")
	cmd.MarkFlagsMutuallyExclusive("token", "user")
	cmd.MarkFlagsMutuallyExclusive("ca-pin", "ca-file")
	return cmd
}

func (f *loginFlags) run(ctx context.Context, s streams, address string) error {
	all, err := readContexts()
	if err != nil {
		return err
	}
	a := &access{URL: strings.TrimSuffix(address, "/"), Pin: f.pin}
	if f.caFile != "" {
		pem, err := os.ReadFile(f.caFile)
		if err != nil {
			return fault.Wrap(fault.Input, "--ca-file", err)
		}
		a.CA = string(pem)
	}
	if f.setup != "" && f.user == "" {
		return usage("--setup-token: name the first administrator with --user")
	}
	if f.user != "" {
		err = f.signIn(ctx, s, a)
	} else {
		a.Token, err = f.readToken(s)
	}
	if err != nil {
		return err
	}
	c, err := a.open(false)
	if err != nil {
		return err
	}
	me, err := client.Get[profile](ctx, c, "/session", nil)
	if err != nil {
		return answered(err)
	}
	name := f.name
	if name == "" {
		name = strings.TrimPrefix(strings.TrimPrefix(a.URL, "https://"), "http://")
	}
	all.Servers[name], all.Current = a, name
	if err := all.save(); err != nil {
		return fault.Wrap(fault.Input, "saving the token", err)
	}
	fmt.Fprintf(s.err, "Signed in to %s as %s.\n", a.URL, printable(me.User.Name))
	return nil
}

// profile is what a server says of who asks.
type profile struct {
	User struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"user"`
}

// signIn makes a token by a session, which is ended again.
func (f *loginFlags) signIn(ctx context.Context, s streams, a *access) error {
	c, err := a.open(true)
	if err != nil {
		return err
	}
	password, err := secret(s, "STOCKADE_PASSWORD", "Password of "+f.user)
	if err != nil {
		return err
	}
	path, body := "/session", map[string]string{"name": f.user, "password": password}
	if f.setup != "" {
		token := f.setup
		if _, after, ok := strings.Cut(token, "token="); ok { // the whole link
			token = after
		}
		path, body["token"] = "/setup", token
	}
	if err := c.Call(ctx, http.MethodPost, path, body, nil); err != nil {
		return answered(err)
	}
	host, _ := os.Hostname() // it only names the token
	var made struct {
		ID    string `json:"id"`
		Token string `json:"token"`
	}
	err = c.Call(ctx, http.MethodPost, "/tokens", map[string]any{"name": "stockade login on " + host, "days": f.days}, &made)
	if err != nil {
		return answered(err)
	}
	a.Token, a.TokenID = made.Token, made.ID
	return answered(c.Call(ctx, http.MethodDelete, "/session", nil, nil))
}

func (f *loginFlags) readToken(s streams) (string, error) {
	if f.token != "" && f.token != "-" {
		return f.token, nil
	}
	if f.token == "" && os.Getenv("STOCKADE_TOKEN") != "" {
		return os.Getenv("STOCKADE_TOKEN"), nil
	}
	return secret(s, "", "API token")
}

// secret reads a line that is not shown: from the environment, the terminal or standard input.
func secret(s streams, variable, prompt string) (string, error) {
	if variable != "" && os.Getenv(variable) != "" {
		return os.Getenv(variable), nil
	}
	if in, ok := s.in.(*os.File); ok && term.IsTerminal(int(in.Fd())) {
		fmt.Fprintf(s.err, "%s: ", prompt)
		line, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(s.err)
		return string(line), fault.Wrap(fault.Usage, "reading from the terminal", err)
	}
	line, err := bufio.NewReader(io.LimitReader(s.in, 64<<10)).ReadString('\n')
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", usage("%s: nothing came from standard input (%v)", prompt, err)
	}
	return line, nil
}

func logoutCommand(s streams) *cobra.Command {
	return &cobra.Command{Use: "logout [NAME]", Short: "Forget a server, and revoke the token that login made", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := readContexts()
			if err != nil {
				return err
			}
			name := all.Current
			if len(args) > 0 {
				name = args[0]
			}
			a := all.Servers[name]
			if a == nil {
				return usage("there is no server %q in %s", name, all.file)
			}
			if a.TokenID != "" {
				c, err := a.open(false)
				if err == nil {
					err = c.Call(cmd.Context(), http.MethodDelete, "/tokens/"+a.TokenID, nil, nil)
				}
				if err != nil {
					fmt.Fprintln(s.err, "The token was not revoked, revoke it in the console:", err)
				}
			}
			delete(all.Servers, name)
			if all.Current == name {
				all.Current = ""
			}
			if err := all.save(); err != nil {
				return fault.Wrap(fault.Input, "", err)
			}
			fmt.Fprintf(s.err, "Signed out of %s.\n", a.URL)
			return nil
		}}
}

// answered gives an error of a server its kind and hint.
func answered(err error) error {
	var p *client.Problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		return &fault.Error{Kind: fault.Input, Err: p, Hint: p.Hint()}
	}
	return fault.Wrap(fault.Input, "", err)
}
