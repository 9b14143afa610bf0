package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// bug is a mistake that the library does not make. With one of them put in, a run
// must fail: that is what its passing without is worth.
type bug struct {
	name string
	what string
	file string // from the module's root
	is   string // stands there once
	was  string // what a careless hand would have written
}

var bugs = []bug{
	{
		"retry-maybe-run", "a call that may have run is tried again though it is not idempotent",
		"client/failmode.go", "	return idempotent\n", "	return true\n",
	},
	{
		"not-run-after-entry", "a method that was entered and failed is answered with NotRun",
		"internal/endpoint/dispatch.go", "protocol.ToResponse(h, err, !t.entered)", "protocol.ToResponse(h, err, true)",
	},
	{
		"lost-cancel", "a caller that goes tells nobody",
		"transport/call.go", "!s.out.addReserve(&protocol.Header{Seq: c.seq, MessageType: protocol.TypeCancel}):",
		"false:",
	},
	{
		"never-sent", "a call that ran out of time is said to have never been sent",
		"transport/call.go", "	outcome := protocol.MaybeRun\n	switch {", "	outcome := protocol.NotSent\n	switch {",
	},
	{
		"stays-registered", "a provider that leaves does not say so",
		"server/registration.go", "err := reg.Unregister(r.final, o, r.entries()...)", "err := error(nil)",
	},
	{
		"runs-twice", "a server runs what it serves twice",
		"internal/endpoint/dispatch.go", "	reply, err := m.Call(ctx, args, reply)\n",
		"	_, _ = m.Call(ctx, args, reply)\n	reply, err := m.Call(ctx, args, reply)\n",
	},
}

func bugNames() (names []string) {
	for _, b := range bugs {
		names = append(names, b.name)
	}
	return names
}

// apply returns source with the bug in it.
func (b *bug) apply(source string) (string, error) {
	if n := strings.Count(source, b.is); n != 1 {
		return "", fmt.Errorf("bug %s: %q stands %d times in %s, want once", b.name, b.is, n, b.file)
	}
	return strings.Replace(source, b.is, b.was, 1), nil
}

// buildWith builds this program with a bug, by an overlay: no file of the module
// is touched. It runs in the module.
func buildWith(name, dir string) (binary string, err error) {
	for _, b := range bugs {
		if b.name != name {
			continue
		}
		root, err := moduleRoot()
		if err != nil {
			return "", err
		}
		return b.build(root, dir)
	}
	return "", fmt.Errorf("no bug is called %q: there are %s", name, strings.Join(bugNames(), ", "))
}

func moduleRoot() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/sinew-rpc/sinew").Output()
	if err != nil {
		return "", fmt.Errorf("a bug is put in from within the module's folder: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func (b *bug) build(root, dir string) (string, error) {
	path := filepath.Join(root, b.file)
	source, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	text, err := b.apply(string(source))
	if err != nil {
		return "", err
	}
	replaced, overlay, binary := filepath.Join(dir, "bug.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "chaos")
	content, err := json.Marshal(map[string]map[string]string{"Replace": {path: replaced}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(replaced, []byte(text), 0o600); err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, content, 0o600); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-overlay", overlay, "-o", binary, "./e2e/chaos")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("bug %s does not compile: %w\n%s", b.name, err, out)
	}
	return binary, nil
}
