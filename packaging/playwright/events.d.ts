// The events of parley --output ndjson, made by make docs from parley version --schema event.
// Names and members may be added: ignore unknown ones.

/** the addresses of this machine have changed */
export interface AddressesChanged {
  event: 'addresses-changed';
  time: string;
  peer: string;
  addresses: Array<string>;
}

/** parley listens for administration or metrics */
export interface Admin {
  event: 'admin';
  time: string;
  peer?: string;
  address: string;
  url: string;
}

/** a result of parley bench */
export interface Benchmark {
  event: 'benchmark';
  time: string;
  peer?: string;
  name: string;
  unit: string;
  value: number;
}

/** a binary message was received */
export interface Binary {
  event: 'binary';
  time: string;
  peer: string;
  bytes: number;
  /** base64; absent if the message is long */
  data?: string;
  direction: 'in';
  label: string;
}

/** a call begins */
export interface Call {
  event: 'call';
  time: string;
  peer: string;
  direction: 'out' | 'in';
}

/** an ICE candidate of this peer or the other one */
export interface Candidate {
  event: 'candidate';
  time: string;
  peer: string;
  address: string;
  protocol: 'udp' | 'tcp';
  side: 'local' | 'remote';
  type: 'host' | 'srflx' | 'prflx' | 'relay';
}

/** a data channel has opened or closed */
export interface Channel {
  event: 'channel';
  time: string;
  peer: string;
  id?: number;
  label: string;
  max_lifetime?: number;
  max_retransmits?: number;
  negotiated?: boolean;
  opened_by: 'us' | 'peer';
  ordered?: boolean;
  protocol?: string;
  state: 'open' | 'closed';
}

/** a result of parley doctor */
export interface Check {
  event: 'check';
  time: string;
  peer?: string;
  check: string;
  result: 'ok' | 'note' | 'bad';
  text: string;
}

/** the verification code is known */
export interface Code {
  event: 'code';
  time: string;
  peer: string;
  code: string;
  verified?: boolean;
}

/** a device of parley devices */
export interface Device {
  event: 'device';
  time: string;
  peer?: string;
  id: string;
  kind: 'camera' | 'microphone' | 'speaker' | 'screen';
  name?: string;
}

/** a codec that this build encodes to */
export interface Encoder {
  event: 'encoder';
  time: string;
  peer?: string;
  codec: string;
}

/** a call has ended */
export interface End {
  event: 'end';
  time: string;
  peer: string;
  error?: string;
  reason: 'local-hangup' | 'remote-hangup' | 'timeout' | 'failed' | 'error';
  seconds?: number;
}

/** the last event, if events were dropped because their reader stalled */
export interface EventsDropped {
  event: 'events-dropped';
  time: string;
  peer?: string;
  /** events that are missing */
  count: number;
}

/** an expectation holds, or has failed at the end */
export interface Expect {
  event: 'expect';
  time: string;
  peer: string;
  check: string;
  held: boolean;
  saw: string;
}

/** a file of a transfer has started or is complete */
export interface File {
  event: 'file';
  time: string;
  peer: string;
  direction: 'out' | 'in';
  /** of the transfer; the same when it is resumed */
  id: string;
  /** relative path at the sender */
  name: string;
  /** of the first byte that is sent; the bytes before it were there already */
  offset?: number;
  sha256?: string;
  size: number;
  state: 'began' | 'done';
}

/** a port whose connections are forwarded to the peer */
export interface Forward {
  event: 'forward';
  time: string;
  peer: string;
  listen: string;
  target: string;
}

/** the first frame of a track has arrived */
export interface Frame {
  event: 'frame';
  time: string;
  peer: string;
  first: true;
  kind: 'audio' | 'video';
  /** since the offer */
  ms: number;
  size?: string;
}

/** of the command that this answers */
export type Id = string | number;

/** nothing was received for some time; data: in a call without media */
export interface Interruption {
  event: 'interruption';
  time: string;
  peer: string;
  cause?: string;
  kind: 'audio' | 'video' | 'data';
  lost?: number;
  ms: number;
}

/** parley serve listens */
export interface Listening {
  event: 'listening';
  time: string;
  peer?: string;
  address: string;
  url?: string;
}

/** the server has answered the login */
export interface Login {
  event: 'login';
  time: string;
  peer?: string;
  name: string;
  success: boolean;
}

/** with --manual, the line for the peer */
export interface Manual {
  event: 'manual';
  time: string;
  peer?: string;
  line: string;
  type: 'offer' | 'answer';
}

/** one track in one direction; what was not measured is absent */
export interface Measured {
  /** bit/s in the last second */
  bitrate?: number;
  bytes: number;
  codec?: string;
  direction: 'out' | 'in';
  fps?: number;
  frames?: number;
  /** milliseconds */
  jitter?: number;
  kind: 'audio' | 'video';
  lost?: number;
  packets: number;
  /** milliseconds */
  rtt?: number;
  size?: string;
  /** Hz; present only if it is measured: with --expect audio.tone, --stats-dump, by a probe, or after a command stats */
  tone?: number;
}

/** a feature that this build lacks */
export interface MissingFeature {
  event: 'missing-feature';
  time: string;
  peer?: string;
  text: string;
}

/** the peer has muted or unmuted a kind of media */
export interface Mute {
  event: 'mute';
  time: string;
  peer: string;
  kind: 'audio' | 'video';
  muted: boolean;
}

/** parley serve runs a NATS server */
export interface NatsListening {
  event: 'nats-listening';
  time: string;
  peer?: string;
  address: string;
  url: string;
}

/** the candidate pair in use changed */
export interface Pair {
  event: 'pair';
  time: string;
  peer: string;
  local: string;
  protocol: 'udp' | 'tcp';
  relayed: boolean;
  remote: string;
}

/** with --wait, whether the peer is signed in */
export interface Presence {
  event: 'presence';
  time: string;
  peer: string;
  /** absent: the time of --wait is over */
  state: 'waiting' | 'present' | 'absent';
}

/** a kind of device that cannot be listed */
export interface Problem {
  event: 'problem';
  time: string;
  peer?: string;
  text: string;
}

/** quality of the received test signals, if --expect or a scenario requests it; what was not measured is absent */
export interface Quality {
  audio?: {
    /** milliseconds, the longest */
    gap?: number;
    /** milliseconds, the median */
    latency?: number;
    /** milliseconds */
    latency_p95?: number;
    markers?: number;
  };
  /** milliseconds by which video is later than its audio */
  av_sync?: number;
  video?: {
    frames_identified?: number;
    frames_lost?: number;
    frames_repeated?: number;
    /** milliseconds, the longest */
    freeze_max?: number;
    /** milliseconds, the median */
    latency?: number;
    /** milliseconds */
    latency_p95?: number;
    loss_bursts?: number;
    /** dB */
    psnr?: number;
  };
}

/** a file of --record was created */
export interface Recording {
  event: 'recording';
  time: string;
  peer: string;
  file: string;
}

/** the answer to a command of --input */
export interface Reply {
  event: 'reply';
  time: string;
  peer?: string;
  command?: string;
  error?: string;
  id?: Id;
  ok: boolean;
}

/** an HTTP request of WHIP or WHEP was answered, or failed */
export interface Request {
  event: 'request';
  time: string;
  peer?: string;
  error?: string;
  method: 'POST' | 'PATCH' | 'DELETE' | 'OPTIONS';
  ms: number;
  status: number;
  url: string;
}

/** a call that parley chat asks about */
export interface Ring {
  event: 'ring';
  time: string;
  peer: string;
  /** gone: the caller has hung up */
  state: 'asked' | 'accepted' | 'declined' | 'gone';
}

/** the connection to the signaling server changed */
export interface Signaling {
  event: 'signaling';
  time: string;
  peer?: string;
  error?: string;
  resumed?: boolean;
  server?: string;
  state: 'connected' | 'lost' | 'closed';
}

/** the state of the connection changed */
export interface State {
  event: 'state';
  time: string;
  peer: string;
  connection: 'new' | 'connecting' | 'connected' | 'disconnected' | 'failed' | 'closed';
  /** since the offer */
  ms: number;
}

/** https://www.w3.org/TR/webrtc-stats/; what was not measured is absent */
export interface Statistics {
  active?: boolean;
  availableOutgoingBitrate?: number;
  bytesReceived?: number;
  bytesSent?: number;
  clockRate?: number;
  /** seconds */
  currentRoundTripTime?: number;
  dataChannelsClosed?: number;
  dataChannelsOpened?: number;
  dtlsRole?: 'client' | 'server';
  firCount?: number;
  fractionLost?: number;
  frameHeight?: number;
  frameWidth?: number;
  frames?: number;
  framesDecoded?: number;
  framesDropped?: number;
  framesEncoded?: number;
  framesReceived?: number;
  framesSent?: number;
  freezeCount?: number;
  headerBytesReceived?: number;
  headerBytesSent?: number;
  height?: number;
  hugeFramesSent?: number;
  id: string;
  /** seconds */
  jitter?: number;
  /** seconds, of all that was emitted together */
  jitterBufferDelay?: number;
  jitterBufferEmittedCount?: number;
  keyFramesDecoded?: number;
  keyFramesEncoded?: number;
  keyFramesReceived?: number;
  keyFramesSent?: number;
  kind?: 'audio' | 'video';
  messagesReceived?: number;
  messagesSent?: number;
  nackCount?: number;
  packetsDiscarded?: number;
  packetsLost?: number;
  packetsReceived?: number;
  packetsSent?: number;
  payloadType?: number;
  pliCount?: number;
  qualityLimitationReason?: 'none' | 'cpu' | 'bandwidth';
  reportsSent?: number;
  responsesReceived?: number;
  retransmittedBytesReceived?: number;
  retransmittedBytesSent?: number;
  retransmittedPacketsReceived?: number;
  retransmittedPacketsSent?: number;
  /** seconds */
  roundTripTime?: number;
  roundTripTimeMeasurements?: number;
  selectedCandidatePairChanges?: number;
  ssrc?: number;
  targetBitrate?: number;
  /** milliseconds since 1970 */
  timestamp: number;
  totalAudioEnergy?: number;
  /** seconds */
  totalDecodeTime?: number;
  /** seconds */
  totalFreezesDuration?: number;
  /** seconds */
  totalSamplesDuration?: number;
  totalSamplesReceived?: number;
  type: 'inbound-rtp' | 'outbound-rtp' | 'remote-inbound-rtp' | 'remote-outbound-rtp' | 'media-source' | 'candidate-pair' | 'local-candidate' | 'remote-candidate' | 'codec' | 'transport' | 'certificate' | 'data-channel' | 'peer-connection';
  width?: number;
}

/** measurements, by default every second */
export interface Stats {
  event: 'stats';
  time: string;
  peer: string;
  channels: Array<{
    bytes_received?: number;
    bytes_sent?: number;
    label: string;
    messages_received?: number;
    messages_sent?: number;
  }>;
  id?: Id;
  quality?: Quality;
  /** all statistics by the names of W3C webrtc-stats; certificates in the last one only */
  report: Array<Statistics>;
  /** milliseconds */
  rtt?: number;
  tracks: Array<Measured>;
}

/** a text message was sent or received */
export interface Text {
  event: 'text';
  time: string;
  peer: string;
  direction: 'out' | 'in';
  label: string;
  text: string;
}

/** a text message is not sent */
export interface TextRejected {
  event: 'text-rejected';
  time: string;
  peer: string;
  reason: string;
  text: string;
}

/** a track starts */
export interface Track {
  event: 'track';
  time: string;
  peer: string;
  codec: string;
  direction: 'out' | 'in';
  kind: 'audio' | 'video';
}

/** the state of a transfer of files */
export interface Transfer {
  event: 'transfer';
  time: string;
  peer: string;
  bytes?: number;
  direction: 'out' | 'in';
  files?: number;
  /** of the transfer; the same when it is resumed */
  id: string;
  reason?: string;
  /** broken: it can be resumed */
  state: 'offered' | 'accepted' | 'done' | 'refused' | 'broken' | 'failed';
}

/** parley serve runs a TURN server */
export interface TurnListening {
  event: 'turn-listening';
  time: string;
  peer?: string;
  urls: Array<string>;
}

/** the result of parley demo, or of parley verify */
export interface Verdict {
  event: 'verdict';
  time: string;
  peer?: string;
  ok: boolean;
}

/** measurements of parley verify in a recording */
export interface Verified {
  event: 'verified';
  time: string;
  peer?: string;
  audio?: {
    /** milliseconds, the longest */
    gap?: number;
    /** milliseconds, the median */
    latency?: number;
    /** milliseconds */
    latency_p95?: number;
    markers?: number;
  };
  audio_codec?: string;
  /** milliseconds by which video is later than its audio */
  av_sync?: number;
  file: string;
  requirements?: Array<{
    check: string;
    held: boolean;
    saw?: number;
  }>;
  seconds: number;
  video?: {
    frames_identified?: number;
    frames_lost?: number;
    frames_repeated?: number;
    /** milliseconds, the longest */
    freeze_max?: number;
    /** milliseconds, the median */
    latency?: number;
    /** milliseconds */
    latency_p95?: number;
    loss_bursts?: number;
    /** dB */
    psnr?: number;
  };
  video_codec?: string;
}

export type Event =
  | Signaling
  | Request
  | Manual
  | Login
  | Presence
  | Ring
  | Call
  | Code
  | State
  | Candidate
  | Pair
  | AddressesChanged
  | Channel
  | Text
  | TextRejected
  | Track
  | Frame
  | Recording
  | Mute
  | Interruption
  | Stats
  | Expect
  | Reply
  | Transfer
  | File
  | End
  | Listening
  | Admin
  | TurnListening
  | NatsListening
  | Check
  | Verified
  | Verdict
  | Binary
  | Forward
  | Device
  | Encoder
  | Problem
  | MissingFeature
  | Benchmark
  | EventsDropped;

export type EventName = Event['event'];
export type EventOf<N extends EventName> = Extract<Event, {event: N}>;
