package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// machine is where, when and of what a benchmark was made.
type machine struct {
	cpu     string
	cores   int
	kernel  string
	goes    string
	commit  string
	began   time.Time
	command string
}

func describeMachine(ctx context.Context, args []string) (machine, error) {
	cpuinfo, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return machine{}, fmt.Errorf("describe the machine: %w", err)
	}
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return machine{}, fmt.Errorf("describe the machine: %w", err)
	}
	goes, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output()
	if err != nil {
		return machine{}, fmt.Errorf("version of Go: %w", err)
	}
	return machine{
		cpu:     modelName(string(cpuinfo)),
		cores:   runtime.NumCPU(),
		kernel:  strings.TrimSpace(string(kernel)),
		goes:    strings.TrimSpace(string(goes)),
		commit:  commit(ctx),
		began:   time.Now(),
		command: strings.Join(append([]string{"go run ./cmd/bench"}, args...), " "),
	}, nil
}

func modelName(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// commit names the commit, and says when the tree differs from it.
func commit(ctx context.Context) string {
	head, err := exec.CommandContext(ctx, "git", "rev-parse", "HEAD").Output()
	if err != nil {
		return "unknown (no git)"
	}
	name := strings.TrimSpace(string(head))
	changes, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no").Output()
	if err != nil || len(changes) > 0 {
		name += " with uncommitted changes"
	}
	return name
}
