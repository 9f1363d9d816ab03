#!/bin/sh
# Stops and disables the services, if this is no upgrade.
set -e
case "$1" in
remove | 0) ;;
*) exit 0 ;;
esac
[ -d /run/systemd/system ] || exit 0
systemctl disable --now parley-serve.socket parley-serve.service || true
systemctl stop 'parley-answer@*.service' || true
