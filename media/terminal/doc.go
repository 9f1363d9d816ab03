// Package terminal draws pictures in a terminal: by kitty's graphics, as sixels, or as half blocks in 24-bit or 256
// colours. It makes the text to write, of a picture that has the right size already, and writes nothing itself.
package terminal
