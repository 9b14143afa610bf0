// Package ratelimit bounds how often something is done. [NewRateLimiter] is a
// token bucket of this process, [PerKey] gives each client a limiter of its own,
// and package ratelimit/redis shares one rate among all processes of a cluster.
// Package wrapper puts limiters into the chains of clients and servers.
package ratelimit
