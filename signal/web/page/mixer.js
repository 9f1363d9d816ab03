// Audio tracks as the Web Audio API processes them.

/**
 * Returns one track with the audio of several; null ones are left out. A muted track adds silence.
 * @param {(MediaStreamTrack | null)[]} tracks
 * @returns {{track: MediaStreamTrack, close(): void}}
 */
export function mix(tracks) {
  const context = new AudioContext();
  const destination = context.createMediaStreamDestination();
  for (const track of tracks) {
    if (track) context.createMediaStreamSource(new MediaStream([track])).connect(destination);
  }
  const [track] = destination.stream.getAudioTracks();
  return {
    track,
    close() {
      track.stop();
      context.close();
    },
  };
}

const interval = 66; // ms between two levels
const floor = -60; // dB of full scale that count as silence

/**
 * Calls onlevel with the level of a track, 0 to 1, linear in dB, 15 times a second until stopped.
 * @param {MediaStreamTrack} track
 * @param {(level: number) => void} onlevel
 * @returns {() => void} stops it
 */
export function watchLevel(track, onlevel) {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 2048;
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    onlevel(newLevel(samples));
  }, interval);
  return () => {
    clearInterval(timer);
    context.close();
  };
}

/**
 * Returns the RMS level of samples in [-1, 1], as 0 (-60 dB or less) to 1 (full scale).
 * @param {ArrayLike<number>} samples
 */
export function newLevel(samples) {
  let power = 0;
  for (let i = 0; i < samples.length; i++) power += samples[i] ** 2 / samples.length;
  const decibels = 10 * Math.log10(power);
  return Math.min(Math.max((decibels - floor) / -floor, 0), 1);
}
