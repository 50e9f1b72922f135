//go:build linux

// Package wire is how a test process talks to the first process of a node: a
// request and its answers as lines of JSON over a unix socket, sockets passed
// along as file descriptors. Standard library only: both sides link it, and one
// of them is also the node's smallest container.
package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// Socket is the name of the unix socket in the node's folder.
const Socket = "node.sock"

// What a request asks for.
const (
	Dial   = "dial"   // answered with a connected socket
	Listen = "listen" // answered with a listening socket
	Netns  = "netns"  // answered with the network namespace
	Start  = "start"  // answered with a process id, and again when the process ends
	Kill   = "kill"   // ends a started process
)

// Request is the one line a client sends on its connection.
type Request struct {
	Op      string
	Network string   `json:",omitempty"` // dial, listen: such as "tcp"
	Address string   `json:",omitempty"`
	Argv    []string `json:",omitempty"` // start: the program's path first
	Env     []string `json:",omitempty"`
	Dir     string   `json:",omitempty"`
	Log     string   `json:",omitempty"` // start: the file that takes both outputs
	PID     int      `json:",omitempty"` // kill: as the node counts
}

// Answer is a line that comes back.
type Answer struct {
	Error string `json:",omitempty"`
	PID   int    `json:",omitempty"`
	Ended bool   `json:",omitempty"` // the process is gone
	How   string `json:",omitempty"` // and not with success
}

// Conn is one end of a connection. A line is JSON after a mark, which says
// whether a file belongs to it: the kernel may hand a file over with the end of
// the line before.
type Conn struct {
	*net.UnixConn
	rest  []byte
	files []*os.File // came along with what was read, and not taken yet
}

// The marks of lines.
const (
	plain    = '-'
	withFile = '+'
)

// Send writes a line, with a file that the other side gets a copy of unless it
// is nil.
func (c *Conn) Send(line any, file *os.File) error {
	data, err := json.Marshal(line)
	if err != nil {
		return err
	}
	mark := byte(plain)
	var rights []byte
	if file != nil {
		mark, rights = withFile, syscall.UnixRights(int(file.Fd()))
	}
	_, _, err = c.WriteMsgUnix(append(append([]byte{mark}, data...), '\n'), rights, nil)
	return err
}

// Receive reads a line. The file is nil unless one came along.
func (c *Conn) Receive(line any) (*os.File, error) {
	for {
		if data, ok := c.next(); ok {
			return c.take(data, line)
		}
		if len(c.rest) > 1<<20 {
			return nil, errors.New("a line of over a megabyte")
		}
		buffer, rights := make([]byte, 32<<10), make([]byte, syscall.CmsgSpace(4))
		n, nr, _, _, err := c.ReadMsgUnix(buffer, rights)
		if err != nil {
			return nil, err
		}
		if n == 0 && nr == 0 {
			return nil, errors.New("the other side hung up")
		}
		c.rest = append(c.rest, buffer[:n]...)
		if nr > 0 {
			file, err := received(rights[:nr])
			if err != nil {
				return nil, err
			}
			c.files = append(c.files, file)
		}
	}
}

// take reads a whole line, and gives it the file that is its own.
func (c *Conn) take(data []byte, line any) (*os.File, error) {
	if len(data) == 0 || data[0] != plain && data[0] != withFile {
		return nil, errors.New("a line without a mark")
	}
	if data[0] == plain {
		return nil, json.Unmarshal(data[1:], line)
	}
	if len(c.files) == 0 {
		return nil, errors.New("the line's file did not come")
	}
	file := c.files[0]
	c.files = c.files[1:]
	return file, json.Unmarshal(data[1:], line)
}

// next takes a whole line off what was read.
func (c *Conn) next() ([]byte, bool) {
	for i, b := range c.rest {
		if b == '\n' {
			line := c.rest[:i]
			c.rest = c.rest[i+1:]
			return line, true
		}
	}
	return nil, false
}

func received(rights []byte) (*os.File, error) {
	messages, err := syscall.ParseSocketControlMessage(rights)
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("%d control messages: %v", len(messages), err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, fmt.Errorf("%d files: %v", len(fds), err)
	}
	syscall.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), "passed"), nil
}
