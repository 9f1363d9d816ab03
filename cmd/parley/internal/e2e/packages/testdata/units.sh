# Sourced by deb.sh and rpm.sh: what the units do, in a booted system.

fail() { echo "FAIL: $*"; journalctl --no-pager -n 60 -u 'parley-*'; exit 1; }
until_true() { for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; fail "not within 30 s: $*"; }
state() { systemctl show -P "$2" "$1"; }
memory() { awk '/^Pss:/ { print $2 " KiB" }' "/proc/$(state "$1" MainPID)/smaps_rollup"; }

# Socket activation: the first request starts the server.
units() {
	systemctl start parley-serve.socket
	[ "$(state parley-serve ActiveState)" = inactive ] || fail "the server runs before the first request"
	exec 3<>/dev/tcp/localhost/9090
	printf 'GET / HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
	read -r line <&3
	[[ $line == *200* ]] || fail "got $line"
	exec 3>&-
	until_true test "$(state parley-serve ActiveState)" = active
	until_true parley doctor --health http://127.0.0.1:9091
	pid=$(state parley-serve MainPID)
	grep -q '^CapEff:\s*0*$' "/proc/$pid/status" || fail "the server has capabilities"
	[ "$(stat -c %u "/proc/$pid")" -ge 61184 ] || fail "the server is not a dynamic user"

	# A service that answers calls.
	systemctl start parley-answer@bob
	until_true parley call bob --quiet --wait 20s --video test --audio test --expect connected --linger 1s
	echo "memory at rest: serve $(memory parley-serve), answer $(memory parley-answer@bob)"
	[ -d /var/lib/parley/bob ] || fail "no folder for recordings"

	# A restart drains, and clients come back over the same socket.
	systemctl restart parley-serve
	journalctl --no-pager -u parley-serve | grep -q draining || fail "no drain"
	until_true parley call bob --quiet --wait 20s --expect connected
	[ "$(state parley-answer@bob NRestarts)" = 0 ] || fail "the restart ended the service that answers"

	# A server that hangs is replaced.
	mkdir -p /run/systemd/system/parley-serve.service.d
	printf '[Service]\nWatchdogSec=2s\nTimeoutAbortSec=1s\n' >/run/systemd/system/parley-serve.service.d/watchdog.conf
	systemctl daemon-reload
	systemctl restart parley-serve
	pid=$(state parley-serve MainPID)
	kill -STOP "$pid"
	until_true test_replaced "$pid"
	until_true parley call bob --quiet --wait 20s --expect connected

	# A stop ends both in success.
	systemctl stop parley-answer@bob parley-serve.socket parley-serve.service
	for u in parley-answer@bob parley-serve; do
		[ "$(state $u Result)/$(state $u ActiveState)" = success/inactive ] || fail "$u ended in $(state $u Result)"
	done
	systemd-analyze security --no-pager parley-serve.service | tail -n 1
}
test_replaced() { [ "$(state parley-serve MainPID)" != "$1" ] && [ "$(state parley-serve ActiveState)" = active ]; }
