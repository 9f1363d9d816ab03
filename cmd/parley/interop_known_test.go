//go:build unix

package main

// knownLimit is why a call is known to fail, with where that is written; "" if it should not.
func knownLimit(c encounter) string {
	return ""
}
