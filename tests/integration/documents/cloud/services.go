package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// Parameters of the parameter store are files, so that the aws of the next
// command finds what the one before has put.
const parameters = "/run/cloud/parameters"

func services() http.Handler {
	s3 := gofakes3.New(s3mem.New(), gofakes3.WithAutoBucket(true)).Server()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Target") == "AmazonSSM.GetParameter" {
			parameter(w, r)
			return
		}
		s3.ServeHTTP(w, r)
	})
}

func parameter(w http.ResponseWriter, r *http.Request) {
	var asked struct{ Name string }
	err := json.NewDecoder(r.Body).Decode(&asked)
	var value []byte
	if err == nil && strings.Contains(asked.Name, "/") && asked.Name[0] != '/' {
		err = errors.New("a name with a slash begins with one")
	}
	if err == nil {
		value, err = os.ReadFile(parameterFile(asked.Name))
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"__type":"ParameterNotFound"}`)
		return
	}
	answer := map[string]any{"Parameter": map[string]any{"Name": asked.Name, "Type": "SecureString",
		"Value": string(value)}}
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		fmt.Fprintln(os.Stderr, "cloud:", err)
	}
}

func parameterFile(name string) string {
	return filepath.Join(parameters, strings.ReplaceAll(name, "/", "_"))
}
