package manual

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"parley/signal"
)

// A Line is an offer or an answer with all candidates, as people copy and paste it:
// "parley-offer-1." or "parley-answer-1.", where 1 is the version, and in base64url (RFC 4648
// section 5, without padding) the length in bytes of what follows it but for the last four bytes (2
// bytes, big endian), a JSON object as raw DEFLATE (RFC 1951), and the CRC-32 (IEEE) of the DEFLATE
// (4 bytes, big endian). Members of the JSON object are those of this struct but for Type.
type Line struct {
	Type signal.Type `json:"-"`    // Offer or Answer
	ID   string      `json:"id"`   // of the offer, and of the answer to it
	Name string      `json:"name"` // of who made it, "" for none
	SDP  string      `json:"sdp"`
}

const (
	version = 1
	// MaxLine bounds a line in characters: 64 KiB of DEFLATE, which no description needs.
	MaxLine = 96 << 10
	// maxJSON bounds the JSON object in bytes.
	maxJSON = 2 * signal.MaxReceivedSDP
	// maxID bounds an ID in bytes.
	maxID = 64
	// overhead is the number of bytes beside the DEFLATE.
	overhead = 6
)

// String returns the text of a line.
func (l Line) String() (string, error) {
	text, err := json.Marshal(l)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(text); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	if b.Len() > 1<<16-1 {
		return "", fmt.Errorf("the %s is too long for a line: got %d bytes, want at most %d", l.Type, b.Len(), 1<<16-1)
	}
	out := binary.BigEndian.AppendUint16(nil, uint16(b.Len()))
	out = append(out, b.Bytes()...)
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(b.Bytes()))
	return fmt.Sprintf("parley-%s-%d.%s", l.Type, version, base64.RawURLEncoding.EncodeToString(out)), nil
}

// IncompleteError is the error of a line whose end is missing.
type IncompleteError struct{ Got, Want int } // characters

func (e *IncompleteError) Error() string {
	return fmt.Sprintf("the line is incomplete: got %d of %d characters; copy all of it", e.Got, e.Want)
}

// errNoLine is the error of a text without the beginning of a line.
var errNoLine = errors.New("this is no line of parley, which begins with parley-offer-1. or parley-answer-1")

var prefix = regexp.MustCompile(`parley-(offer|answer)-([0-9]{1,9})\.`)

// Parse returns the last line in a text, which may have words around it, and white space in it. The
// error is an *IncompleteError if the end of the line is missing.
func Parse(text string) (Line, error) {
	var l Line
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) { // zero-width spaces and byte order marks of chat programs
			return -1
		}
		return r
	}, text)
	all := prefix.FindAllStringSubmatchIndex(text, -1)
	if all == nil {
		return l, errNoLine
	}
	at := all[len(all)-1]
	l.Type = signal.Type(text[at[2]:at[3]])
	if v, _ := strconv.Atoi(text[at[4]:at[5]]); v != version {
		return l, fmt.Errorf("the line has version %d; this parley reads version %d", v, version)
	}
	body := text[at[1]:]
	if end := strings.IndexFunc(body, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}); end >= 0 {
		body = body[:end]
	}
	packed, err := unpack(body, at[1]-at[0])
	if err != nil {
		return l, err
	}
	return l, l.read(packed)
}

// unpack returns the DEFLATE in the body of a line, whose prefix has so many characters.
func unpack(body string, prefix int) ([]byte, error) {
	if len(body) < 4 {
		return nil, &IncompleteError{prefix + len(body), prefix + base64.RawURLEncoding.EncodedLen(overhead+1)}
	}
	head, err := base64.RawURLEncoding.DecodeString(body[:4])
	if err != nil {
		return nil, errDamaged
	}
	length := int(binary.BigEndian.Uint16(head))
	want := base64.RawURLEncoding.EncodedLen(overhead + length)
	if len(body) < want {
		return nil, &IncompleteError{prefix + len(body), prefix + want}
	}
	b, err := base64.RawURLEncoding.DecodeString(body[:want])
	if err != nil {
		return nil, errDamaged
	}
	packed, sum := b[2:2+length], b[2+length:]
	if crc32.ChecksumIEEE(packed) != binary.BigEndian.Uint32(sum) {
		return nil, errDamaged
	}
	return packed, nil
}

var errDamaged = errors.New("the line is damaged: its checksum is wrong; copy it again")

// read reads the JSON object.
func (l *Line) read(packed []byte) error {
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxJSON+1))
	switch {
	case err != nil:
		return fmt.Errorf("invalid line: %w", err)
	case len(text) > maxJSON:
		return fmt.Errorf("invalid line: got more than %d bytes", maxJSON)
	}
	if err := json.Unmarshal(text, l); err != nil {
		return errors.New("invalid line: want a JSON object with id, name and sdp")
	}
	switch {
	case l.ID == "" || len(l.ID) > maxID || strings.ContainsFunc(l.ID, func(r rune) bool { return r < '!' || r > '~' }):
		return fmt.Errorf("invalid line: want an id of 1 to %d printable ASCII characters", maxID)
	case l.Name != "" && signal.CheckPeerName(l.Name) != nil:
		return fmt.Errorf("invalid line: %w", signal.CheckPeerName(l.Name))
	case l.SDP == "" || len(l.SDP) > signal.MaxReceivedSDP:
		return fmt.Errorf("invalid line: got an sdp of %d bytes, want 1 to %d", len(l.SDP), signal.MaxReceivedSDP)
	}
	return nil
}
