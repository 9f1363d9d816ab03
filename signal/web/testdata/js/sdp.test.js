import assert from 'node:assert/strict';
import test from 'node:test';

import {belongs, hasData, hasUnchanged, restarts, session, unchanged, withStereo} from '../../page/sdp.js';

const lines = (...list) => list.map(line => line + '\r\n').join('');

const head = (ufrag, ...more) => lines('v=0', 'o=- 4611 2 IN IP4 127.0.0.1', 's=-', 't=0 0', ...more, `a=ice-ufrag:${ufrag}`);
const audio = lines('m=audio 9 UDP/TLS/RTP/SAVPF 111 0', 'c=IN IP4 0.0.0.0', 'a=mid:0', 'a=setup:actpass', 'a=extmap:1 urn:level', 'a=extmap:2 urn:time',
  'a=sendrecv', 'a=rtpmap:111 opus/48000/2', 'a=fmtp:111 minptime=10;useinbandfec=1', 'a=rtpmap:0 PCMU/8000');
const data = lines('m=application 9 UDP/DTLS/SCTP webrtc-datachannel', 'c=IN IP4 0.0.0.0', 'a=mid:1', 'a=setup:actpass');
const video = lines('m=video 9 UDP/TLS/RTP/SAVPF 96', 'c=IN IP4 0.0.0.0', 'a=mid:2', 'a=setup:actpass', 'a=sendrecv', 'a=rtpmap:96 VP8/90000');

const offerer = head('aaaa', 'a=group:BUNDLE 0 1') + audio.replace('actpass', 'active') + data.replace('actpass', 'active');
const answerer = head('bbbb', 'a=group:BUNDLE 0 1') + audio.replace('actpass', 'passive') + data.replace('actpass', 'passive');
const offer = head('aaaa', 'a=group:BUNDLE 0 1 2') + audio + data + video;

test('unchanged rejects a new section and keeps the others', () => {
  const answer = unchanged(offer, answerer, offerer);
  assert.match(answer, /^a=group:BUNDLE 0 1\r$/m);
  assert.match(answer, /^m=audio 9 UDP\/TLS\/RTP\/SAVPF 111 0\r$/m);
  assert.match(answer, /^m=video 0 UDP\/TLS\/RTP\/SAVPF 96\r\nc=IN IP4 0\.0\.0\.0\r\na=mid:2\r\na=inactive\r\n$/m);
  assert.equal(answer.match(/^m=/gm).length, 3);
  assert.match(answer, /^a=ice-ufrag:bbbb\r$/m);
});

test('unchanged has only formats and extensions of the offer', () => {
  const fewer = offer.replace(' 111 0\r\n', ' 111\r\n').replace('a=rtpmap:0 PCMU/8000\r\n', '').replace('a=extmap:2 urn:time\r\n', '');
  const answer = unchanged(fewer, answerer, offerer);
  assert.match(answer, /^m=audio 9 UDP\/TLS\/RTP\/SAVPF 111\r$/m);
  assert.doesNotMatch(answer, /PCMU|urn:time/);
});

test('unchanged answers the direction', () => {
  for (const [asked, want] of [['sendonly', 'recvonly'], ['recvonly', 'sendonly'], ['inactive', 'inactive'], ['sendrecv', 'sendrecv']]) {
    const answer = unchanged(offer.replace('a=sendrecv', 'a=' + asked), answerer, offerer);
    assert.match(answer.split(/^(?=m=)/m)[1], new RegExp(`^a=${want}\r$`, 'm'), asked);
  }
});

test('hasUnchanged is false for an ICE restart, and for an offer with nothing of the call', () => {
  assert.equal(hasUnchanged(offer, answerer, offerer), true);
  assert.equal(hasUnchanged(offer.replace('ufrag:aaaa', 'ufrag:cccc'), answerer, offerer), false);
  assert.equal(hasUnchanged(head('aaaa') + audio.replace('mid:0', 'mid:7'), answerer, offerer), false);
});

test('restarts compares the user fragments', () => {
  assert.equal(restarts(offer, offerer), false);
  assert.equal(restarts(offer, answerer), true);
});

test('session is the id of the o= line', () => {
  assert.equal(session(offer), '4611');
  assert.equal(session('v=0\r\n'), '');
});

test('withStereo declares what is received, and in an answer what is sent', () => {
  const fmtp = (type, remote) => /^a=fmtp:111 (.*)\r$/m.exec(withStereo({type, sdp: offer}, remote).sdp)[1];
  assert.equal(fmtp('answer', null), 'minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1');
  assert.equal(fmtp('offer', null), 'minptime=10;useinbandfec=1;stereo=1');
  assert.equal(fmtp('offer', {sdp: 'a=fmtp:111 sprop-stereo=1\r\n'}), 'minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1');
});

test('withStereo replaces other values and adds a missing fmtp', () => {
  const edit = sdp => withStereo({type: 'answer', sdp}, null).sdp;
  assert.match(edit(offer.replace('useinbandfec=1', 'stereo=0;sprop-stereo=0')), /^a=fmtp:111 minptime=10;stereo=1;sprop-stereo=1\r$/m);
  assert.match(edit(offer.replace(/a=fmtp.*\r\n/, '')), /^a=rtpmap:111 opus\/48000\/2\r\na=fmtp:111 stereo=1;sprop-stereo=1\r$/m);
  assert.equal(edit(edit(offer)), edit(offer));
});

test('hasData finds a section that is not rejected', () => {
  assert.equal(hasData(offer), true);
  assert.equal(hasData(offer.replace('m=application 9', 'm=application 0')), false);
  assert.equal(hasData(head('aaaa') + audio), false);
});

test('belongs compares the user fragment of a candidate', () => {
  const candidate = 'candidate:1 1 udp 1 192.0.2.1 9 typ host';
  assert.equal(belongs({candidate, usernameFragment: 'aaaa'}, offer), true);
  assert.equal(belongs({candidate, usernameFragment: 'cccc'}, offer), false);
  assert.equal(belongs({candidate: candidate + ' ufrag aaaa'}, offer), true);
  assert.equal(belongs({candidate: candidate + ' ufrag aaa'}, offer), false);
  assert.equal(belongs({candidate}, offer), true);
});

test('unchanged copies what a replacement would take for a pattern', () => {
  for (const name of ['$&', '$\'', '$`', '$1', '$$']) {
    const mids = text => text.replaceAll('a=mid:0', () => `a=mid:${name}`).replace('BUNDLE 0', () => `BUNDLE ${name}`);
    const answer = unchanged(mids(offer), mids(answerer), mids(offerer));
    assert.equal(answer.split('\r\n').filter(line => line === `a=mid:${name}`).length, 1, name);
    assert.ok(answer.includes(`a=group:BUNDLE ${name} 1\r\n`), name);
    assert.equal(answer.match(/^m=/gm).length, 3, name);
  }
});
