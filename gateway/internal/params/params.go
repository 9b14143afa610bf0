// Package params collects what a request says beside a body in JSON: the parts of
// its path that a pattern names, its query and its form.
package params

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// Collect returns the values of the request by name: those of the path before
// those of form, these before those of the query. Names that differ in case alone
// are one. names are the path's; form may be nil.
func Collect(r *http.Request, names []string, form url.Values) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	path := make(url.Values, len(names))
	for _, name := range names {
		path[name] = []string{r.PathValue(name)}
	}
	all := make(url.Values, len(path)+len(form)+len(query))
	met := make(map[string]bool, len(path)+len(form)+len(query))
	for _, layer := range []url.Values{path, form, query} {
		for name, values := range layer {
			if !met[Fold(name)] {
				all[name] = values
			}
		}
		for name := range layer {
			met[Fold(name)] = true
		}
	}
	return all, nil
}

// Fold returns what is the same for names that encoding/json takes for one field.
func Fold(name string) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r { // the least of its kind comes after the greatest
				return next
			}
			r = next
		}
	}, name)
}

// Names returns the wildcards of a pattern of http.ServeMux: of "GET
// /orders/{id}/{rest...}" it is id and rest.
func Names(pattern string) []string {
	var names []string
	for {
		_, after, found := strings.Cut(pattern, "{")
		name, rest, closed := strings.Cut(after, "}")
		if !found || !closed {
			return names
		}
		if name = strings.TrimSuffix(name, "..."); name != "" && name != "$" {
			names = append(names, name)
		}
		pattern = rest
	}
}

// IsForm tells whether the content type is one of a form's.
func IsForm(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && (kind == formURLEncoded || kind == formMultipart)
}

const (
	formURLEncoded = "application/x-www-form-urlencoded"
	formMultipart  = "multipart/form-data"
)

// maxParts bounds the parts of a form, as net/url does the fields of the other kind.
const maxParts = 10_000

var errManyParts = errors.New("it has more than " + strconv.Itoa(maxParts) + " parts")

// Form reads the fields of a form, which contentType says body is, and which has at
// most 10,000 of them. Files in it are passed over.
func Form(contentType string, body []byte) (url.Values, error) {
	kind, options, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, err
	}
	if kind == formURLEncoded {
		return url.ParseQuery(string(body))
	}
	form := make(url.Values)
	reader := multipart.NewReader(bytes.NewReader(body), options["boundary"])
	for parts := 0; ; parts++ {
		part, err := reader.NextPart()
		switch {
		case err == io.EOF:
			return form, nil
		case err != nil:
			return nil, err
		case parts == maxParts:
			return nil, errManyParts
		}
		if part.FormName() == "" || part.FileName() != "" {
			continue
		}
		value, err := io.ReadAll(part) // no more than body holds
		if err != nil {
			return nil, err
		}
		form.Add(part.FormName(), string(value))
	}
}
