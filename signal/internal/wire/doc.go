// Package wire encodes and decodes the frames of both dialects of package signal.
package wire
