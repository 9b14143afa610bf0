package endpoint

import (
	"maps"
	"slices"
)

// ServiceInfo describes one registered service.
type ServiceInfo struct {
	Name    string
	Methods []MethodInfo // sorted by name
}

// MethodInfo is the signature of one method: the names of the Go types that it
// takes and returns, such as "arith.AddRequest".
type MethodInfo struct {
	Name     string
	Request  string
	Response string
}

func (s *service) info(name string) ServiceInfo {
	info := ServiceInfo{Name: name, Methods: make([]MethodInfo, 0, len(s.methods))}
	for _, method := range slices.Sorted(maps.Keys(s.methods)) {
		req, resp := s.methods[method].Types()
		info.Methods = append(info.Methods, MethodInfo{Name: method, Request: req.String(), Response: resp.String()})
	}
	return info
}
