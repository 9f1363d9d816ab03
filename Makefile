# make        builds ./parley
# make demo   shows a whole call on this machine
# make cluster  runs three servers as one behind a load balancer
# make test   installs what the tests need, checks and tests everything
# make quick  tests everything that needs Go only
#
# ARGS are more flags of the program that a target runs: make bench-data ARGS='-rounds 1 -span 1s'. The programs
# list them: go run ./peer/peertest/bulk -help.
.PHONY: build demo cluster test quick docs deps lint builds check faults fuzz bulk formats glare interop whip-servers reports lab lab-set codecs attacks cuts cluster-calls cluster-faults bench-signal bench-cluster bench-calls bench-audio bench-channels bench-growth bench-setup bench-data bench-media bench-profile bench-plots bench-tab sctp-tests dtls-tests clean

# Where bash is there, a target fails if any command of a pipeline does.
SHELL := $(or $(shell command -v bash),/bin/sh)
.SHELLFLAGS := $(if $(findstring bash,$(SHELL)),-o pipefail) -c

# What is shown of tests that print a table: the table, what tests log, and why they fail.
TABLE = grep --line-buffered '^|\|^<!--\|^panic\|_test\.go:\|FAIL\|^ok'

# The richest build that this machine can do: gcc and g++ for camera, microphone,
# screen, H.264 and Opus, and libvpx-dev on top of that for VP8 and VP9.
CGO = $(shell command -v gcc >/dev/null && command -v g++ >/dev/null && echo 1 || echo 0)
TAGS = $(shell [ $(CGO) = 1 ] && pkg-config --exists vpx 2>/dev/null && echo vpx)

build:
	CGO_ENABLED=$(CGO) go build -tags "$(TAGS)" -o parley ./cmd/parley

demo: build
	./parley demo --for 10s

# Three servers that work as one, over three NATS servers, behind haproxy, to be called by browsers and terminals.
cluster: build deps
	go run ./signal/signaltest/cluster -parley ./parley $(ARGS)

test: deps lint builds check

# Tests for daily work, with Go alone: all packages outside e2e, without the files with the build constraint
# !quick, whose tests run other programs or take long. A test without it that runs a program fails here, since
# $PATH has only Go. The package that takes longest begins first.
quick:
	PATH="$$(go env GOROOT)/bin" CGO_ENABLED=0 go test -tags quick ./peer $$(go list ./... | grep -v /internal/e2e/)

# The peers in Python that the tests call, and the check that they are there.
PEERS = import aiortc, numpy, paho.mqtt.client, websockets, gi; gi.require_version('GstWebRTC', '1.0'); from gi.repository import Gst; Gst.init(None); \
	assert all(Gst.ElementFactory.find(e) for e in ('webrtcbin', 'nicesink', 'vp8enc', 'opusenc', 'x264enc', 'avdec_h264'))
PEER_PACKAGES = python3-aiortc python3-numpy python3-paho-mqtt python3-websockets python3-gst-1.0 gir1.2-gst-plugins-bad-1.0 gstreamer1.0-nice \
	gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav

# The tables of events and of metrics in the topics events and monitoring, and the types of the fixture for Playwright.
docs: deps
	PARLEY_DOCS=update go test -count=1 -run 'TestEventsTopic$$|TestMonitoringTopic$$|TestPlaywrightTypes$$' ./cmd/parley ./cmd/parley/internal/telemetry ./cmd/parley/internal/e2e/packages

# What the tests run beside Go: real browsers, ffmpeg, Node. Each is installed
# by its package's name, if its command is not there.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
install = { $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $(1) >/dev/null; }
deps:
	@missing=; \
	for p in chromium:chromium firefox-esr:firefox-esr ffmpeg:ffmpeg ffprobe:ffmpeg node:nodejs npm:npm turnserver:coturn \
		Xvfb:xvfb tshark:tshark nft:nftables ip:iproute2 unshare:util-linux g++:g++ pkg-config:pkg-config pulseaudio:pulseaudio pactl:pulseaudio-utils tmux:tmux espeak-ng:espeak-ng janus:janus whip-client:simple-whip-client \
		man:man-db groff:groff-base mandoc:mandoc fish:fish zsh:zsh haproxy:haproxy mosquitto:mosquitto zbarimg:zbar-tools systemd-analyze:systemd promtool:prometheus; do \
		command -v $${p%%:*} >/dev/null || missing="$$missing $${p##*:}"; \
	done; \
	pkg-config --exists vpx 2>/dev/null || missing="$$missing libvpx-dev"; \
	/usr/bin/python3 -c "$(PEERS)" 2>/dev/null || missing="$$missing $(PEER_PACKAGES)"; \
	if [ -n "$$missing" ]; then \
		echo "installing$$missing"; \
		$(call install,$$missing); \
	fi
	npm install --prefix signal/testdata/original --no-audit --no-fund --no-save --silent
	npm install --prefix cmd/parley/internal/e2e/adapter/testdata --no-audit --no-fund --no-save --no-package-lock --silent
	npm install --prefix signal/web/testdata/js --no-audit --no-fund --no-save --no-package-lock --silent
	npm install --prefix cmd/parley/internal/e2e/gateway/testdata --ignore-scripts --no-audit --no-fund --no-save --no-package-lock --silent
	npm install --prefix packaging/playwright --ignore-scripts --no-audit --no-fund --no-save --no-package-lock --silent

lint:
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	go vet -tags "$(TAGS) lab bench codecs formats servers packages" ./...
	go vet -tags "$(TAGS) gorilla" ./signal/...
	go tool staticcheck -tags "$(TAGS) lab bench codecs formats servers packages" ./...
	CGO_ENABLED=0 go vet ./media/device/...
	CGO_ENABLED=0 go vet -tags quick ./...

# Every way in which it builds.
builds:
	CGO_ENABLED=0 go build -o /dev/null ./cmd/parley
	CGO_ENABLED=1 go build -o /dev/null ./cmd/parley
	CGO_ENABLED=1 go build -tags vpx -o /dev/null ./cmd/parley
	for target in linux/arm64 darwin/arm64 windows/amd64; do \
		CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} go build -o /dev/null ./cmd/parley || exit 1; \
	done

# Tests with real browsers and networks: up to ten that fail, subtests and theirs, are run again,
# alone; what passes then is listed as failed in the first run all the same. The
# package that takes longest begins first. Tests wait for most of their time, so
# three packages run on two cores; what they share is compiled before.
check:
	@echo "no camera and no audio device is tested here: see make lab"
	CGO_ENABLED=0 go test ./media/device/...
	CGO_ENABLED=1 go test ./media/device/...
	cd peer/third_party/sctp && go test -race ./...
	cd peer/third_party/dtls && go test -race .
	go -C packaging/plots run . -check ../../cmd/parley/docs/performance.md ../../cmd/parley/docs/capacity.md
	go build -race -tags "$(TAGS)" ./...
	go tool gotestsum --format pkgname-and-test-fails --rerun-fails=2 --rerun-fails-max-failures=10 --packages="./signal/web ./cmd/parley ./peer ./cmd/parley/internal/e2e/... ./..." -- -p 3 -race -timeout 40m -tags "$(TAGS)"

# Archives, packages, checksums and SBOM of the commit in out/release, without a network once the tools are there. Nothing
# is published. See the topic install.
TOOLS = $(CURDIR)/out/tools
.PHONY: release tools packages compose package-tools
release: tools
	PATH="$(TOOLS):$$PATH" GOFLAGS= goreleaser release --snapshot --clean

tools:
	@command -v g++ >/dev/null && pkg-config --exists vpx || $(call install,g++ pkg-config libvpx-dev)
	GOBIN="$(TOOLS)" go -C packaging install tool

# The release of the commit made twice and compared; its packages installed, upgraded and removed in a small Debian that is
# booted with systemd; the image built and run, and compose.yaml with it; the module path changed. Wants root.
PACKAGE_TESTS = PATH="$(TOOLS):$$PATH" PARLEY_PACKAGES="$(CURDIR)/out/packages" go test -count=1 -timeout 90m -tags packages -v ./cmd/parley/internal/e2e/packages
packages: tools package-tools deps
	$(PACKAGE_TESTS)

# The services of compose.yaml, started in namespaces as an engine would, and called.
compose: package-tools
	$(PACKAGE_TESTS) -run TestImage

package-tools:
	@missing=; for p in mmdebstrap:mmdebstrap buildah:buildah unshare:util-linux busybox:busybox-static nft:nftables ip:iproute2; do command -v $${p%%:*} >/dev/null || missing="$$missing $${p##*:}"; done; \
	[ -z "$$missing" ] || $(call install,$$missing)

lab-set:
	@[ -n "$$PARLEY_LAB" ] || { echo "set PARLEY_LAB to a program that runs a command on a machine with a camera and an audio device"; exit 1; }

# The devices, on a machine with a known camera and audio device that is emulated,
# and wants a quiet host: see cmd/parley/internal/e2e/lab.
lab: lab-set
	@command -v chromium-headless-shell >/dev/null || DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends chromium-headless-shell >/dev/null
	go test -tags lab -count=1 -timeout 40m -run TestLab -v ./cmd/parley/internal/e2e/lab

# Each video codec to and from each browser in each build, as a Markdown table.
codecs: deps
	go test -tags "$(TAGS) codecs" -count=1 -timeout 60m -run TestCodecs -v ./cmd/parley/internal/e2e/browser | $(TABLE)

# Fifty video calls across three servers, which are restarted one after the other meanwhile.
cluster-calls: deps
	PARLEY_ROLLING=full go test -count=1 -timeout 10m -run 'TestRollingRestart$$' -v ./cmd/parley/internal/e2e/cluster | $(TABLE)

# Calls with all the peers of others, each in both roles; writes the table of
# the topic interop.
interop: deps whip-servers
	npm install --prefix cmd/parley/internal/e2e/interop/testdata --no-audit --no-fund --no-save --no-package-lock --silent
	go test -count=1 -v ./cmd/parley/internal/e2e/gateway
	PARLEY_INTEROP=all go test -count=1 -timeout 40m -tags "$(TAGS)" -run 'TestInterop$$|TestChangesOfACallWithoutBundle' -v ./cmd/parley/internal/e2e/interop

# WHIP and WHEP with the servers of others, which are checked: MediaMTX, LiveKit, Janus and Pion's example.
whip-servers: deps
	npm install --prefix cmd/parley/internal/e2e/interop/testdata/whipserver --no-audit --no-fund --no-save --no-package-lock --silent
	go test -count=1 -timeout 40m -tags "$(TAGS) servers" -run TestWHIPServers -v ./cmd/parley/internal/e2e/interop

# parley probe of a tab, of a page like the original ones, and of an echo; writes the
# reports of the topic interop.
reports: deps
	go test -count=1 -timeout 25m -tags "$(TAGS) bench" -run 'TestReports$$' -v ./cmd/parley/internal/e2e/browser

# The faults that take long, as long as they may.
faults:
	PARLEY_FAULTS=full go test -count=1 -run 'TestFaults/7[46]' -v ./peer

# Every fuzz test, for as long as FUZZTIME says: make fuzz FUZZ=media tests those below media.
FUZZTIME ?= 10m
FUZZ ?= .
fuzz:
	@for d in $$(grep -rl '^func Fuzz' --include='*_test.go' $(FUZZ) | xargs -n1 dirname | sort -u); do \
		for f in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\).*/\1/p' $$d/*_test.go); do \
			echo "$$d $$f"; \
			go test -run XXX -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s ./$$d || exit 1; \
		done; \
	done

# Two clients talk over a network that breaks 10,000 times, at random points, and two pages in a call
# lose their connections to the server 100 times: make cuts CUTS=1000 PAGE_CUTS=20.
CUTS ?= 10000
PAGE_CUTS ?= 100
cuts: deps
	PARLEY_CUTS=$(PAGE_CUTS) go test -count=1 -timeout 60m -run 'TestInterruptions$$' -v ./signal/web | $(TABLE)
	PARLEY_CUTS=$(CUTS) go test -count=1 -timeout 40m -parallel 8 -run 'TestExactlyOnce$$' -v ./signal/client | $(TABLE)

# Both sides call at once, fifty times in a row, in each pairing and browser: make glare GLARES=5.
GLARES ?= 50
glare: deps
	go test -count=1 -run 'TestGlare$$' -v ./peer
	PARLEY_GLARES=$(GLARES) go test -count=1 -timeout 60m -run TestGlareWith -v ./cmd/parley/internal/e2e/browser

# Files of some fifty producers in calls, and their recordings compared with them:
# the table of the topic sources. One is recorded from the audio device of make lab.
formats: lab-set deps
	@missing=; for c in gst-launch-1.0 mkvmerge opusenc sox arecord espeak-ng; do command -v $$c >/dev/null || missing=1; done; [ -z "$$missing" ] || $(call install,gstreamer1.0-tools \
		gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly mkvtoolnix opus-tools sox alsa-utils espeak-ng)
	go test -count=1 -timeout 30m -tags "$(TAGS) formats" -run 'TestFormats$$' -v ./cmd/parley/internal/e2e/ffmpeg

# A gigabyte through pipe and send, to and from Chromium and Firefox too, and
# files of 100 MiB: that all of it comes, and what memory that takes.
bulk: deps
	PARLEY_BULK=full go test -count=1 -timeout 60m -tags "$(TAGS)" -run 'InBulk|TestSendToATab|TestReceiveFromATab' -v ./cmd/parley/internal/e2e/browser ./cmd/parley/internal/e2e/network

# Attacks on a server with 100 honest clients, and what those noticed, as a Markdown
# table.
attacks: build
	go run ./signal/signaltest/attacks -parley ./parley $(ARGS)

# Histories of names and messages on three nodes and three NATS servers that are killed, paused and cut
# off: make cluster-faults CLUSTERTIME=5m PARLEY_CLUSTER_SEED=1. The first fault alone takes a minute.
CLUSTERTIME ?= 30m
cluster-faults:
	PARLEY_CLUSTER_FAULTS=$(CLUSTERTIME) go test -count=1 -timeout 0 -run 'TestHistories$$' -v ./signal/cluster/nats

# The signaling server beside itself on gorilla/websocket, with and without TLS,
# and beside Node's, on the same load, as a Markdown table.
bench-signal: deps
	go run ./signal/signaltest/bench $(ARGS)

# A cluster of three servers beside a single one, on the same load, as a Markdown table: fails if a goal is missed, as on
# a busy machine or with few connections (ARGS='-rounds 1 -span 1s -idle 500', eight minutes).
bench-cluster: deps
	go run ./signal/signaltest/bench -cluster -idle 10000 $(ARGS)

# What streams cost beside ffmpeg, aiortc and Pion's examples, and how long a frame is on its
# way, as Markdown tables. Takes about ten minutes.
bench-media: deps
	go test -tags "vpx bench" -count=1 -timeout 60m -run 'TestBenchMedia|TestBenchVideo|TestBenchLatency' -v ./cmd/parley/internal/e2e/bench | $(TABLE)

# Call set-up between two processes beside libwebrtc's, and the first decoded frame of 1280x720 in Chromium, as
# Markdown tables.
bench-setup: deps
	npm install --prefix peer/peertest/setup --no-audit --no-fund --no-save --no-package-lock --silent
	go run ./peer/peertest/setup $(ARGS)
	go test -tags "vpx bench" -count=1 -timeout 60m -run TestBenchFirstFrame -v ./cmd/parley/internal/e2e/bench | $(TABLE)

# How fast bytes go over emulated networks beside libwebrtc and libdatachannel, and
# beside a TCP connection, as a Markdown table. Root, or user namespaces. Takes about half an hour.
bench-data: build deps
	@command -v openssl >/dev/null && command -v iperf3 >/dev/null || $(call install,openssl iperf3)
	npm install --prefix peer/peertest/bulk --no-audit --no-fund --no-save --no-package-lock --silent
	go run ./peer/peertest/bulk -parley ./parley $(ARGS)

# The three largest costs of each end of calls with data and video, from CPU profiles in out/profiles.
bench-profile: deps
	go run ./peer/peertest/bulk -profile out/profiles -span 10s $(ARGS)
	PARLEY_PROFILES=$(CURDIR)/out/profiles go test -tags "vpx bench" -count=1 -timeout 60m -run TestProfileVideo -v ./cmd/parley/internal/e2e/bench | $(TABLE)

# The figures of the topics performance and capacity, drawn from their tables.
bench-plots:
	go -C packaging/plots run . ../../cmd/parley/docs/performance.md ../../cmd/parley/docs/capacity.md

# The tests of pion/sctp against the changed copy in peer/third_party.
sctp-tests:
	copy=$$(mktemp -d) && trap 'rm -rf $$copy' EXIT && cp -r peer/third_party/sctp/. $$copy && \
	original=$$(cd $$copy && go mod download -json github.com/pion/sctp@v1.11.1 | sed -n 's/.*"Dir": "\(.*\)",/\1/p') && \
	cp $$original/*_test.go $$copy && chmod -R u+w $$copy && patch -d $$copy -p0 <peer/third_party/sctp-tests.patch && cd $$copy && go test -count=1 .

# The tests of pion/dtls against the changed copy in peer/third_party.
dtls-tests:
	copy=$$(mktemp -d) && trap 'rm -rf $$copy' EXIT && original=$$(cd $$copy && go mod download -json github.com/pion/dtls/v3@v3.1.8 | sed -n 's/.*"Dir": "\(.*\)",/\1/p') && \
	cp -r $$original/. $$copy && chmod -R u+w $$copy && cp -r peer/third_party/dtls/. $$copy && cd $$copy && go test -count=1 ./...

# That channels of a call can be opened and closed without end.
bench-channels:
	go test -tags bench -count=1 -timeout 60m -run TestManyChannels -v ./peer ./peer/datachannel | $(TABLE)

# What each of fifty calls at once costs one process, with text only, and with audio and video.
bench-calls:
	go test -count=1 -timeout 60m -run TestFiftyCallsAtOnce -v ./cmd/parley | $(TABLE)
	PARLEY_BENCH_MEDIA=1 go test -count=1 -timeout 60m -run TestFiftyCallsAtOnce -v ./cmd/parley | $(TABLE)

# What receiving fifty calls with audio costs one process, also that of another
# binary of parley: make bench-audio BASELINE=path
bench-audio:
	PARLEY_BASELINE=$(abspath $(BASELINE)) go test -tags bench -count=1 -timeout 60m -run TestBenchAudioCalls -v ./cmd/parley | $(TABLE)

# What 1, 10, 50 and 200 calls with audio cost one process, and twelve hours of a recording.
bench-growth:
	go test -tags bench -count=1 -timeout 60m -run TestBenchGrowthOfCalls -v ./cmd/parley | $(TABLE)
	go test -tags bench -count=1 -timeout 60m -run TestManyHours -v ./media/recorder | $(TABLE)

# The test sources through Chromium and Firefox as an echo, and as a recorder;
# wants a machine with time to spare.
bench-tab: deps
	go test -count=1 -timeout 60m -tags "$(TAGS) bench" -run TestQualityThroughTabs -v ./cmd/parley/internal/e2e/browser

clean:
	rm -rf parley out
	find . -name node_modules -prune -exec rm -rf {} +
