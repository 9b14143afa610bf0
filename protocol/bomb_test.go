package protocol

import (
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/structpb"
)

// readBomb reads a file in the format that testdata/bombs/README.md describes.
func readBomb(tb testing.TB, path string) []byte {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	var out []byte
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, word := range strings.Fields(line) {
			digits, times, repeated := strings.Cut(word, "*")
			b, err := hex.DecodeString(digits)
			if err != nil {
				tb.Fatalf("%s: %v", path, err)
			}
			n := 1
			if repeated {
				if n, err = strconv.Atoi(times); err != nil {
					tb.Fatalf("%s: %v", path, err)
				}
			}
			out = append(out, strings.Repeat(string(b), n)...)
		}
	}
	return out
}

func bombFiles(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("testdata/bombs/*.hex")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no bombs: %v", err)
	}
	return files
}

type bigStruct struct {
	ID   int64
	Room [128]int64
}

type linkedStruct struct {
	Next *linkedStruct
	Body []linkedStruct
	M    map[string]*bigStruct
	Any  any
}

// bombTargets makes each type that a bomb is decoded into.
var bombTargets = []func() any{
	func() any { return new(any) },
	func() any { return new([]any) },
	func() any { return new([]int64) },
	func() any { return new([]string) },
	func() any { return new([][]byte) },
	func() any { return new([]bigStruct) },
	func() any { return new([]*bigStruct) },
	func() any { return new([]map[string]bigStruct) },
	func() any { return new([]map[string]any) },
	func() any { return new(map[string]any) },
	func() any { return new(map[any]any) },
	func() any { return new(map[string]string) },
	func() any { return new(map[string]bool) },
	func() any { return new(linkedStruct) },
	func() any { return new([]linkedStruct) },
	func() any { return new(echo) },
	func() any { return new(GenRecord) },
	func() any { return new([]GenRecord) },
	func() any { return new([]byte) },
	func() any { return new(structpb.ListValue) },
	func() any { return new(structpb.Struct) },
	func() any { return new(descriptorpb.FileDescriptorSet) },
}

var allSerializers = []SerializeType{SerializeTypeMsgpack, SerializeTypeJSON, SerializeTypeProtobuf, SerializeTypeRaw}

const bombChild = "SINEW_BOMB_CHILD"

// What a bomb may make a process allocate in one call, freed or not, beyond
// twice its own size: the floor of the budget, twice for growth.
const bombAllocation = 2 * decodeBudgetFloor

// TestBombs runs every bomb against every serializer in a process of its own,
// whose address space ulimit holds to a few GiB: a decoder that believes a bomb
// dies there. What each call allocated is measured too.
func TestBombs(t *testing.T) {
	if os.Getenv(bombChild) != "" {
		explodeAll(t)
		return
	}
	if testing.Short() {
		t.Skip("runs bombs in a child process")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	limit := "ulimit -v 3145728 && " // KiB
	if raceEnabled {
		limit = "" // the race detector maps terabytes; what is allocated is still measured
	}
	cmd := exec.Command("sh", "-c", limit+`exec "$0" -test.run='^TestBombs$' -test.v`, exe)
	cmd.Env = append(os.Environ(), bombChild+"=1", "GOMEMLIMIT=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out[max(0, len(out)-4000):])
	}
	if !strings.Contains(string(out), "bombs ran") {
		t.Fatalf("the child ran no bombs:\n%s", out)
	}
}

func explodeAll(t *testing.T) {
	calls := 0
	for _, file := range bombFiles(t) {
		body := readBomb(t, file)
		for _, st := range allSerializers {
			name := filepath.Base(file)
			if raceEnabled && (!strings.HasPrefix(name, st.String()) || strings.Contains(name, "tiny")) {
				continue // ten times as slow, and without the limit
			}
			for _, target := range bombTargets {
				explode(t, name, st, body, target())
				calls++
			}
		}
	}
	fmt.Println(calls, "bombs ran")
}

// explode decodes one bomb. Those of count and depth must be refused by the
// serializer that they are named after.
func explode(t *testing.T, name string, st SerializeType, body []byte, v any) {
	var err error
	got := allocated(func() { err = Unmarshal(st, body, v, 0) })
	if got > bombAllocation+2*uint64(len(body)) {
		t.Errorf("%s into %T by %s allocated %d MiB, error %v", name, v, st, got>>20, err)
	}
	aimed := strings.HasPrefix(name, st.String()+"_count_") || strings.HasPrefix(name, st.String()+"_depth_")
	if aimed && err == nil {
		t.Errorf("%s into %T by %s: no error", name, v, st)
	}
}
