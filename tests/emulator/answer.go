package emulator

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// An apiError is an error as AWS answers it.
type apiError struct{ code, message string }

func (e *apiError) Error() string { return e.code + ": " + e.message }

func failure(code, format string, args ...any) error {
	return &apiError{code, fmt.Sprintf(format, args...)}
}

var statusOf = map[string]int{
	"NoSuchEntity":                http.StatusNotFound,
	"EntityAlreadyExists":         http.StatusConflict,
	"DeleteConflict":              http.StatusConflict,
	"LimitExceeded":               http.StatusConflict,
	"ServiceFailure":              http.StatusInternalServerError,
	"AccessDenied":                http.StatusForbidden,
	"UnauthorizedOperation":       http.StatusForbidden,
	"InvalidClientTokenId":        http.StatusForbidden,
	"ExpiredToken":                http.StatusForbidden,
	"MissingAuthenticationToken":  http.StatusForbidden,
	"ConcurrentModification":      http.StatusConflict,
	"RequestEntityTooLarge":       http.StatusRequestEntityTooLarge,
	"MethodNotAllowed":            http.StatusMethodNotAllowed,
	"ServiceUnavailableException": http.StatusServiceUnavailable,
}

func asAPIError(err error) (*apiError, int) {
	var known *apiError
	if !errors.As(err, &known) {
		known = &apiError{"ServiceFailure", err.Error()}
	}
	status := statusOf[known.code]
	if status == 0 {
		status = http.StatusBadRequest
	}
	return known, status
}

// A document is XML under construction.
type document struct{ bytes.Buffer }

func (d *document) open(names ...string) {
	for _, name := range names {
		d.WriteByte('<')
		d.WriteString(name)
		d.WriteByte('>')
	}
}

func (d *document) close(names ...string) {
	for _, name := range names {
		d.WriteString("</")
		d.WriteString(name)
		d.WriteByte('>')
	}
}

func (d *document) text(name, value string) {
	d.open(name)
	xml.EscapeText(d, []byte(value)) // a bytes.Buffer takes everything
	d.close(name)
}

func (d *document) time(name string, t time.Time) { d.text(name, t.UTC().Format(time.RFC3339)) }

const (
	iamNamespace = "https://iam.amazonaws.com/doc/2010-05-08/"
	stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"
	ec2Namespace = "http://ec2.amazonaws.com/doc/2016-11-15/"
)

// answerXML wraps what an action wrote as its result.
func answerXML(service, action, requestID, result string) []byte {
	var d document
	if service == "ec2" {
		fmt.Fprintf(&d, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<%sResponse xmlns="%s">`, action, ec2Namespace)
		d.text("requestId", requestID)
		d.WriteString(result)
		d.close(action + "Response")
		return d.Bytes()
	}
	namespace := iamNamespace
	if service == "sts" {
		namespace = stsNamespace
	}
	fmt.Fprintf(&d, `<%sResponse xmlns="%s">`+"\n", action, namespace)
	if result != "" || !strings.HasPrefix(action, "Delete") {
		d.open(action + "Result")
		d.WriteString(result)
		d.close(action + "Result")
	}
	d.open("ResponseMetadata")
	d.text("RequestId", requestID)
	d.close("ResponseMetadata", action+"Response")
	d.WriteByte('\n')
	return d.Bytes()
}

func errorXML(service, requestID string, err *apiError, status int) []byte {
	var d document
	if service == "ec2" {
		d.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
		d.open("Response", "Errors", "Error")
		d.text("Code", err.code)
		d.text("Message", err.message)
		d.close("Error", "Errors")
		d.text("RequestID", requestID)
		d.close("Response")
		return d.Bytes()
	}
	namespace := iamNamespace
	if service == "sts" {
		namespace = stsNamespace
	}
	fmt.Fprintf(&d, `<ErrorResponse xmlns="%s">`+"\n", namespace)
	d.open("Error")
	kind := "Sender"
	if status >= 500 {
		kind = "Receiver"
	}
	d.text("Type", kind)
	d.text("Code", err.code)
	d.text("Message", err.message)
	d.close("Error")
	d.text("RequestId", requestID)
	d.close("ErrorResponse")
	return d.Bytes()
}
