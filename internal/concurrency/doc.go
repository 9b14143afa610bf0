// Package concurrency finds out how many requests a server works on best at one
// time, and lets no more in: beyond that number each request only waits longer
// for the others.
//
// The limit follows latency. A [Limiter] compares how long requests take now
// with how long they take when few are being served, and lowers the limit when
// the first is well above the second: the gradient algorithm of Netflix's
// concurrency-limits (https://github.com/Netflix/concurrency-limits, 2018),
// which descends from TCP Vegas (Brakmo and Peterson, "TCP Vegas: End to End
// Congestion Avoidance on a Global Internet", 1995). It differs in three things:
//
//   - The latency without load is an average for each [Kind] of work, not one
//     minimum of all. So neither a change in the mix of methods nor a method
//     that is sometimes much quicker looks like overload.
//   - Under lasting load nobody sees the latency without it. Every ten seconds
//     the limit is cut to a third for a moment to measure it again, as BBR does
//     (Cardwell et al., "BBR: Congestion-Based Congestion Control", 2016).
//   - Requests have levels. When there is not room for all, it is kept for the
//     higher ones, as many as lately came: the lower are refused first, and get
//     all that the higher leave.
package concurrency
