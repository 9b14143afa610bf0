package main

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the commands print into docs/cli.md")

// What the page shows are 127.0.0.1:38881 and 38882, and a file in /tmp.
const (
	page         = "../../docs/cli.md"
	pageRegistry = "bolt:///tmp/shop.db"
	pageFirst    = "127.0.0.1:38881"
	pageSecond   = "127.0.0.1:38882"
)

// consoles are the blocks of a page that show commands and what they print.
var consoles = regexp.MustCompile("(?s)```console\n(.*?)```\n")

// numbers differ from run to run, and so do the widths of the columns they are in.
var numbers = regexp.MustCompile(`[0-9][0-9,.]*(µs|ms|s|m|h|d|%)?([0-9]+(s|m))?`)

// TestThePage runs every command of docs/cli.md, in order, and compares what it
// prints, but for numbers.
func TestThePage(t *testing.T) {
	before, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	run := newPageRun(t)
	after := consoles.ReplaceAllStringFunc(string(before), func(block string) string {
		body := consoles.FindStringSubmatch(block)[1]
		fresh := run.block(body)
		if *update {
			return "```console\n" + fresh + "```\n"
		}
		if got, want := blur(fresh), blur(body); got != want {
			t.Errorf("docs/cli.md is not what the commands print; go test ./cmd/sinew -run ThePage -update writes it.\ngot:\n%s\nwant:\n%s", fresh, body)
		}
		return block
	})
	if *update {
		if err := os.WriteFile(page, []byte(after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// blur leaves out what differs from run to run: numbers and widths, the bars of a
// histogram, and the progress of what took more than a second.
func blur(text string) string {
	text = regexp.MustCompile(`(?m)^(up to |[0-9]+s( of [^ ]+)?  ).*\n`).ReplaceAllString(text, "")
	text = numbers.ReplaceAllString(text, "N")
	return regexp.MustCompile(`[ ]+`).ReplaceAllString(text, " ")
}

// pageRun is the page's world: two providers.
type pageRun struct {
	t         *testing.T
	env       []string
	providers []*provider
	toPage    *strings.Replacer
	fromPage  *strings.Replacer
}

func newPageRun(t *testing.T) *pageRun {
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	registry := "bolt://" + filepath.Join(t.TempDir(), "shop.db")
	env := append(cleanEnv(), "SINEW_REGISTRY="+registry, "PATH="+filepath.Dir(path)+":"+os.Getenv("PATH"))
	alike := setup{Registry: registry, App: "shop", Version: "v1.2", Tags: map[string]string{"idc": "lf"}, Orders: true}
	providers := []*provider{startProvider(t, alike), startProvider(t, alike)}
	// In the order in which they are listed.
	slices.SortFunc(providers, func(a, b *provider) int { return strings.Compare(a.addr, b.addr) })
	awaitListed(t, []string{"SINEW_REGISTRY=" + registry}, "shop", 2)
	return &pageRun{
		t: t, env: env, providers: providers,
		toPage:   strings.NewReplacer(registry, pageRegistry, providers[0].addr, pageFirst, providers[1].addr, pageSecond),
		fromPage: strings.NewReplacer(pageFirst, providers[0].addr, pageSecond, providers[1].addr),
	}
}

// block runs the commands of one block.
func (r *pageRun) block(body string) string {
	var fresh strings.Builder
	for _, line := range strings.Split(body, "\n") {
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			continue
		}
		cmd := exec.Command("sh", "-c", r.fromPage.Replace(command))
		cmd.Env = r.env
		out, _ := cmd.CombinedOutput() // some show how an error looks
		fresh.WriteString(line + "\n" + r.toPage.Replace(string(out)))
		if strings.Contains(command, " drain ") {
			if err := r.providers[0].awaitEnd(); err != nil {
				r.t.Errorf("the provider that was told to drain ended with %v", err)
			}
		}
	}
	return fresh.String()
}
