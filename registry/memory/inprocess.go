package memory

import "github.com/sinew-rpc/sinew/registry"

var _ registry.InProcess = (*Registry)(nil)

// InProcess implements registry.InProcess: it returns true.
func (r *Registry) InProcess() bool { return true }
