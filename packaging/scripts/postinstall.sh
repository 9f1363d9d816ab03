#!/bin/sh
# Makes systemd know the units. No service starts by itself; after an upgrade, those that run are
# restarted: the server drains, and clients come back.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
case "$1" in
configure) [ -n "$2" ] || exit 0 ;; # deb: the version before, if any
1) exit 0 ;;                        # rpm: the number of versions
esac
systemctl try-restart parley-serve.service 'parley-answer@*.service' || true
