# devices.sh PARLEY OUT: calls between two terminals with the camera (vivid) and the audio device (ALSA loopback) of this
# machine. What they say and record goes to OUT, exit codes to OUT/codes.
parley=$1 out=$2
code() { echo "$1 $?" >>"$out/codes"; }
# await FILE TEXT waits until TEXT is in FILE.
await() { until grep -q "$2" "$1" 2>/dev/null; do sleep 0.1; done; }

"$parley" devices --output json >"$out/devices.json" 2>"$out/devices.log"; code devices
"$parley" serve --listen 127.0.0.1:9090 >"$out/serve.log" 2>&1 &
server=$!
await "$out/serve.log" 'signaling on'

"$parley" call nobody --video camera:7 2>"$out/missing.log"; code missing

"$parley" answer --as bob --once --expect 'video.frames>=60' --record "$out/camera.h264" --timeout 120s >"$out/bob.log" 2>&1 &
bob=$!
await "$out/bob.log" 'waiting for calls'
"$parley" call bob --video camera --video-size 320x240@10 --duration 60s --timeout 120s >"$out/camera.log" 2>&1 &
caller=$!
await "$out/camera.log" 'connected to'
"$parley" call nobody --video camera 2>"$out/busy.log"; code busy
wait $bob; code bob
wait $caller; code camera

# The camera is unplugged in mid-call, and plugged in again.
"$parley" answer --as dora --once --record "$out/again.h264" --timeout 120s --output ndjson >"$out/dora.log" 2>&1 &
dora=$!
await "$out/dora.log" '"event":"login"'
"$parley" call dora --video camera --video-size 320x180@10 --duration 120s --timeout 120s >"$out/unplugged.log" 2>&1 &
caller=$!
await "$out/dora.log" '"event":"frame"'
echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind
await "$out/dora.log" '"kind":"video","muted":true'
await "$out/unplugged.log" 'is gone'
await "$out/dora.log" '"fps":0[,}]' # a second without frames
echo vivid.0 >/sys/bus/platform/drivers/vivid/bind
await "$out/unplugged.log" 'is back'
await "$out/dora.log" '"kind":"video","muted":false'
until sed -n '/"fps":0[,}]/,$p' "$out/dora.log" | grep -q '"fps":[1-9]'; do sleep 0.1; done
kill -INT $caller
wait $caller; code unplugged
wait $dora; code dora

# The loopback card takes the format of who opens it first, so play before recording.
ffmpeg -v error -f lavfi -i sine=frequency=440:sample_rate=48000 -ac 2 -f alsa hw:0,0 </dev/null &
player=$!
await /proc/asound/card0/pcm0p/sub0/status RUNNING
# An emulated machine may get no time for longer than its audio device waits, and then audio is lost that no program could
# have saved. So there are several tries, until one has no silence.
for try in 1 2 3 4; do
	"$parley" answer --as carol --once --expect 'audio.packets>=400' --record "$out/tone$try.ogg" --timeout 60s \
		>"$out/carol$try.log" 2>&1 &
	carol=$!
	await "$out/carol$try.log" 'waiting for calls'
	"$parley" call carol --audio microphone:hw:0,1 --audio-rate 16000 --duration 40s --timeout 60s >"$out/microphone$try.log" 2>&1; code microphone
	wait $carol; code carol
	ffmpeg -ss 0.5 -i "$out/tone$try.ogg" -af silencedetect=noise=-40dB:d=0.06 -f null - >"$out/silence" 2>&1 </dev/null
	grep -q silence_start "$out/silence" || break
done
kill -9 $player

# What is heard at the other end of a call comes out of the card.
"$parley" answer --as eve --once --audio-out hw:0,0 --timeout 60s >"$out/eve.log" 2>&1 &
eve=$!
await "$out/eve.log" 'waiting for calls'
"$parley" call eve --audio tone:500 --duration 120s --timeout 60s >"$out/player.log" 2>&1 &
caller=$!
await /proc/asound/card0/pcm0p/sub0/status RUNNING
param() { sed -n "s/^$1: \([^ ]*\).*/\1/p" /proc/asound/card0/pcm0p/sub0/hw_params; }
case $(param format) in FLOAT_LE) codec=pcm_f32le ;; S32_LE) codec=pcm_s32le ;; *) codec=pcm_s16le ;; esac
ffmpeg -v error -c:a $codec -f alsa -ar "$(param rate)" -ac "$(param channels)" -i hw:0,1 -t 8 -ac 1 "$out/played.wav" 2>"$out/played.log" </dev/null; code played
kill -INT $caller
wait $caller
wait $eve; code eve
kill -9 $server
wait
