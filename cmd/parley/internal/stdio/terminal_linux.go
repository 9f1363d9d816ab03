package stdio

import "golang.org/x/sys/unix"

// The requests of termios.
const getTermios, setTermios = unix.TCGETS, unix.TCSETS
