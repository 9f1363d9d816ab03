#!/bin/sh
# Makes systemd forget the units. After a purge of the .deb nothing is left but recordings, if there are any.
set -e
if [ "$1" = purge ]; then
	rm -rf /etc/parley /var/cache/parley /var/cache/private/parley
	for state in /var/lib/private/parley /var/lib/parley; do # folders, and links to them
		[ ! -d $state ] || find $state -depth \( -type d -empty -o -xtype l \) -delete
	done
fi
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
