// The application under test: calls and answers with camera, microphone and text. Its address has the name of the user
// (?as=NAME) and the signaling server (&server=URL).
const params = new URLSearchParams(location.search);
const me = params.get('as') ?? 'customer';
const at = id => document.getElementById(id);

/** The call, or the one that rings: its peer, connection, channel, and what waits for the description of the peer. */
let call = null;

const socket = new WebSocket(params.get('server') ?? `ws://${location.hostname}:9090`);
const send = message => socket.send(JSON.stringify(message));
socket.onopen = () => send({type: 'login', name: me});
socket.onclose = () => show('The server is gone');
socket.onmessage = event => {
  let message;
  try {
    message = JSON.parse(event.data);
  } catch {
    return; // a greeting
  }
  handlers[message.type]?.(message);
};

const handlers = {
  login: ({success}) => show(success ? `Signed in as ${me}` : `The name ${me} is taken`),
  offer: ({offer, name}) => offered(name, offer),
  answer: ({answer}) => described(answer),
  candidate: ({candidate}) => call?.described ? call.pc.addIceCandidate(candidate) : call?.early.push(candidate),
  leave: () => ended(`${call?.peer} has hung up`),
};

function show(status) { at('status').textContent = status; }

function begin(peer) {
  const pc = new RTCPeerConnection();
  call = {peer, pc, channel: null, early: [], described: false};
  pc.onicecandidate = ({candidate}) => { if (candidate) send({type: 'candidate', candidate, name: peer}); };
  pc.ontrack = ({streams}) => { at('remote').srcObject = streams[0]; };
  pc.ondatachannel = ({channel}) => talk(channel);
  pc.onconnectionstatechange = () => {
    if (pc.connectionState === 'connected') show(`In a call with ${peer}`);
    if (pc.connectionState === 'failed') ended(`The connection to ${peer} has failed`);
  };
  at('hangup').disabled = false;
}

function talk(channel) {
  call.channel = channel;
  channel.onmessage = ({data}) => note(call.peer, data);
}

async function described(description) {
  await call.pc.setRemoteDescription(description);
  call.described = true;
  for (const candidate of call.early.splice(0)) await call.pc.addIceCandidate(candidate);
}

async function addMedia() {
  const stream = await navigator.mediaDevices.getUserMedia({audio: true, video: true});
  for (const track of stream.getTracks()) call.pc.addTrack(track, stream);
  call.stream = stream;
}

async function dial(peer) {
  if (call) return;
  begin(peer);
  show(`Calling ${peer}`);
  talk(call.pc.createDataChannel('channel1'));
  await addMedia();
  await call.pc.setLocalDescription();
  send({type: 'offer', offer: call.pc.localDescription, name: peer});
}

function offered(peer, offer) {
  if (call) {
    if (call.peer !== peer) send({type: 'leave', name: peer}); // busy
    return;
  }
  begin(peer);
  call.offer = offer;
  at('caller').textContent = `${peer} calls`;
  at('ringing').hidden = false;
}

async function answer() {
  at('ringing').hidden = true;
  const {offer, peer} = call;
  await addMedia();
  await described(offer);
  await call.pc.setLocalDescription();
  send({type: 'answer', answer: call.pc.localDescription, name: peer});
}

function hangUp() {
  send({type: 'leave', name: call.peer});
  ended('You have hung up');
}

function ended(status) {
  if (!call) return;
  call.pc.close();
  for (const track of call.stream?.getTracks() ?? []) track.stop();
  call = null;
  at('remote').srcObject = null;
  at('ringing').hidden = true;
  at('hangup').disabled = true;
  show(status);
}

function note(name, text) {
  const line = document.createElement('li');
  line.textContent = `${name}: ${text}`;
  at('messages').append(line);
}

at('dial').onsubmit = event => {
  event.preventDefault();
  dial(at('name').value);
};
at('chat').onsubmit = event => {
  event.preventDefault();
  if (call?.channel?.readyState !== 'open') return;
  call.channel.send(at('message').value);
  note('me', at('message').value);
  event.target.reset();
};
at('answer').onclick = answer;
at('decline').onclick = hangUp;
at('hangup').onclick = hangUp;
