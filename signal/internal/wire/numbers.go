package wire

import "strconv"

// appendNumbers appends a JSON object with the members seq and ack added to it, as the last, so that they are the ones that count.
func appendNumbers(dst, object []byte, seq, ack uint64) []byte {
	dst = append(dst, object[:len(object)-1]...)
	if !emptyObject(object) {
		dst = append(dst, ',')
	}
	dst = strconv.AppendUint(append(dst, `"seq":`...), seq, 10)
	dst = strconv.AppendUint(append(dst, `,"ack":`...), ack, 10)
	return append(dst, '}')
}

func emptyObject(object []byte) bool {
	for _, b := range object[1 : len(object)-1] {
		switch b {
		case ' ', '\t', '\r', '\n':
		default:
			return false
		}
	}
	return true
}

func appendAck(dst []byte, ack uint64) []byte {
	return append(strconv.AppendUint(append(dst, `{"type":"ack","ack":`...), ack, 10), '}')
}
