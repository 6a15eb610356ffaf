package main

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// An output is standard output. A reader who closes a pipe early, as head does, has what
// it wanted: the rest is dropped, and what the command does goes on to its end.
type output struct {
	under  io.Writer
	pipes  chan os.Signal
	failed error
	closed bool
}

// newOutput keeps SIGPIPE from ending the program in the middle of its work.
func newOutput(w io.Writer) *output {
	o := &output{under: w, pipes: make(chan os.Signal, 1)}
	signal.Notify(o.pipes, syscall.SIGPIPE)
	return o
}

func (o *output) close() { signal.Stop(o.pipes) }

// Terminal is where it writes to, for package terminal.
func (o *output) Terminal() io.Writer { return o.under }

func (o *output) Write(p []byte) (int, error) {
	if o.closed || o.failed != nil {
		return len(p), nil
	}
	_, err := o.under.Write(p)
	switch {
	case errors.Is(err, syscall.EPIPE):
		o.closed = true
	case err != nil:
		o.failed = err
	}
	return len(p), nil
}

// fault is why somebody who still reads did not get everything.
func (o *output) fault() error { return o.failed }
