//go:build !linux && !darwin

package stdio

import "io"

// UnlimitLines does nothing.
func UnlimitLines(io.Reader) (restore func()) { return func() {} }
