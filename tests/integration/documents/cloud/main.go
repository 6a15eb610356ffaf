// Command cloud stands in for what the documents' commands meet on AWS and
// nowhere else. It runs on a test host and is never installed. By the name it
// is started under it is
//
//	aws     the AWS CLI: operations of IAM and STS go to the emulator, a few
//	        others are carried out on the host, and all the rest are held
//	        against the list in operations.go
//	curl    what fetches the package, from a folder
//	dnf     what installs an rpm; it installs the deb of the same name
//	cloud   S3 and Systems Manager's parameter store, in memory; with "down"
//	        or "up" and an emulator's address it makes and ends an outage there
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Folder is where the packages are, under the names they have in documents.
const folder = "/srv/packages"

func main() {
	var err error
	switch args := os.Args[1:]; filepath.Base(os.Args[0]) {
	case "aws":
		err = cli(context.Background(), args)
	case "curl":
		err = fetch(args)
	case "dnf":
		err = install(args)
	default:
		err = serve(args)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			os.Exit(exit.ExitCode())
		}
		os.Exit(252) // the AWS CLI's status for a wrong command line
	}
}

// serve listens on the address given until it is killed.
func serve(args []string) error {
	if len(args) == 2 && (args[0] == "down" || args[0] == "up") {
		return outage(args[0] == "down", args[1])
	}
	if len(args) != 1 {
		return errors.New("give an address to listen on")
	}
	listener, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	return http.Serve(listener, services())
}

// outage has the emulator cut every connection, or go on as before.
func outage(begins bool, address string) error {
	faults := "[]"
	if begins {
		faults = `[{"kind": "reset", "times": -1}]`
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPut, "http://"+address+"/admin/faults",
		strings.NewReader(faults))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s", response.Status)
	}
	return nil
}

// fetch is "curl … -o FILE URL".
func fetch(args []string) error {
	var output, url string
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "-o" && i+1 < len(args):
			i++
			output = args[i]
		case strings.HasPrefix(args[i], "-"):
		default:
			url = args[i]
		}
	}
	name, ok := strings.CutPrefix(url, "https://packages.example.com/")
	if !ok || output == "" || !filepath.IsLocal(name) {
		return fmt.Errorf("cannot fetch %q to %q", url, output)
	}
	return exec.Command("cp", filepath.Join(folder, name), output).Run()
}

// install is "dnf install -y FILE.rpm", on a host that has no rpm.
func install(args []string) error {
	if len(args) != 3 || args[0] != "install" || args[1] != "-y" || !strings.HasSuffix(args[2], ".rpm") {
		return fmt.Errorf("wrong arguments %q", args)
	}
	if _, err := os.Stat(args[2]); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(folder, "*.deb"))
	if err != nil {
		return err
	}
	cmd := exec.Command("dpkg", append([]string{"--force-confold", "-i"}, debs...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
