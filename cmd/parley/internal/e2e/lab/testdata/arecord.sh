# arecord.sh PLAYED RECORDED: plays a file into the audio device of this machine (ALSA loopback), over and over, and records
# 3 s of it with arecord.
set -e
while aplay -q -D hw:0,0 "$1"; do :; done </dev/null &
player=$!
# The card takes the format of who opens it first, so play before recording.
until grep -q RUNNING /proc/asound/card0/pcm0p/sub0/status 2>/dev/null; do sleep 0.1; done
arecord -q -D hw:0,1 -f S16_LE -r 48000 -c 2 -d 3 "$2"
kill $player
