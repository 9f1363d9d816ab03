// Package filetransfer sends files and folders over a reliable data channel.
//
// It does not import WebRTC: a [Conn] carries whole messages in order. The page of package web
// implements the same protocol in JavaScript. This page specifies it.
//
// # Protocol
//
// A sender opens a reliable, ordered data channel with the subprotocol (RFC 8832 section 5.1)
// "parley.files.1". The label has no meaning. One channel carries one transfer. Text messages are
// JSON objects of at most 64 KiB with a "type". Binary messages are chunks, of at most 256 KiB, of
// the file in progress. Unknown members and unknown types are ignored.
//
//	sender                                      receiver
//	  {"type":"offer","version":1,"id":"6f0c…",
//	   "entries":3,"bytes":1048586}
//	  {"type":"entry","name":"trip","dir":true,
//	   "mode":493,"time":1763680000000}
//	  {"type":"entry","name":"trip/a.raw","size":1048576,"data":1048576,
//	   "mode":420,"time":1763680000000}
//	  {"type":"entry","name":"notes.txt","size":10,…}   ──►
//	                                            {"type":"have","file":1,
//	                                             "bytes":65536,"sha256":"9f86…"}
//	                                     ◄──    {"type":"accept"}
//	  {"type":"file","file":1,"offset":65536}
//	  binary, binary, {"type":"zeros","bytes":4096}, binary …
//	  {"type":"end","file":1,"sha256":"2c26…"}
//	  {"type":"file","file":2,"offset":0}       ──►
//	  binary
//	  {"type":"end","file":2,"sha256":"fcde…"}
//	                                     ◄──    {"type":"done","file":1}
//	                                     ◄──    {"type":"done","file":2}
//	  {"type":"bye"}, and the channel is closed ──►
//
// offer announces the number of entries that follow and the number of bytes of all files. Its id is
// the random name of the transfer. A sender that resumes a transfer sends the same id, so that the
// receiver does not ask a person again.
//
// entry is a file or, with "dir":true, a folder. Entries count from 0 in the order of their
// messages; a folder comes before its content. A name is relative, in UTF-8, with "/" between its
// parts. size is the length in bytes; data is the number of bytes that are not in holes (default:
// size). mode are the nine permission bits, time is the modification time in milliseconds since
// 1970; both are optional.
//
// have states that the receiver has the first bytes of a file, with their SHA-256: the partial file
// of a broken transfer or the whole file. Any number of them precedes accept. A sender whose file
// begins with the same bytes resumes after them, else it starts at offset 0.
//
// refuse, in place of accept, ends the transfer: {"type":"refuse","code":CODE,"reason":SENTENCE},
// where CODE is declined (by a person), size, space, exists, name, limit, version or unsupported.
//
// file starts a file: each one of the offer, in order, at offset 0 or at what the receiver has of
// it. zeros stands for that many zero bytes, at most 64 MiB. end has the SHA-256 of the whole file.
// The sender continues with the next file without waiting. done states that a file is verified and
// has its final name. The transfer is complete for the sender with the last done, for the receiver
// with bye; the first one of them closes the channel.
//
// error, from either peer and at any time, ends the transfer: {"type":"error","code":CODE,
// "reason":SENTENCE}, where CODE is disk (the receiver cannot write), read (the sender cannot
// read), size or hash (the content is not what was offered), exists, protocol, or cancelled (by a
// person). A channel that closes without an error is a broken transfer: it can be resumed with the
// same id.
//
// # Security
//
// A receiver rejects names that lead out of the folder, are those of devices or cannot be stored,
// more than 100,000 entries, files of 2^53 bytes or more, more or fewer bytes than offered, and
// content with another SHA-256. Until a file is complete and verified, it is kept as the partial
// file NAME.parley-part, from which a broken transfer resumes. An existing file is not replaced
// unless the receiver allows it; one with the same content counts as sent.
package filetransfer
