// Package road is a bad network for tests and measurements. A [Link] is one
// direction of it, of which a seed decides what becomes of each packet: it is
// late, overtaken, doubled, or lost, as with netem of Linux, which not every
// kernel has.
package road
