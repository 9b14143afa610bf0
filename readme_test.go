package sinew_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	codeBlock    = regexp.MustCompile("(?s)```go\n(.*?)```")
	relativeLink = regexp.MustCompile(`\]\(([^):#]+)\)`)
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestReadmeCode builds every Go program of the README in a module of its own,
// as its readers do, and runs the tests among them.
func TestReadmeCode(t *testing.T) {
	blocks := codeBlock.FindAllStringSubmatch(readme(t), -1)
	if len(blocks) < 4 {
		t.Fatalf("%d Go programs in README.md: the pattern sees them no more", len(blocks))
	}
	dir := t.TempDir()
	writeModule(t, dir)
	for i, block := range blocks {
		name := "main.go"
		if strings.Contains(block[1], "_test\n") {
			name = "block_test.go"
		}
		write(t, filepath.Join(dir, "block"+strconv.Itoa(i+1), name), block[1])
	}
	goCommand(t, dir, "vet", "./...")
	goCommand(t, dir, "test", "-count=1", "./...")
}

// TestReadmeLinks holds that what the README points to is there.
func TestReadmeLinks(t *testing.T) {
	prose := codeBlock.ReplaceAllString(readme(t), "")
	links := relativeLink.FindAllStringSubmatch(prose, -1)
	if len(links) < 4 {
		t.Fatalf("%d links in README.md: the pattern sees them no more", len(links))
	}
	for _, link := range links {
		if _, err := os.Stat(filepath.FromSlash(link[1])); err != nil {
			t.Errorf("README.md links to %s: %v", link[1], err)
		}
	}
}

// writeModule makes dir a module that uses this one with the same versions of
// everything else.
func writeModule(t *testing.T, dir string) {
	t.Helper()
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(mod), "module github.com/sinew-rpc/sinew\n", "module readme\n", 1)
	text += "\nrequire github.com/sinew-rpc/sinew v0.0.0\n" + "replace github.com/sinew-rpc/sinew => " + strconv.Quote(root) + "\n"
	write(t, filepath.Join(dir, "go.mod"), text)
	write(t, filepath.Join(dir, "go.sum"), string(sum))
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
		t.Errorf("go %s of the README's code: %v\n%s", strings.Join(args, " "), err, out)
	}
}
