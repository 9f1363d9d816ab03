package wire

// maxNesting is the depth up to which a validator recurses.
const maxNesting = 32

// validator checks JSON as json.Valid does. A server checks every message, and json.Valid would
// take a third of its time.
type validator struct {
	b       []byte
	i       int
	deep    bool   // nested too deeply
	members object // of b, if it is an object
}

// validate reports whether b is valid JSON, or deep if it is nested too deeply to be checked here.
func (v *validator) validate() (ok, deep bool) {
	if !v.value(0) {
		return false, v.deep
	}
	v.skip()
	return v.i == len(v.b), false
}

// skip skips white space.
func (v *validator) skip() {
	for v.i < len(v.b) && isSpace(v.b[v.i]) {
		v.i++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// take skips white space and c, if c follows.
func (v *validator) take(c byte) bool {
	v.skip()
	if v.i < len(v.b) && v.b[v.i] == c {
		v.i++
		return true
	}
	return false
}

func (v *validator) value(depth int) bool {
	v.skip()
	if v.i == len(v.b) {
		return false
	}
	switch v.b[v.i] {
	case '"':
		return v.text()
	case '{', '[':
		if depth == maxNesting {
			v.deep = true
			return false
		}
		if v.b[v.i] == '{' {
			return v.object(depth + 1)
		}
		return v.array(depth + 1)
	case 't':
		return v.literal("true")
	case 'f':
		return v.literal("false")
	case 'n':
		return v.literal("null")
	}
	return v.number()
}

func (v *validator) object(depth int) bool {
	v.i++
	if v.take('}') {
		return true
	}
	for {
		v.skip()
		name := v.i
		if !v.text() {
			return false
		}
		nameEnd := v.i
		if !v.take(':') {
			return false
		}
		v.skip()
		value := v.i
		if !v.value(depth) {
			return false
		}
		if o := &v.members; depth == 1 && o.n < len(o.found) {
			o.found[o.n] = member{v.b[name:nameEnd], v.b[value:v.i]}
			o.n++
			o.rest = v.b[v.i:]
		}
		if v.take('}') {
			return true
		}
		if !v.take(',') {
			return false
		}
	}
}

func (v *validator) array(depth int) bool {
	v.i++
	if v.take(']') {
		return true
	}
	for {
		if !v.value(depth) {
			return false
		}
		if v.take(']') {
			return true
		}
		if !v.take(',') {
			return false
		}
	}
}

// text skips a string.
func (v *validator) text() bool {
	if v.i == len(v.b) || v.b[v.i] != '"' {
		return false
	}
	for i := v.i + 1; ; {
		if i += plainLen(v.b[i:]); i == len(v.b) {
			return false
		}
		switch v.b[i] {
		case '"':
			v.i = i + 1
			return true
		case '\\':
			n := escapeLen(v.b[i:])
			if n == 0 {
				return false
			}
			i += n
		default: // a control character
			return false
		}
	}
}

// escapeLen returns the length of the escape sequence at the start of b, 0 if it is invalid.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 6
	}
	return 0
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (v *validator) literal(word string) bool {
	if len(v.b)-v.i < len(word) || string(v.b[v.i:v.i+len(word)]) != word {
		return false
	}
	v.i += len(word)
	return true
}

// number skips a number (RFC 8259 section 6).
func (v *validator) number() bool {
	v.option('-')
	if !v.option('0') && !v.digits() {
		return false
	}
	if v.option('.') && !v.digits() {
		return false
	}
	if v.option('e') || v.option('E') {
		if !v.option('+') {
			v.option('-')
		}
		return v.digits()
	}
	return true
}

// option skips c, if it is next.
func (v *validator) option(c byte) bool {
	if v.i < len(v.b) && v.b[v.i] == c {
		v.i++
		return true
	}
	return false
}

// digits skips one or more digits.
func (v *validator) digits() bool {
	start := v.i
	for v.i < len(v.b) && isDigit(v.b[v.i]) {
		v.i++
	}
	return v.i > start
}
