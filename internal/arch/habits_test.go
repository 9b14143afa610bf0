package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// notLibrary are folders of programs and of other modules: they may exit.
var notLibrary = []string{"demo/...", "cmd/...", "benchmark/...", "e2e/..."}

// forbidden are functions that a library does not use, and why.
var forbidden = map[string]string{
	"time.After":           "its timer outlives the select: use time.NewTimer and Stop",
	"time.Tick":            "its ticker is never stopped: use time.NewTicker",
	"os.Exit":              "whether a process ends is its own business: return an error",
	"log.Fatal":            "whether a process ends is its own business: return an error",
	"log.Fatalf":           "whether a process ends is its own business: return an error",
	"log.Fatalln":          "whether a process ends is its own business: return an error",
	"glog.Fatal":           "whether a process ends is its own business: return an error",
	"glog.Fatalf":          "whether a process ends is its own business: return an error",
	"glog.Exit":            "whether a process ends is its own business: return an error",
	"glog.Exitf":           "whether a process ends is its own business: return an error",
	"signal.Notify":        "signals belong to the program",
	"signal.NotifyContext": "signals belong to the program",
}

// exceptions are folders that may do something forbidden.
var exceptions = []struct{ dir, what, reason string }{
	{"registry/libkv/...", "func init", "a driver registers its store, as database/sql drivers do"},
	{"internal/testutil", "os.Exit", "TestMain has no other way to fail tests that passed but left goroutines"},
}

func excepted(dir, what string) bool {
	return slices.ContainsFunc(exceptions, func(e struct{ dir, what, reason string }) bool {
		return e.what == what && matches(e.dir, dir)
	})
}

// sources calls visit with every Go file of the library that is no test.
func sources(t *testing.T, visit func(dir string, files *token.FileSet, file *ast.File)) {
	t.Helper()
	var count int
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); path != root && (name == "testdata" || strings.HasPrefix(name, ".")) {
				return fs.SkipDir
			}
			return nil
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(relative))
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || matchesAny(notLibrary, dir) {
			return nil
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		count++
		visit(dir, files, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if count == 0 {
		t.Fatal("no source file found")
	}
}

// habits returns what file does that a library does not do.
func habits(dir string, files *token.FileSet, file *ast.File) (wrong []string) {
	report := func(at ast.Node, what, reason string) {
		if !excepted(dir, what) {
			wrong = append(wrong, fmt.Sprintf("%s: %s: %s", files.Position(at.Pos()), what, reason))
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				report(n, "func init", "nothing starts at import")
			}
		case *ast.SelectorExpr:
			if pkg, ok := n.X.(*ast.Ident); ok {
				name := pkg.Name + "." + n.Sel.Name
				if reason := forbidden[name]; reason != "" {
					report(n, name, reason)
				}
			}
		}
		return true
	})
	return wrong
}

func TestLibraryCodeKeepsItsHabits(t *testing.T) {
	sources(t, func(dir string, files *token.FileSet, file *ast.File) {
		for _, wrong := range habits(dir, files, file) {
			t.Error(wrong)
		}
	})
}

func TestHabitsAreSeen(t *testing.T) {
	const source = `package p
func init() {}
func (t T) init() {}
func f() { <-time.After(1); log.Fatal("x"); defer os.Exit(1); notify := signal.Notify; time.NewTimer(1) }
`
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := habits("client", files, file); len(got) != 5 {
		t.Errorf("%d faults seen, want 5: %q", len(got), got)
	}
	if got := habits("registry/libkv/boltdb", files, file); len(got) != 4 {
		t.Errorf("%d faults seen in a driver, whose init is excepted, want 4: %q", len(got), got)
	}
}

// undocumented returns the exported names that file declares without a word.
func undocumented(file *ast.File) (names []string) {
	for _, declared := range file.Decls {
		switch d := declared.(type) {
		case *ast.FuncDecl:
			if d.Doc == nil && d.Name.IsExported() && receiverIsExported(d) {
				names = append(names, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				names = append(names, undocumentedSpec(d, spec)...)
			}
		}
	}
	return names
}

func undocumentedSpec(group *ast.GenDecl, spec ast.Spec) (names []string) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && group.Doc == nil && s.Doc == nil {
			names = append(names, s.Name.Name)
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() && group.Doc == nil && s.Doc == nil && s.Comment == nil {
				names = append(names, name.Name)
			}
		}
	}
	return names
}

// receiverIsExported is true for functions and for methods of exported types.
func receiverIsExported(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	receiver := f.Recv.List[0].Type
	for {
		switch r := receiver.(type) {
		case *ast.StarExpr:
			receiver = r.X
		case *ast.IndexExpr:
			receiver = r.X
		case *ast.IndexListExpr:
			receiver = r.X
		case *ast.Ident:
			return r.IsExported()
		default:
			return false
		}
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	sources(t, func(_ string, files *token.FileSet, file *ast.File) {
		for _, name := range undocumented(file) {
			t.Errorf("%s: %s has no doc comment", files.Position(file.Package).Filename, name)
		}
	})
}

func TestPackagesAreDocumented(t *testing.T) {
	documented := make(map[string]bool)
	sources(t, func(dir string, _ *token.FileSet, file *ast.File) {
		documented[dir] = documented[dir] || file.Doc != nil
	})
	for dir, has := range documented {
		if !has {
			t.Errorf("package %s has no package comment", dir)
		}
	}
}
