# compose.sh: sourced by the script that TestImage makes of compose.yaml, in namespaces of its own. It has what an engine
# does for containers: file systems, networks, names, ports, health checks and their order. $work is an empty folder.

fail() { echo "FAIL: $*"; tail -n 20 "$work"/*.log; exit 1; }

# host prepares the machine: the bridge of the containers, the network with clients, and forwarding between them.
host() {
	mount --make-rprivate /
	mkdir -p /run/netns
	mount -t tmpfs tmpfs /run/netns
	mount -t tmpfs tmpfs "$work"
	ip link set lo up
	ip link add containers type bridge
	ip addr add 172.18.0.1/16 dev containers
	ip link set containers up
	ip link add clients type bridge
	ip addr add "$PARLEY_IP/24" dev clients
	ip link set clients up
	echo 1 >/proc/sys/net/ipv4/ip_forward
	nft -f - <<-E
		table ip engine {
			chain in { type nat hook prerouting priority dstnat; }
			chain out { type nat hook postrouting priority srcnat; ip saddr 172.18.0.0/16 oifname != "containers" masquerade; }
		}
	E
	printf '127.0.0.1 localhost\n' >"$work/hosts"
}

# network NAME BRIDGE ADDRESS GATEWAY makes a network namespace with an interface at a bridge.
network() {
	ip netns add "$1"
	ip link add "v-$1" type veth peer name eth0 netns "$1"
	ip link set "v-$1" master "$2" up
	ip -n "$1" link set lo up
	ip -n "$1" addr add "$3" dev eth0
	ip -n "$1" link set eth0 up
	[ -z "$4" ] || ip -n "$1" route add default via "$4"
}

# publish PORT ADDRESS PORT forwards a port of the machine to a container.
publish() { nft add rule ip engine in ip daddr "$PARLEY_IP" tcp dport "$1" dnat to "$2:$3"; }

# root NAME IMAGE READ-ONLY makes the file system of a container: the image below an empty layer. VOLUMES are its folders.
root() {
	mkdir -p "$work/$1"/{layer,work,root}
	mount -t overlay -o "lowerdir=$2,upperdir=$work/$1/layer,workdir=$work/$1/work" overlay "$work/$1/root"
	mkdir -p "$work/$1/root"/{etc,proc,dev}
	cp "$work/hosts" "$work/$1/root/etc/hosts"
	mount -t proc proc "$work/$1/root/proc"
	touch "$work/$1/root/dev/null"
	mount --bind /dev/null "$work/$1/root/dev/null"
	for volume in $VOLUMES; do mkdir -p "$work/$1/root$volume"; done
	[ "$3" != true ] || mount -o remount,ro "$work/$1/root"
}

# inside NAME NETWORK USER CAPABILITIES COMMAND... runs a command in a container, with ENVIRONMENT.
inside() {
	local name=$1 network=$2 user=$3 bounds=$4
	shift 4
	local enter=(ip netns exec "$network")
	[ "$network" != host ] || enter=()
	exec "${enter[@]}" setpriv --no-new-privs --inh-caps=-all "--bounding-set=$bounds" \
		env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "${ENVIRONMENT[@]}" chroot "--userspec=$user" --groups= "$work/$name/root" "$@"
}

# healthy NAME waits until the health check of a container, the function health_NAME, succeeds.
healthy() {
	for _ in $(seq 60); do
		("health_$1") >>"$work/health-$1.log" 2>&1 && { echo "$1 is healthy"; return; }
		kill -0 "${pids[$1]}" || fail "$1 has ended"
		sleep 0.5
	done
	fail "$1 is not healthy"
}

# stop NAME SECONDS ends a container, which has to end in this time, with 0.
stop() {
	kill "${pids[$1]}"
	(sleep "$2"; kill -9 "${pids[$1]}") 2>/dev/null &
	local guard=$!
	wait "${pids[$1]}" || fail "$1 ended with $?"
	kill $guard
	echo "$1 has stopped"
}

# client NAME ARGUMENT... runs parley at a client, in place of this shell.
client() {
	local name=$1
	shift
	exec ip netns exec "$name" "$parley" "$@"
}

# calls MESSAGE SERVER SERVER ARGUMENT... calls from one client to the other, each at a server, and returns when a video frame has
# come there and back.
calls() {
	local message=$1 first=$2 second=$3
	shift 3
	client bob echo --as bob --server "$first" --quiet "$@" 2>"$work/bob.log" &
	local bob=$!
	(client alice call bob --as alice --server "$second" --wait 30s --video test --expect 'video.frames>=1' --output ndjson "$@") >"$work/alice.log" 2>&1 ||
		fail "no call: $message"
	kill $bob
	wait $bob || true
	echo "a call: $message"
}
