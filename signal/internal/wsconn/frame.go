//go:build !gorilla

package wsconn

import "encoding/binary"

// The opcodes of RFC 6455, section 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// maxHeader is the length of the longest header that appendFrame writes, in bytes.
const maxHeader = 10

// frame is one received frame. Its payload is unmasked and shares the memory of the batch.
type frame struct {
	opcode  byte
	final   bool
	payload []byte
}

// appendFrame appends one unfragmented, unmasked frame (RFC 6455, section 5.2).
func appendFrame(dst []byte, opcode byte, payload []byte) []byte {
	const final = 0x80
	dst = append(dst, final|opcode)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, payload...)
}

// unmask removes the mask of a client (RFC 6455, section 5.3), eight bytes at a time.
func unmask(p []byte, key [4]byte) {
	k := uint64(binary.LittleEndian.Uint32(key[:]))
	k |= k << 32
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^k)
	}
	for i := range p {
		p[i] ^= key[i&3]
	}
}
