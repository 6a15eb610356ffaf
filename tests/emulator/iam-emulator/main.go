// Command iam-emulator serves an AWS account of its own for tests and the
// demo: see package emulator. It prints the address that it listens
// on, and runs until it is told to stop. It is not installed anywhere.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nss-iam/nss-iam/tests/emulator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "iam-emulator:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("iam-emulator", flag.ContinueOnError)
	var o emulator.Options
	var size emulator.Size
	var instance emulator.Instance
	var role emulator.Role
	flags.StringVar(&o.Listen, "listen", "127.0.0.1:0", "`address` to listen on")
	seedFile := flags.String("company", "", "seed `file`: TOML, or JSON if its name ends in .json")
	storeFile := flags.String("store", "", "seed `file` of the Identity Store: TOML, or JSON if its name ends in .json")
	flags.IntVar(&size.Users, "users", 0, "generate so many users")
	flags.IntVar(&size.Keys, "keys", 2, "keys of each generated user")
	flags.IntVar(&size.Groups, "groups", 0, "generated groups besides \"everyone\"")
	flags.Uint64Var(&o.Seed, "seed", 1, "of everything that looks random")
	flags.TextVar(&o.Settings.Latency, "latency", emulator.Duration(0), "`time` that every answer takes")
	flags.Float64Var(&o.Settings.Rate, "rate", 0, "calls a second that the account allows; 0 for no limit")
	flags.IntVar(&o.Settings.Burst, "burst", 0, "calls that it allows at once")
	flags.IntVar(&o.Settings.PageSize, "page-size", 0, "items on a page at most")
	flags.StringVar(&instance.Role, "instance-role", "", "`name` of the instance profile's role in the metadata service")
	flags.StringVar(&role.ARN, "role", "", "`ARN` of a role that can be assumed")
	flags.StringVar(&role.ExternalID, "external-id", "", "external `id` of that role")
	verbose := flags.Bool("v", false, "log every call to standard error")
	addressFile := flags.String("address-file", "", "write the URL to this `file` as well")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	o.Instance = instance
	if role.ARN != "" {
		o.Roles = append(o.Roles, role)
	}
	if *verbose {
		o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	size.Seed = o.Seed
	var err error
	switch {
	case *seedFile != "" && size.Users > 0:
		return errors.New("give -company or -users, not both")
	case *seedFile != "":
		o.Company, err = emulator.ReadCompany(*seedFile)
	case size.Users > 0:
		o.Company = emulator.Generate(size)
	}
	if err != nil {
		return err
	}
	if *storeFile != "" {
		if o.Store, err = emulator.ReadIdentityStore(*storeFile); err != nil {
			return err
		}
	}
	e, err := emulator.Start(o)
	if err != nil {
		return err
	}
	if *addressFile != "" {
		// Renamed into place, so that a process that waits for the file never reads half of it.
		if err := os.WriteFile(*addressFile+".tmp", []byte(e.URL+"\n"), 0o644); err != nil {
			return err
		}
		if err := os.Rename(*addressFile+".tmp", *addressFile); err != nil {
			return err
		}
	}
	fmt.Println(e.URL)
	<-ctx.Done()
	shutdown, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return e.Shutdown(shutdown)
}
