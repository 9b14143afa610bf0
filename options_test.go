package sinew_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sinew-rpc/sinew/client"
	"github.com/sinew-rpc/sinew/gateway"
	"github.com/sinew-rpc/sinew/protocol"
	"github.com/sinew-rpc/sinew/server"
	"github.com/sinew-rpc/sinew/transport"
)

var updateOptions = flag.Bool("update", false, "write the tables of docs/options.md as the source has it")

const optionsPage = "docs/options.md"

// optionTables are the structs that docs/options.md has a table of, and where.
var optionTables = map[string]string{
	"client.Option":           "client/option.go",
	"client.SGOption":         "client/sgoption.go",
	"server.Option":           "server/option.go",
	"gateway.Option":          "gateway/option.go",
	"gateway.ServerOption":    "gateway/server.go",
	"registry.RegisterOption": "registry/registry.go",
	"libkv.Option":            "registry/libkv/option.go",
}

// tables are the places of the page for them.
var tables = regexp.MustCompile(`(?s)<!-- ([a-zA-Z.]+) -->\n(.*?)<!-- end -->`)

// TestOptions holds that the tables of docs/options.md say what the comments in
// the source say, of every option.
func TestOptions(t *testing.T) {
	before := page(t, optionsPage)
	var found []string
	after := tables.ReplaceAllStringFunc(before, func(place string) string {
		name := tables.FindStringSubmatch(place)[1]
		found = append(found, name)
		file, ok := optionTables[name]
		if !ok {
			t.Errorf("%s has a table of %s, which is not known here", optionsPage, name)
			return place
		}
		_, typ, _ := strings.Cut(name, ".")
		return "<!-- " + name + " -->\n" + optionTable(t, file, typ) + "<!-- end -->"
	})
	if len(found) != len(optionTables) {
		t.Errorf("%s has tables of %v, and not of all of %v", optionsPage, found, optionTables)
	}
	if *updateOptions {
		if err := os.WriteFile(optionsPage, []byte(after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if after != before {
		t.Errorf("%s is not what the source says: go test -run TestOptions -update writes it", optionsPage)
	}
}

// TestOptionsAreWhatTheySay holds the defaults that the page names against the
// constants that the code uses.
func TestOptionsAreWhatTheySay(t *testing.T) {
	text := page(t, optionsPage)
	for _, o := range []struct {
		table, field string
		value        any
	}{
		{"client.Option", "RequestTimeout", client.DefaultRequestTimeout},
		{"client.Option", "DialTimeout", client.DefaultDialTimeout},
		{"client.Option", "WriteTimeout", transport.DefaultWriteTimeout},
		{"client.Option", "FrameTimeout", transport.DefaultFrameTimeout},
		{"client.Option", "HeartbeatInterval", client.DefaultHeartbeatInterval},
		{"client.Option", "HeartbeatDegradeThreshold", client.DefaultHeartbeatDegradeThreshold},
		{"client.Option", "CompressThreshold", size(client.DefaultCompressThreshold)},
		{"client.Option", "MaxMessageSize", size(protocol.DefaultMaxMessageSize)},
		{"client.Option", "MaxQueued", size(transport.DefaultMaxQueued)},
		{"client.Option", "MaxRequestsInFlight", client.DefaultMaxRequestsInFlight},
		{"client.Option", "MaxBytesInFlight", size(client.DefaultMaxBytesInFlight)},
		{"client.SGOption", "Retries", client.DefaultRetries},
		{"client.SGOption", "RetryBackoff", client.DefaultRetryBackoff},
		{"client.SGOption", "RetryBackoffMax", client.DefaultRetryBackoffMax},
		{"client.SGOption", "RetryBudget", client.DefaultRetryBudget},
		{"client.SGOption", "RetryBudgetMin", client.DefaultRetryBudgetMin},
		{"client.SGOption", "CircuitBreakerWindow", client.DefaultCircuitBreakerWindow},
		{"server.Option", "CompressThreshold", size(server.DefaultCompressThreshold)},
		{"server.Option", "ShutDownWait", server.DefaultShutDownWait},
		{"server.Option", "HandshakeTimeout", server.DefaultHandshakeTimeout},
		{"server.Option", "FrameTimeout", transport.DefaultFrameTimeout},
		{"server.Option", "WriteTimeout", transport.DefaultWriteTimeout},
		{"server.Option", "RequestTimeout", server.DefaultRequestTimeout},
		{"server.Option", "MaxMessageSize", size(protocol.DefaultMaxMessageSize)},
		{"server.Option", "MaxConnections", server.DefaultMaxConnections},
		{"server.Option", "MaxRequestsInFlight", server.DefaultMaxRequestsInFlight},
		{"server.Option", "MaxBytesInFlight", size(server.DefaultMaxBytesInFlight)},
		{"gateway.Option", "RequestTimeout", gateway.DefaultRequestTimeout},
		{"gateway.Option", "MaxMessageSize", size(protocol.DefaultMaxMessageSize)},
		{"gateway.Option", "MaxBytesInFlight", size(gateway.DefaultMaxBytesInFlight)},
		{"gateway.Option", "CompressMin", size(gateway.DefaultCompressMin)},
		{"gateway.ServerOption", "ReadHeaderTimeout", gateway.DefaultReadHeaderTimeout},
		{"gateway.ServerOption", "ReadTimeout", gateway.DefaultReadTimeout},
		{"gateway.ServerOption", "WriteTimeout", gateway.DefaultWriteTimeout},
		{"gateway.ServerOption", "IdleTimeout", gateway.DefaultIdleTimeout},
		{"gateway.ServerOption", "MaxHeaderBytes", size(gateway.DefaultMaxHeaderBytes)},
		{"gateway.ServerOption", "ShutDownWait", gateway.DefaultShutDownWait},
	} {
		_, table, _ := strings.Cut(text, "<!-- "+o.table+" -->")
		table, _, _ = strings.Cut(table, "<!-- end -->")
		row := regexp.MustCompile("(?m)^\\| `" + o.field + "` .*$").FindString(table)
		cells := strings.Split(row, " | ")
		if want := inWords(o.value); len(cells) < 3 || !strings.HasPrefix(strings.ReplaceAll(cells[2], ",", ""), want) {
			t.Errorf("%s.%s: the default is %s, and the page says %q", o.table, o.field, want, row)
		}
	}
}

// size is a number of bytes.
type size int

// inWords is how comments write a default, without commas.
func inWords(v any) string {
	switch v := v.(type) {
	case time.Duration:
		switch {
		case v%time.Minute == 0:
			return fmt.Sprintf("%d min", v/time.Minute)
		case v >= time.Second:
			return fmt.Sprintf("%d s", v/time.Second)
		}
		return fmt.Sprintf("%d ms", v/time.Millisecond)
	case size:
		if v >= 1<<20 {
			return fmt.Sprintf("%d MiB", v>>20)
		}
		return fmt.Sprintf("%d KiB", v>>10)
	}
	return fmt.Sprint(v)
}

// optionTable is the table of one struct.
func optionTable(t *testing.T, file, typ string) string {
	t.Helper()
	fields := optionFields(t, file, typ)
	if len(fields) < 4 {
		t.Fatalf("%d fields of %s in %s", len(fields), typ, file)
	}
	var b strings.Builder
	b.WriteString("| option | type | default | what it is |\n|---|---|---|---|\n")
	for _, f := range fields {
		byDefault, rest := splitDefault(f.doc)
		if byDefault == "" {
			byDefault = zeroOf(f.typ)
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", f.name, f.typ, asText.Replace(byDefault), asText.Replace(rest))
	}
	return b.String()
}

// optionField is one field of a struct of options.
type optionField struct{ name, typ, doc string }

// optionFields reads the exported fields of a struct, with their comments.
func optionFields(t *testing.T, file, typ string) (fields []optionField) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != typ {
			return true
		}
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			doc := strings.Join(strings.Fields(f.Doc.Text()), " ")
			if len(f.Names) > 0 && doc == "" {
				t.Errorf("%s: %s.%s has no comment", file, typ, f.Names[0].Name)
			}
			for _, name := range f.Names {
				fields = append(fields, optionField{name.Name, types.ExprString(f.Type), doc})
			}
		}
		return false
	})
	return fields
}

var (
	// defaultSentence is the one that names the default.
	defaultSentence = regexp.MustCompile(`(?:^|\. )((?:The default|Default )[^.]*(?:\.[^ .][^.]*)*)\.(?: |$)`)
	defaultWords    = regexp.MustCompile(`^(?:The default(, [^,]*,)? |Default )`)
)

// splitDefault takes the sentence about the default out of a comment.
func splitDefault(doc string) (byDefault, rest string) {
	at := defaultSentence.FindStringSubmatchIndex(doc)
	if at == nil {
		return "", doc
	}
	byDefault = defaultWords.ReplaceAllString(doc[at[2]:at[3]], "")
	aside := defaultWords.FindStringSubmatch(doc[at[2]:at[3]])[1]
	byDefault = strings.TrimPrefix(byDefault, "is ")
	switch aside = strings.Trim(aside, ", "); aside {
	case "":
	case "nil", "none":
		byDefault = aside + ": " + byDefault
	default:
		byDefault += " (" + aside + ")"
	}
	rest = strings.TrimSpace(doc[:at[2]]) + " " + strings.TrimSpace(doc[at[3]+1:])
	return byDefault, strings.TrimSpace(rest)
}

// asText keeps what a comment says from being taken for Markdown.
var asText = strings.NewReplacer("<", "&lt;", "|", "\\|", "*", "\\*", "[", "\\[")

// zeroOf is the default of a field whose comment names none: its zero.
func zeroOf(typ string) string {
	switch {
	case typ == "bool":
		return "false"
	case typ == "string":
		return "empty"
	case strings.HasPrefix(typ, "protocol."), typ == "registry.RegisterOption":
		return "its zero"
	}
	return "none"
}
