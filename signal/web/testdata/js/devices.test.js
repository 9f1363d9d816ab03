import assert from 'node:assert/strict';
import test from 'node:test';

import {defaultChoice, explainErrors, newConstraints, openTracks, parseChoice} from '../../page/constraints.js';
import {newLevel} from '../../page/mixer.js';

/** Has getUserMedia of this process be answered by a function of the constraints. */
function answer(getUserMedia) {
  Object.defineProperty(globalThis, 'navigator', {configurable: true, value: {mediaDevices: {
    getUserMedia: async constraints => ({getTracks: () => getUserMedia(constraints)}),
  }}});
}

const refuse = name => { throw Object.assign(new Error(name), {name}); };
const kindsOf = constraints => ['audio', 'video'].filter(kind => constraints[kind]);

test('video is 1280x720 unless another size is chosen', () => {
  const {video, audio} = newConstraints(['video'], defaultChoice);
  assert.deepEqual(video, {facingMode: {ideal: 'user'}, width: {ideal: 1280}, height: {ideal: 720}, frameRate: {ideal: 30}});
  assert.equal(audio, false);
  const chosen = newConstraints(['audio', 'video'], {...defaultChoice, size: '640x360', video: 'c', audio: 'm'});
  assert.deepEqual(chosen.audio, {deviceId: {exact: 'm'}});
  assert.deepEqual(chosen.video, {deviceId: {exact: 'c'}, width: {ideal: 640}, height: {ideal: 360}, frameRate: {ideal: 30}});
});

test('a stored choice that is not valid is the default', () => {
  for (const stored of [null, 7, 'x', [], {size: 'toString'}, {size: '9x9', video: 7, audio: 'x'.repeat(513), facing: 'left'}]) {
    assert.deepEqual(parseChoice(stored), defaultChoice);
  }
  const choice = {audio: 'm', video: 'c', facing: 'environment', size: '640x360'};
  assert.deepEqual(parseChoice({...choice, more: 1}), choice);
});

test('one missing device does not cost the other', async () => {
  answer(c => c.video ? refuse('NotFoundError') : kindsOf(c));
  const {tracks, errors} = await openTracks(['audio', 'video'], defaultChoice);
  assert.deepEqual(tracks, ['audio']);
  assert.equal(errors.video.name, 'NotFoundError');
  assert.equal(explainErrors(errors), 'No camera found. You can still call, be called and chat.');
});

test('a refusal is asked once, and is about both', async () => {
  let asked = 0;
  answer(() => { asked++; refuse('NotAllowedError'); });
  const {tracks, errors} = await openTracks(['audio', 'video'], defaultChoice);
  assert.deepEqual([tracks, asked], [[], 1]);
  assert.match(explainErrors(errors), /^No camera and microphone: the browser does not allow it/);
});

test('a chosen device that is gone gives the default one', async () => {
  answer(c => c.video.deviceId ? refuse('OverconstrainedError') : kindsOf(c));
  const {tracks, errors} = await openTracks(['video'], {...defaultChoice, video: 'gone'});
  assert.deepEqual([tracks, errors], [['video'], {}]);
});

test('without getUserMedia the page has no secure origin', async () => {
  Object.defineProperty(globalThis, 'navigator', {configurable: true, value: {}});
  const {errors} = await openTracks(['audio'], defaultChoice);
  assert.match(explainErrors(errors), /^No microphone: browsers give them only/);
});

test('different causes are both named', () => {
  const text = explainErrors({audio: {name: 'Ended'}, video: {name: 'NotReadableError'}});
  assert.match(text, /^No camera: another program .* The microphone has stopped: it was disconnected/);
  assert.equal(explainErrors({}), '');
});

test('a level is linear in decibels', () => {
  assert.equal(newLevel(new Float32Array(8)), 0);
  assert.equal(newLevel([1, -1, 1, -1]), 1);
  assert.ok(Math.abs(newLevel([0.1, -0.1]) - 2 / 3) < 1e-9); // -20 dB
  assert.equal(newLevel([1e-4]), 0); // -80 dB
});
