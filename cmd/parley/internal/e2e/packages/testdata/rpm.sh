# rpm.sh: installs, runs, upgrades and removes the packages old.rpm and new.rpm in a booted
# system, by dnf, and by rpm at the end.
. ./topic.sh

system
dnf install ./old.rpm
[ "$(state parley-serve.socket UnitFileState)" = disabled ] || fail "a service starts by itself"
units
for f in /usr/share/man/man1/parley-serve.1 /usr/share/zsh/site-functions/_parley \
	/usr/share/parley/grafana/parley-calls.json /usr/share/parley/prometheus/parley.rules.yml; do [ -s $f ] || fail "no $f"; done
rpm -V parley || fail "files differ from the package"

echo '# kept' >>/etc/parley/serve.env
systemctl enable --now parley-serve.socket
systemctl start parley-serve
pid=$(state parley-serve MainPID) version=$(parley version | head -n 1)
dnf upgrade ./new.rpm
case $(parley version) in "parley v1.0.0 ("*) ;; *) fail "after $version: $(parley version)" ;; esac
grep -q '# kept' /etc/parley/serve.env || fail "the upgrade replaced the configuration"
[ "$(state parley-serve MainPID)" != "$pid" ] && until_true parley doctor --health http://127.0.0.1:9091 || fail "the upgrade did not restart the server"

dnf remove parley
! systemctl is-active -q parley-serve.service parley-serve.socket || fail "a removed service runs"
[ ! -e /usr/bin/parley ] || fail "the binary is left"
rpm -i new.rpm
rpm -e parley
