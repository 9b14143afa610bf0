// Package proxyproto lets a server behind a load balancer of TCP see its clients'
// addresses: the balancer sends them in front of each connection, by version 1 or
// 2 of the PROXY protocol (https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt).
//
// Who sends such a header says who the client is, so only named balancers may, and
// they must.
package proxyproto
