# topic.sh: sourced by the scripts that TestPackages makes of the topic install: what a person does beside its commands.
. ./units.sh

begin=$(date +%s%N)
apt() { command apt -y -q "$@" >/dev/null 2>&1; }
dnf() { command dnf -y -q --disablerepo='*' --releasever 1 "$@"; }

# edit OPTION... runs systemctl edit, with stdin as what its editor writes. It wants a terminal.
edit() {
	cat >/tmp/text
	printf '#!/bin/sh\ncat /tmp/text >"$1"\n' >/tmp/editor
	chmod +x /tmp/editor
	SYSTEMD_EDITOR=/tmp/editor script -qec "systemctl edit $*" /dev/null
}

# certificate makes the certificate of call.example.org, which is this machine, and trusts it.
certificate() {
	echo 127.0.0.1 call.example.org >>/etc/hosts
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=call.example.org -addext subjectAltName=DNS:call.example.org \
		-keyout /etc/ssl/private/call.key -out /etc/ssl/call.pem 2>/dev/null
	chmod 600 /etc/ssl/private/call.key
	cat /etc/ssl/call.pem >>/etc/ssl/certs/ca-certificates.crt
}

# served checks the server after the commands for its options.
served() {
	parley doctor --health http://127.0.0.1:9091
	(echo >/dev/tcp/localhost/9090) 2>/dev/null && fail "port 9090 is still open"
	systemd-analyze verify --man=false parley-acme.socket
}

# answered calls the service that answers as door, again with the options for a camera, and looks for the recordings.
answered() {
	for _ in 1 2; do
		until_true parley call door --server wss://call.example.org --quiet --wait 20s --video test --audio test --expect connected --linger 1s
		systemctl restart parley-answer@door
	done
	[ "$(state parley-answer@door PrivateDevices)" = no ] || fail "the options for a camera have no effect"
	ls -l /var/lib/parley/door/
	[ "$(ls /var/lib/parley/door/*.webm | wc -l)" -ge 2 ] || fail "no recordings"
}

# system makes the database of rpm and a package that stands for the system below: without it nothing provides /bin/sh.
system() {
	rpm --initdb
	cat >system.spec <<-'S'
		Name: system
		Version: 1
		Release: 1
		Summary: What the system has
		License: none
		BuildArch: noarch
		Provides: /bin/sh
		%description
		%files
	S
	rpmbuild --quiet -bb --define "_rpmdir $PWD" system.spec
	rpm -i noarch/system-1-1.noarch.rpm
}

# called calls through the server at port 9090.
called() {
	parley echo --quiet &
	parley call echo --quiet --wait 20s --video test --expect 'video.frames>=1'
	kill $!
}
