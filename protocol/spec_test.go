package protocol

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// specExample is a hex dump in SPEC.md and the golden file that it shows.
var specExample = regexp.MustCompile("(?s)<!-- golden: ([a-z_]+\\.hex) -->\n```\n(.*?)```")

func TestSpecShowsTheGoldenFrames(t *testing.T) {
	spec, err := os.ReadFile("../SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := specExample.FindAllSubmatch(spec, -1)
	if len(examples) != bytes.Count(spec, []byte("<!-- golden:")) || len(examples) == 0 {
		t.Fatalf("%d examples could be read", len(examples))
	}
	for _, e := range examples {
		file := string(e[1])
		shown := parseHexText(t, string(e[2]))
		if want := readGolden(t, filepath.Join("testdata", "golden", file)); !bytes.Equal(shown, want) {
			t.Errorf("SPEC.md shows for %s\n%x\nthe file holds\n%x", file, shown, want)
		}
	}
}
