package natstest

import (
	"bufio"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// clockEnvironment carries how far the clock of a process is ahead.
const clockEnvironment = "PARLEY_TEST_CLOCK"

// Clock returns the environment variable that sets the clock of a process that calls Main ahead.
func Clock(ahead time.Duration) string { return clockEnvironment + "=" + ahead.String() }

// shiftClock sets the clock of this process ahead, for all that it runs. It replaces the function
// of the vDSO that programs read the clock with, because a Go program uses no other library that
// could be replaced; the monotonic clock stays as it is.
func shiftClock(text string) error {
	ahead, err := time.ParseDuration(text)
	if text == "" || ahead == 0 && err == nil {
		return nil
	}
	if err == nil && runtime.GOARCH != "amd64" {
		err = fmt.Errorf("the processor is %s, want amd64", runtime.GOARCH)
	}
	if err == nil {
		err = replaceClock(ahead)
	}
	if err == nil {
		var real unix.Timespec // by a system call
		if err = unix.ClockGettime(unix.CLOCK_REALTIME, &real); err == nil {
			if shift := time.Until(time.Unix(real.Unix())); shift.Round(time.Minute) != -ahead.Round(time.Minute) {
				err = fmt.Errorf("the clock is %s ahead", -shift)
			}
		}
	}
	if err != nil {
		return fmt.Errorf("clock of a test process, ahead by %q: %w", text, err)
	}
	return nil
}

// replaceClock replaces __vdso_clock_gettime.
func replaceClock(ahead time.Duration) error {
	begin, image, err := vdso()
	if err != nil {
		return err
	}
	file, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return err
	}
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return err
	}
	code := []byte{
		0xeb, 0xfe, // loop until the rest is written
		0xb8, 228, 0, 0, 0, // mov eax, clock_gettime
		0x0f, 0x05, // syscall
		0x85, 0xff, // test edi, edi: the clock, 0 is CLOCK_REALTIME
		0x75, 0x0d, // jnz ret
		0x48, 0xb9, 0, 0, 0, 0, 0, 0, 0, 0, // mov rcx, seconds
		0x48, 0x01, 0x0e, // add [rsi], rcx
		0xc3, // ret
	}
	binary.LittleEndian.PutUint64(code[15:], uint64(int64(ahead/time.Second)))
	for _, s := range symbols {
		if s.Name != "__vdso_clock_gettime" {
			continue
		}
		if s.Size < uint64(len(code)) {
			return fmt.Errorf("%s has %d bytes, want at least %d", s.Name, s.Size, len(code))
		}
		memory, err := os.OpenFile("/proc/self/mem", os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer memory.Close()
		at := int64(begin + s.Value)
		if _, err = memory.WriteAt(code[:2], at); err == nil {
			_, err = memory.WriteAt(code[2:], at+2)
		}
		if err == nil {
			_, err = memory.WriteAt([]byte{0x66, 0x90}, at) // nop
		}
		return err
	}
	return errors.New("the vDSO has no clock_gettime")
}

// vdso returns where the vDSO of this process begins, and its bytes.
func vdso() (begin uint64, image []byte, err error) {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0, nil, err
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var end uint64
		if !strings.HasSuffix(lines.Text(), "[vdso]") {
			continue
		}
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x", &begin, &end); err != nil {
			return 0, nil, err
		}
		memory, err := os.Open("/proc/self/mem")
		if err != nil {
			return 0, nil, err
		}
		defer memory.Close()
		image = make([]byte, end-begin)
		_, err = memory.ReadAt(image, int64(begin))
		return begin, image, err
	}
	return 0, nil, errors.New("this process has no vDSO")
}
