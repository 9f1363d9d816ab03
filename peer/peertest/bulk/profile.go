package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"parley/peer/peertest/costs"
)

// profileEnds runs parley with a CPU profile of each end in each network, without the others, and
// prints the three largest costs of each. The profiles are kept in the folder.
func (o options) profileEnds() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.profile, 0o755); err != nil {
		return err
	}
	one := load{channels: 1, size: messageSize, duration: o.span}
	type row struct {
		network network
		load    load
	}
	rows := []row{{network{name: "500 channels"}, load{channels: 500, size: 1 << 10, duration: o.span}}}
	for _, n := range networks() {
		rows = append(rows, row{n, one})
	}
	fmt.Println("<!-- bench-profile -->\n| | CPU s/GB, sender | largest costs | CPU s/GB, receiver | largest costs |\n|---|---:|---|---:|---|")
	for _, r := range rows {
		name := r.network.name
		if !strings.Contains(name, o.network) || isNetwork(o.network) && name != o.network {
			continue
		}
		file := filepath.Join(o.profile, regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(name), "-"))
		measured, err := r.network.over(func(way *detour) (result, error) {
			return measureEnds([]string{self, "-end", "-profile", file}, way, r.load)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		line := "| " + name
		for i, end := range []string{"sender", "receiver"} {
			all, err := costs.Read(file + "-" + end + ".pprof")
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" | %.1f | %s", measured.cost(i), costs.Largest(all, 3))
		}
		fmt.Println(line + " |")
	}
	return nil
}
