// Package terminal draws images in a terminal. It returns the text to write, and does no I/O.
package terminal
