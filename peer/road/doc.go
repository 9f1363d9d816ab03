// Package road is a bad network. A [Link] is one direction of it, of which a seed decides what becomes of each packet:
// it is late, overtaken, doubled, or lost, as with netem of Linux, which not every kernel has and which wants root. A
// bottleneck and outages go by the clock. A call has one before its own sockets (peer.Impairment); tests and
// measurements build whole networks of them.
package road
