// Package event reports what happens in a call to a program or to a person.
package event

import (
	"bytes"
	"encoding/json"
	"time"

	"parley/cmd/parley/internal/sanitize"
)

// Event is one event, for a program and for a person.
type Event struct {
	Name     string
	Peer     string  // as it signs in, "" for none
	Fields   []Field // after time, event and peer, in this order
	Message  string  // sentence for standard error, safe to print; "" for none
	Output   string  // line for standard output, safe to print; "" for none
	Detail   bool    // Message is for --verbose only
	Alert    bool    // Message is shown with --quiet too
	CallOver bool    // of a rejected text: the call is over
}

// The names of status lines and warnings, which an interceptor gets as events. They are not in the
// event stream.
const (
	StatusLine = "status line"
	Warning    = "warning"
)

// Field is a member of an event. Its value is a string, number or boolean, a slice of them, a
// []Field, or a [][]Field.
type Field struct {
	Key   string
	Value any
}

// Fields returns fields of alternating keys and values.
func Fields(keysAndValues ...any) []Field {
	fields := make([]Field, 0, len(keysAndValues)/2)
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		fields = append(fields, Field{keysAndValues[i].(string), keysAndValues[i+1]})
	}
	return fields
}

// Text returns the value of a field that is a string, "" for none.
func (e Event) Text(key string) string {
	for _, f := range e.Fields {
		if s, ok := f.Value.(string); ok && f.Key == key {
			return s
		}
	}
	return ""
}

// Line returns the event as a line of NDJSON. The line is safe to print on a terminal.
func (e Event) Line(now time.Time) []byte {
	fields := Fields("time", now.Format("2006-01-02T15:04:05.000Z07:00"), "event", e.Name)
	if e.Peer != "" {
		fields = append(fields, Field{"peer", e.Peer})
	}
	return append([]byte(JSON(append(fields, e.Fields...))), '\n')
}

// JSON returns fields as a JSON object, in their order. The text is safe to print on a terminal.
func JSON(fields []Field) string { return sanitize.JSON(object(fields)) }

func object(fields []Field) string {
	var b bytes.Buffer
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(value(f.Key))
		b.WriteByte(':')
		b.WriteString(value(f.Value))
	}
	return "{" + b.String() + "}"
}

func value(v any) string {
	switch v := v.(type) {
	case []Field:
		return object(v)
	case [][]Field:
		var b bytes.Buffer
		for i, o := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(object(o))
		}
		return "[" + b.String() + "]"
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "null" // never: values are strings, numbers and booleans
	}
	return string(bytes.TrimRight(b.Bytes(), "\n"))
}
