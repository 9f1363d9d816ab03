// Package files sends files and folders over one data channel, and receives
// them into a folder that nothing escapes. It knows no WebRTC: a [Conn] carries
// whole messages in order. The page of package web speaks the same protocol in
// JavaScript; what follows is all that another program needs to know to join.
//
// # The channel
//
// Who has files opens a reliable, ordered data channel with the protocol
// (RFC 8832 §5.1) "parley.files.1"; its label is of no meaning. One channel is
// one transfer. Text messages are JSON objects of at most 64 KiB, each with a
// "type"; binary messages, of at most 256 KiB, are the bytes of the file under
// way. Members that are not known are to be ignored, unknown types too.
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
// offer announces how many entries follow and how many bytes their files have
// in all. Its id is a random name of the transfer; who takes a broken transfer
// up again sends the same id, so that nobody has to be asked twice.
//
// entry is a file or, with "dir":true, a folder. Entries are counted from 0 in
// the order in which they come, a folder before what is in it. A name is
// relative, with "/" between its parts, in UTF-8. size is the length in bytes;
// data, which may be left out, is how many of them are no holes. mode are the
// nine permission bits, time the modification time in milliseconds since 1970;
// both may be left out.
//
// have tells that the receiver has the first bytes of a file, with the SHA-256
// of just those: what a broken transfer left, or the whole file. Any number of
// them comes before accept. A sender whose own file begins with the same bytes
// goes on after them; else it begins at offset 0.
//
// refuse, in place of accept, ends the transfer: {"type":"refuse","code":CODE,
// "reason":SENTENCE}, where CODE is declined (a person said no), size, space,
// exists, name, limit, version or unsupported.
//
// file begins a file: each one of the list, in its order, at offset 0 or at
// what the receiver has of it. zeros stands for that many bytes of value zero,
// 64 MiB at most.
// end gives the SHA-256 of the whole file, from its first byte on. The sender
// goes on with the next file without waiting; done tells it that a file has its
// name, and the right content. Who has sent a bye, or all of its done, is
// through: whoever comes first closes the channel.
//
// error, from either side and at any time, ends the transfer: {"type":"error",
// "code":CODE,"reason":SENTENCE}, where CODE is disk (the receiver cannot
// store), read (the sender cannot read), size or hash (what came is not what
// was announced), exists, protocol, or cancelled (a person ended it). A channel
// that closes without it has broken: try again with the same id.
//
// # What a receiver guards against
//
// Names that lead out of the folder, name a device or cannot be stored; more
// entries than 100,000, files beyond 2^53 bytes; more or fewer bytes than
// announced; content with another hash. Until a file is whole and verified it
// is kept as NAME.parley-part, which is also where a broken transfer goes on. A
// file that is there already is never replaced unless told so; one of the same
// content counts as sent.
package files
