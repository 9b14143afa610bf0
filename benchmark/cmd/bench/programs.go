package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sinew-rpc/sinew/benchmark/internal/load"
)

// kind says what a row is compared as.
type kind string

const (
	limit kind = "limit" // what the machine can do
	peer  kind = "peer"  // another framework
	ours  kind = "ours"
)

// place says where the programs of a kind are, as a pattern of their files.
type place struct {
	kind    kind
	pattern string
}

// programs are those of the tables, crowded those of the overload, overHTTP those
// of JSON over HTTP.
var (
	programs = []place{{limit, "limits/*/main.go"}, {peer, "peers/*/main.go"}, {ours, "sinew/main.go"}}
	overHTTP = []place{{limit, "gateway/http/main.go"}, {peer, "gateway/[cg]*/main.go"}, {ours, "gateway/sinew/main.go"}}
	crowded  = []place{{ours, "overload/sinew/main.go"}, {peer, "overload/[^s]*/main.go"}}
)

// row is one row of the tables and the program that measures it.
type row struct {
	load.Description
	kind    kind
	program string
}

// supports tells whether the row can be run in a mode of timeouts.
func (r row) supports(t load.Timeout) bool {
	if t == load.TimeoutNone {
		return true
	}
	for _, s := range r.Timeouts {
		if s == t {
			return true
		}
	}
	return false
}

// buildRows builds every program of places into dir and asks each for its rows.
// It expects to run in the benchmark's own folder.
func buildRows(ctx context.Context, dir string, only []string, places []place) ([]row, error) {
	var rows []row
	for _, p := range places {
		mains, err := filepath.Glob(p.pattern)
		if err != nil {
			return nil, fmt.Errorf("find programs: %w", err)
		}
		for _, main := range mains {
			folder := filepath.Dir(main)
			path := filepath.Join(dir, strings.ReplaceAll(folder, "/", "-"))
			if err := build(ctx, folder, path); err != nil {
				return nil, err
			}
			described, err := describe(ctx, path)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", folder, err)
			}
			for _, d := range described {
				if wants(only, d.Name) {
					rows = append(rows, row{Description: d, kind: p.kind, program: path})
				}
			}
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("no row to measure: -peers names none of them, or this is not the benchmark's folder")
	}
	return rows, nil
}

func build(ctx context.Context, folder, path string) error {
	fmt.Fprintf(os.Stderr, "building %s\n", folder)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "./"+folder)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", folder, err, out)
	}
	return nil
}

func describe(ctx context.Context, path string) ([]load.Description, error) {
	out, err := exec.CommandContext(ctx, path, "list").Output()
	if err != nil {
		return nil, fmt.Errorf("list its rows: %w", err)
	}
	var all []load.Description
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, fmt.Errorf("its rows: %w", err)
	}
	return all, nil
}
