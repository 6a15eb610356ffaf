package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// cli is one run of the AWS CLI.
func cli(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errors.New("a service and an operation are missing")
	}
	name := args[0] + " " + args[1]
	op, known := operations[name]
	if !known {
		return fmt.Errorf("no operation %q; if AWS has it, add it to operations.go", name)
	}
	given, err := options(op, args[2:])
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	switch {
	case op.action != "":
		return ask(ctx, op, given)
	case op.run != nil:
		return op.run(given)
	}
	if query := strings.Join(given["--query"], ""); query != "" {
		answer, ok := op.answers[strings.ReplaceAll(query, "`", "'")]
		if !ok {
			return fmt.Errorf("%s: no answer to %q", name, query)
		}
		fmt.Println(answer)
	}
	return nil
}

// options reads "--name word…"; words before the first name are under "".
func options(op operation, args []string) (map[string][]string, error) {
	given := make(map[string][]string)
	current := ""
	for _, arg := range args {
		if strings.HasPrefix(arg, "--") {
			current = arg
			if op.options[current] == "" && common[current] == "" {
				return nil, fmt.Errorf("unknown option %q", current)
			}
			given[current] = []string{}
			continue
		}
		if op.options[current] == "" && common[current] == "" || op.options[current] == flag {
			return nil, fmt.Errorf("unknown word %q", arg)
		}
		given[current] = append(given[current], arg)
	}
	for _, name := range op.needs {
		if len(given[name]) == 0 {
			return nil, fmt.Errorf("option %q is missing", name)
		}
	}
	for name, words := range given {
		if op.options[name] != flag && len(words) == 0 {
			return nil, fmt.Errorf("option %q has no value", name)
		}
		if op.options[name] == file {
			if _, err := os.Stat(strings.TrimPrefix(words[0], "file://")); err != nil {
				return nil, err
			}
		}
	}
	return given, nil
}

// ask sends the operation to the emulator and prints its answer: the XML, or
// with --query the texts of the elements of the name that the query ends in.
func ask(ctx context.Context, op operation, given map[string][]string) error {
	form := url.Values{"Action": {op.action}, "Version": {"2010-05-08"}}
	for name, words := range given {
		switch parameter := op.options[name]; parameter {
		case "":
		case "Tags":
			for i, word := range words {
				key, val, ok := strings.Cut(strings.TrimPrefix(word, "Key="), ",Value=")
				if !ok {
					return fmt.Errorf("tag %q is not Key=…,Value=…", word)
				}
				form.Set(fmt.Sprintf("Tags.member.%d.Key", i+1), key)
				form.Set(fmt.Sprintf("Tags.member.%d.Value", i+1), val)
			}
		case "TagKeys":
			for i, word := range words {
				form.Set(fmt.Sprintf("TagKeys.member.%d", i+1), word)
			}
		default:
			if len(words) != 1 {
				return fmt.Errorf("option %q has %d values", name, len(words))
			}
			form.Set(parameter, words[0])
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, os.Getenv("AWS_ENDPOINT_URL_IAM"),
		strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Authorization",
		"AWS4-HMAC-SHA256 Credential=AKIAEMULATOREXAMPLE1/20261122/us-east-1/iam/aws4_request, SignedHeaders=host, "+
			"Signature=0")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", op.action, answer)
	}
	query := given["--query"]
	if len(query) == 0 {
		fmt.Printf("%s\n", answer)
		return nil
	}
	element := regexp.MustCompile(`[A-Za-z]+$`).FindString(query[0])
	var texts []string
	for _, match := range regexp.MustCompile("<"+element+">([^<]*)</"+element+">").FindAllSubmatch(answer, -1) {
		texts = append(texts, string(match[1]))
	}
	if len(texts) == 0 {
		return fmt.Errorf("nothing of %q in %s", query[0], answer)
	}
	fmt.Println(strings.Join(texts, "\t"))
	return nil
}

// firstBoot does on this host what cloud-init does on a new instance with user
// data that begin with "#!": it runs them as root.
func firstBoot(given map[string][]string) error {
	data := given["--user-data"]
	if len(data) == 0 {
		return errors.New("no --user-data")
	}
	name := strings.TrimPrefix(data[0], "file://")
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(text), "#!") || len(text) > 16<<10 {
		return fmt.Errorf("%q is no script of at most 16 KiB", name)
	}
	script := "/run/cloud/user-data"
	if err := os.WriteFile(script, text, 0o700); err != nil {
		return err
	}
	cmd := exec.Command(script)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

func putParameter(given map[string][]string) error {
	text := given["--value"][0]
	if name, ok := strings.CutPrefix(text, "file://"); ok {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		text = string(content)
	}
	if err := os.MkdirAll(parameters, 0o700); err != nil {
		return err
	}
	return os.WriteFile(parameterFile(given["--name"][0]), []byte(text), 0o600)
}
