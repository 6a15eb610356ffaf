package main

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/jsondoc"
)

// An output is standard output. A reader who closes a pipe early, as head does, has what
// it wanted: the rest is dropped, and what the command does goes on to its end.
type output struct {
	under  io.Writer
	pipes  chan os.Signal
	failed error
	closed bool
	found  any // for the JSON document that ends the command
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

// printJSON keeps what a command found for the one document that it prints: an error that
// comes after it belongs in there.
func printJSON(w io.Writer, found any) error {
	o, ok := w.(*output)
	if !ok {
		return jsondoc.Write(w, "", found, nil)
	}
	o.found = found
	return nil
}

// jsonError is why a command failed, for scripts.
func jsonError(err error, status int) *jsondoc.Error {
	if err == nil || errors.Is(err, errNo) {
		return nil
	}
	e := &jsondoc.Error{Message: err.Error(), ExitStatus: status}
	var faulty config.Errors
	if errors.As(err, &faulty) {
		for _, f := range faulty {
			e.Faults = append(e.Faults, jsondoc.Fault{File: f.File, Line: f.Line, Column: f.Column, Key: f.Key,
				Problem: f.Problem, Remedy: f.Remedy})
		}
	}
	return e
}

// fault is why somebody who still reads did not get everything.
func (o *output) fault() error { return o.failed }
