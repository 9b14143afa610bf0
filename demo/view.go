package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/mem"

	"github.com/sinew-rpc/sinew/gateway"
)

// cpuSample is how long the load of the processors is watched for.
const cpuSample = 100 * time.Millisecond

// viewHealth says that the gateway answers.
func viewHealth(w http.ResponseWriter, _ *http.Request) {
	writeView(w, map[string]string{"status": "ok"}, nil)
}

// viewCPU says how busy each processor is, in percent.
func viewCPU(w http.ResponseWriter, r *http.Request) {
	busy, err := cpu.PercentWithContext(r.Context(), cpuSample, true)
	writeView(w, map[string][]float64{"percent": busy}, err)
}

// viewRAM says how much memory there is and is used, in bytes.
func viewRAM(w http.ResponseWriter, r *http.Request) {
	v, err := mem.VirtualMemoryWithContext(r.Context())
	if err != nil {
		writeView(w, nil, err)
		return
	}
	writeView(w, usage64{v.Total, v.Used, v.UsedPercent}, nil)
}

// viewDisk says how large and full the disk of the working directory is.
func viewDisk(w http.ResponseWriter, r *http.Request) {
	v, err := diskUsage(r.Context())
	writeView(w, v, err)
}

func diskUsage(ctx context.Context) (usage64, error) {
	v, err := disk.UsageWithContext(ctx, ".")
	if err != nil {
		return usage64{}, err
	}
	return usage64{v.Total, v.Used, v.UsedPercent}, nil
}

// usage64 is how much there is of something and how much is used, in bytes.
type usage64 struct {
	Total   uint64  `json:"total"`
	Used    uint64  `json:"used"`
	Percent float64 `json:"percent"`
}

func writeView(w http.ResponseWriter, v any, err error) {
	if err != nil {
		gateway.WriteError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a caller that left is told nothing
}
