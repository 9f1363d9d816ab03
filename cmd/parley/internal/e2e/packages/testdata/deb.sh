# deb.sh: installs, runs, upgrades and removes the packages old.deb and new.deb in a booted system.
. ./units.sh

apt-get install -y -q --no-install-recommends ./old.deb >/dev/null
[ "$(state parley-serve.socket UnitFileState)" = disabled ] || fail "a service starts by itself"
units
for f in /usr/share/man/man1/parley-serve.1 /usr/share/man/man7/parley-install.7 /usr/share/bash-completion/completions/parley \
	/usr/share/zsh/vendor-completions/_parley /usr/share/fish/vendor_completions.d/parley.fish \
	/usr/share/parley/grafana/parley-calls.json /usr/share/parley/prometheus/parley.rules.yml; do
	[ -s $f ] || fail "no $f"
done

# An upgrade keeps the configuration, and restarts what runs.
echo '# kept' >>/etc/parley/serve.env
systemctl enable --now parley-serve.socket
systemctl start parley-serve
pid=$(state parley-serve MainPID) version=$(parley version | head -n 1)
apt-get install -y -q --no-install-recommends ./new.deb >/dev/null
case $(parley version) in "parley v1.0.0 ("*) ;; *) fail "after $version: $(parley version)" ;; esac
grep -q '# kept' /etc/parley/serve.env || fail "the upgrade replaced the configuration"
[ "$(state parley-serve MainPID)" != "$pid" ] && until_true parley doctor --health http://127.0.0.1:9091 || fail "the upgrade did not restart the server"

# A removal stops and disables it, and a purge leaves nothing but recordings.
apt-get remove -y -q parley >/dev/null
! systemctl is-active -q parley-serve.service parley-serve.socket || fail "a removed service runs"
[ ! -e /usr/bin/parley ] || fail "the binary is left"
[ -f /etc/parley/serve.env ] || fail "the removal took the configuration"
echo PARLEY_VIDEO=test >/etc/parley/answer-bob.env
touch /var/lib/private/parley/bob/kept.webm
apt-get purge -y -q parley >/dev/null
left=$(find / -xdev \( -path /out -o -path /proc -o -path /var/log \) -prune -o -iname '*parley*' -printf '%p ' -o -name kept.webm -printf '%p ')
[ "$left" = "/var/lib/private/parley /var/lib/private/parley/bob/kept.webm /var/lib/parley " ] || fail "left: $left"
