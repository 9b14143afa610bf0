package gateway

import "github.com/sinew-rpc/sinew/protocol"

// checkNames refuses what no server can have registered, so that it reaches no log,
// span or series of a client's chain as a name, and the services of the framework,
// unless they may be called.
func (g *Gateway) checkNames(service, method string) error {
	if err := g.checkService(service); err != nil {
		return err
	}
	if protocol.CheckMethodName(method) != nil {
		return notSent(protocol.Unimplemented, "unknown method %.384q", service+"."+method)
	}
	return nil
}

func (g *Gateway) checkService(service string) error {
	if protocol.CheckServiceName(service) != nil || protocol.IsFrameworkService(service) && !g.option.Internal {
		return notSent(protocol.Unimplemented, "unknown service %.128q", service)
	}
	return nil
}
