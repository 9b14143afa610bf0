package sinew_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	fence     = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	shown     = regexp.MustCompile("(?ms)^```go\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?")
	linkTo    = regexp.MustCompile(`\]\(([^):]+)\)`)
	heading   = regexp.MustCompile(`(?m)^(#+) (.*)$`)
	unslugged = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// pages are the README, in both languages, and everything in docs.
func pages(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{"README.md", "README.zh-CN.md"}, names...)
}

func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPagesCode builds every Go program of the pages in a module of its own, as
// their readers do, runs the tests among them, and runs those whose output a page
// shows behind them.
func TestPagesCode(t *testing.T) {
	dir := t.TempDir()
	writeModule(t, dir)
	outputs := make(map[string]string) // by the program's folder
	test := []string{"test", "-count=1"}
	for _, name := range pages(t) {
		if name == "README.zh-CN.md" {
			continue // its code is README.md's: see TestTheReadmesAgree
		}
		base := strings.ToLower(strings.TrimSuffix(filepath.Base(name), ".md"))
		for i, block := range shown.FindAllStringSubmatch(page(t, name), -1) {
			folder, file := base+strconv.Itoa(i+1), "main.go"
			switch {
			case !strings.HasPrefix(block[1], "package "):
				t.Errorf("%s: the Go code number %d is no whole file", name, i+1)
				continue
			case !strings.HasPrefix(block[1], "package main\n"):
				file = "block_test.go"
				test = append(test, "./"+folder)
			}
			write(t, filepath.Join(dir, folder, file), block[1])
			if block[2] != "" {
				outputs[folder] = block[2]
			}
		}
	}
	if len(outputs) < 8 {
		t.Fatalf("%d programs whose output is shown: the pattern sees them no more", len(outputs))
	}
	goCommand(t, dir, "vet", "./...")
	goCommand(t, dir, test...)
	runAll(t, dir, outputs)
}

// runAll builds the programs and holds what they print against outputs.
func runAll(t *testing.T, dir string, outputs map[string]string) {
	t.Helper()
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o777); err != nil {
		t.Fatal(err)
	}
	build := []string{"build", "-ldflags=-w", "-o", bin} // without what debuggers read: linked sooner
	for folder := range outputs {
		build = append(build, "./"+folder)
	}
	goCommand(t, dir, build...)
	for folder, want := range outputs {
		t.Run(folder, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), filepath.Join(bin, folder)).Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if string(out) != want {
				t.Errorf("it prints\n%s\nand the page shows\n%s", out, want)
			}
		})
	}
}

// TestPagesLinks holds that what the pages point to is there: files, and headings
// within pages.
func TestPagesLinks(t *testing.T) {
	var count int
	for _, name := range pages(t) {
		prose := fence.ReplaceAllString(page(t, name), "")
		for _, link := range linkTo.FindAllStringSubmatch(prose, -1) {
			count++
			path, anchor, _ := strings.Cut(link[1], "#")
			target := name
			if path != "" {
				target = filepath.Join(filepath.Dir(name), filepath.FromSlash(path))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", name, link[1], err)
			} else if anchor != "" && !slices.Contains(slugs(page(t, target)), anchor) {
				t.Errorf("%s links to %s: there is no such heading", name, link[1])
			}
		}
	}
	if count < 40 {
		t.Fatalf("%d links: the pattern sees them no more", count)
	}
}

// slugs are the anchors of a page's headings, as GitHub makes them.
func slugs(text string) (all []string) {
	for _, h := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		slug := unslugged.ReplaceAllString(strings.ToLower(h[2]), "")
		all = append(all, strings.ReplaceAll(slug, " ", "-"))
	}
	return all
}

// TestTheReadmesAgree holds that both languages have the same sections, code,
// tables, lists and links, so that a change of one alone is seen.
func TestTheReadmesAgree(t *testing.T) {
	english, chinese := skeleton(page(t, "README.md")), skeleton(page(t, "README.zh-CN.md"))
	for i := range max(len(english), len(chinese)) {
		var en, zh string
		if i < len(english) {
			en = english[i]
		}
		if i < len(chinese) {
			zh = chinese[i]
		}
		if en != zh {
			t.Fatalf("the READMEs part at element %d.\nREADME.md:\n%s\nREADME.zh-CN.md:\n%s", i+1, en, zh)
		}
	}
	if len(english) < 40 {
		t.Fatalf("%d elements of a README: the patterns see them no more", len(english))
	}
}

// skeleton is what a page has whatever its language: the levels of its headings,
// code, rows of tables with what stands in backticks first, items of lists; and
// section by section where its links go.
func skeleton(text string) (parts []string) {
	var links []string
	endSection := func() {
		slices.Sort(links)
		parts = append(parts, "links: "+strings.Join(links, " "))
		links = nil
	}
	rest := text
	for rest != "" {
		if at := fence.FindStringIndex(rest); at != nil && at[0] == 0 {
			parts = append(parts, rest[:at[1]])
			rest = strings.TrimPrefix(rest[at[1]:], "\n")
			continue
		}
		line, more, _ := strings.Cut(rest, "\n")
		rest = more
		if h := heading.FindStringSubmatch(line); h != nil {
			endSection()
			parts = append(parts, h[1])
		}
		if mark := listed.FindString(line); mark != "" {
			parts = append(parts, mark)
		}
		for _, link := range linkTo.FindAllStringSubmatch(line, -1) {
			if target, own := strings.CutPrefix(link[1], "#"); !own {
				links = append(links, strings.Replace(target, "README.zh-CN.md", "README.md", 1))
			}
		}
	}
	endSection()
	return parts
}

// listed is how a row of a table, with the code in its first cell, or an item of a
// list begins.
var listed = regexp.MustCompile("^(\\| `[^`]*`|\\||- `[^`]*`|- |[0-9]+\\. )")

// writeModule makes dir a module that uses this one with the same versions of
// everything else.
func writeModule(t *testing.T, dir string) {
	t.Helper()
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(page(t, "go.mod"), "module github.com/sinew-rpc/sinew\n", "module example\n", 1)
	text += "\nrequire github.com/sinew-rpc/sinew v0.0.0\n" + "replace github.com/sinew-rpc/sinew => " + strconv.Quote(root) + "\n"
	write(t, filepath.Join(dir, "go.mod"), text)
	write(t, filepath.Join(dir, "go.sum"), page(t, "go.sum"))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func goCommand(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("go %s of the pages' code: %v\n%s", strings.Join(args, " "), err, out)
	}
}
