//! The line protocol: how lines are cut out of a stream ([`LineReader`]) and what a line says
//! ([`Message`]). Knows the form of everything and the meaning of nothing.
//!
//! # The protocol, version 1
//!
//! Lines of UTF-8 text, ended by LF (CR LF is accepted), at most
//! [`LINE_BYTES_MAX`](crate::proto::limits::LINE_BYTES_MAX) bytes with their end, without control
//! characters. Words have one space between them. A line that announces N octets is followed by
//! exactly N bytes, then by the next line. An empty line is ignored. So `nc 127.0.0.1 5555` is a
//! client, and a capture can be read.
//!
//! ```text
//! line     = verb *( SP argument ) [ CR ] LF          ; "* " before a line: part of a list,
//!                                                     ; which an OK line ends
//! number   = "0" / nonzero-digit *digit               ; below 2^64
//! name     = 1*32( letter / digit / "-" / "_" / "." ) ; begins and ends with letter, digit or "_"
//! file     = the same, 1*128
//! time     = number                                   ; ns since 1970-01-01 UTC, leap seconds not counted
//! key      = ticket = 32( digit / "a".."f" )
//! addr     = ip4 ":" port / "[" ip6 "]:" port
//! chunk    = first = last = number                    ; chunks count from 0, but in what people type
//! root     = 64( digit / "a".."f" )
//!
//! Whoever accepts a link says first:
//!   TICKMESH version role software                    ; role = "server" / "peer"
//!
//! Member to server:                                   Server's answer:
//!   JOIN group ( id / "*" ) port                        *( "* " PEER line )
//!        ( interval_ns / "*" ) ( duration_ns / "*" )    OK JOIN id key interval_ns duration_ns epoch
//!        [ key ]
//!   TICK seq t1                                         TOCK seq t1 t2 t3
//!   DONE ticks_sent tocks_received                      OK DONE ticks_received tocks_sent
//!   LEAVE epoch                                         OK LEAVE
//!   BYE reason                                          ; none: the link closes
//!
//! Guest to server:
//!   HELLO ( name / "*" ) [ port [ group [ key ] ] ]     OK HELLO name key
//!
//! Member or guest to server, about files:
//!   REGISTER file bytes chunk_bytes octets              ; octets = 65 for each chunk: hash in hex, LF
//!        ( "all" / "none" )                             OK REGISTER file holders
//!   WITHDRAW file                                       OK WITHDRAW file
//!   DOWNLOAD file                                       *( "* " SOURCE line )
//!                                                       OK DOWNLOAD file bytes chunk_bytes octets
//!   HAVE file first last                                ; none
//!   REPORT file id chunk                                ; none
//!   searchFile file                                     *( "* " HOLDER line )
//!                                                       OK searchFile ( "Available" / "Not available" )
//!   searchChunk file chunk *( SP chunk )                *( "* " HOLDER line )       ; chunks from 1
//!                                                       OK searchChunk ( "Available" / "Not available" )
//!   HOLDER id held chunks                             ; it holds so many of the file's chunks
//!
//! People to server; programs as well, where nothing else is said:
//!   login name password                                 OK login name waiting      ; so many messages follow
//!   AUTH SCRAM-SHA-256 port client-first                OK AUTH server-first       ; programs (RFC 5802, RFC 7677)
//!   AUTH client-final                                   OK login name waiting server-final
//!   message name text                                   OK message ( "delivered" / "kept" )
//!   "%" name "%" text                                   ; the same
//!   broadcast text                                      OK broadcast ( "all" / "some" )
//!   whoelse [ name ]                                    *( "* " USER line ) OK whoelse count [ "more" ]
//!   whoelsesince seconds [ name ]                       *( "* " USER line ) OK whoelsesince count [ "more" ]
//!   block name                                          OK block name
//!   unblock name                                        OK unblock name
//!   startprivate name                                   OK startprivate name addr ticket
//!   stopprivate name                                    OK stopprivate name
//!   logout                                              OK logout                  ; the link closes
//!   ACK number                                          ; none
//!   USER name
//!
//! Whoever is on the server's own host:
//!   status                                              *( "* " STATUS line ) OK status count
//!   STATUS group.key value
//!
//! Server to those who talk, unprompted, but never within an answer:
//!   MESSAGE from text / BROADCAST from text / ONLINE name / OFFLINE name
//!   MAIL number at from text                            ; a message from a user, to a program that has said AUTH
//!   PRIVATE name addr ticket / STOPPRIVATE name         ; the other one has said startprivate, or has ended it
//!
//! Server to whoever takes part in a file, unprompted or in the list of a DOWNLOAD:
//!   SOURCE file id addr ticket
//!
//! Server to member, unprompted:
//!   PEER epoch id addr ticket state left_ns           ; state = "running" / "done" / "lost"
//!   GONE id how                                       ; how = "complete" / "early"
//!   BYE reason
//!
//! Member to member, over a direct link (the dialing one says LINK):
//!   LINK group from to ticket [ "zstd" ]                OK LINK [ "zstd" ]
//!   OFFER file bytes chunk_bytes octets               ; octets = 65 for each chunk: hash in hex, LF
//!   WANT file root                                      HOLDS file octets          ; a bit for each chunk
//!   HAVE file first last
//!   GET file chunk                                      CHUNK file chunk octets [ "zstd" ]
//!                                                       DENY file chunk            ; or this
//!   CANCEL file chunk
//!   GOT file
//!
//! User to user, over the same link, once the server has told both (startprivate):
//!   startprivate                                      ; I am ready; who has said and heard it may talk
//!   private text                                        OK private                 ; once it has been shown
//!   stopprivate                                       ; it is over, the link need not be
//!
//! Instead of an OK, always possible:
//!   ERR code text
//! ```
//!
//! - **The door.** A server that has too many links, in all or from one address, says so (`limit-reached`) behind its
//!   greeting, and closes; so does who offers uploads, to those who dial it. Who has not said in time who it is hears
//!   `BYE`. A line of HTTP is answered with `wrong-protocol`, and nothing behind it is looked at.
//! - **Joining.** The server assigns the lowest free number when the ID is `*`; an ID that is
//!   taken is refused, with who has it. `*` for interval or duration takes what the server
//!   offers. `ERR id-taken` to a member that has joined: its number was assigned just after the
//!   server's start, and the one that had it before has come back; the link closes, and the member
//!   may join again. Port 0 means that the member shares no files: it hears of nobody and nobody hears of
//!   it. The key of an earlier `OK JOIN` proves the same membership after a broken link; as long
//!   as the run of a member that was lost can still be on, nobody else gets its ID, but for a peer on
//!   the same host. A duration of 0 says that the run is over already.
//! - **Ticks.** `seq` is the slot of the member's grid (due at start + seq * interval), so a
//!   missing number is a missed tick. t1: sent; t2: received by the server; t3: sent by the
//!   server; the member adds t4, received back. `OK DONE` has what the server received and sent,
//!   whether its disk took the rows or not.
//! - **Directory.** Every `PEER` line carries the group's epoch, which grows with each new member.
//!   `LEAVE` names the epoch that the member has seen, and is refused (`directory-moved`) if
//!   somebody joined since: so nobody leaves just before a newcomer that counts on it.
//! - **Tickets.** Both members of a pair learn the same ticket from the server; who dials shows
//!   it. So nobody can claim another's name on a direct link.
//! - **One link for a pair.** The member with the smaller name dials (numbers by value, before
//!   names). If it has not come after [`PAIR_WAIT`](crate::proto::limits::PAIR_WAIT) the other
//!   dials as well; if both links come up, the one that the smaller name dialed is kept and the
//!   other is closed or refused (`duplicate`).
//! - **Files.** Each side offers its files, asks for chunks of the other's, verifies each with
//!   its BLAKE3 hash, and says `GOT` when the file is whole and on disk.
//!
//! # Files in swarms
//!
//! Any file can be shared with a group, by its members and by *guests*, who have no run. The
//! server's catalog knows what each file consists of and who holds which chunks; it carries none.
//!
//! - **Guests.** `HELLO` takes a name among those of the group's members, but no number: numbers are
//!   for runs. `*` gets the lowest free `guest-N`, no port or port 0 means that nobody can dial the
//!   guest, and the group is [`GROUP_DEFAULT`] if none is named. A taken name is refused, with who has
//!   it; the key resumes. Runs know nothing of guests: no `PEER`, no `GONE`, no epoch. Every line
//!   about files is refused before `HELLO` or `JOIN`.
//! - **Sharing.** `REGISTER` says what a file consists of; its hashes follow at once, whatever the
//!   answer will be. The first to name a file has the name: others may register the same content, and
//!   hold it too, but not another (`file-differs`, which names a holder). `all`: the sender holds
//!   every chunk. `none`: it says which with `HAVE`, and holds no others any more, as somebody who was
//!   interrupted does, whose disk has lost some, or who returns to a server that has started anew. Who says `none` still takes part,
//!   and hears of others; `WITHDRAW` ends that, whatever was said before, and a file in which nobody takes part is forgotten.
//! - **Kept.** That a user holds something of a file is kept on the server's disk, before the `REGISTER` is answered: its name stays bound to that
//!   content (`file-differs` to everybody else), also while nobody who holds it is online, and when the server has started
//!   anew. Then it is `Not available`, and `DOWNLOAD` says `unknown-file`, as its hashes come with the first who
//!   registers it again. Who holds nothing any more says `WITHDRAW`, or `REGISTER` with `none`; the last one frees the name, as does the end of that account. What guests
//!   and members hold is not kept.
//! - **Getting.** `DOWNLOAD` makes the sender one who fetches: it is told who takes part, at most
//!   [`SOURCES_MAX`](crate::proto::limits::SOURCES_MAX) of them at once, asked again the next ones, and these
//!   are told of it. `SOURCE` comes later about each newcomer. It is told to both of a
//!   pair, so that each knows the ticket before the other dials; never to two who hold everything,
//!   nor to two whom nobody can dial. In it, port 0 means: do not dial it, it will dial you.
//!   Whoever comes back over a new link says `REGISTER` or `DOWNLOAD` again.
//! - **Holding.** `HAVE` names chunks that were verified and stored, from the first to the
//!   last. `REPORT` names a member whose chunk failed its hash: it is not named to the reporter again.
//! - **Rates.** Some 2000 lines about files may come in a row, and then as many a second; a link with more is closed
//!   (`too-fast`). A `REGISTER` that brings the sender a file anew does not count, and a
//!   `WITHDRAW` counts twice, as the file may be brought anew then. A `REGISTER` that is refused with `limit-reached` may be
//!   said again after a while.
//! - **Chunks.** A file's root is the BLAKE3 hash over its bytes and chunk_bytes, each a number of 64
//!   bits with its lowest byte first, and the 32 bytes of each chunk's hash in order. `WANT` says
//!   which file is meant; `HOLDS` answers with a bit for each chunk, chunk 0 in the lowest bit of the first
//!   octet, in as many octets as that needs; none at all if the file is unknown or has no
//!   chunks. Those that said `WANT` hear `HAVE` of new chunks. `DENY` is no fault: the chunk is
//!   not there any more. After `CANCEL` a chunk may come all the same. Who lets others wait, as an upload
//!   limit may, sends an empty line every few seconds: a link that owes something and is silent is closed.
//! - **Packed chunks.** Who says `zstd` in `LINK` or `OK LINK` takes chunks that are packed, and is sent such a
//!   one whenever the sender finds that it pays: with `zstd`, the octets of a `CHUNK` are one zstd frame of its bytes,
//!   without a dictionary, and not more of them than the chunk has bytes. Only chunks of at most
//!   [`PACKED_CHUNK_BYTES_MAX`](crate::proto::limits::PACKED_CHUNK_BYTES_MAX) come so. A frame that is none, or holds more or less than
//!   the chunk, is the same fault as a wrong byte. The hash is that of the bytes, not of the frame. Each side
//!   speaks for itself: who does not say it, as a person would not, gets every chunk as it is.
//! - **Typed by people.** `searchFile` and `searchChunk`, where chunks count from 1. `register` and `download`
//!   need a program that reads and checks the file, and are answered with how to start it.
//!
//! # Talking
//!
//! - **Who.** `login` is typed by a user who is on the server's own host, as the password is not hidden on its
//!   way. A program proves that it knows the password and does not send it. A guest says `HELLO` with a name, or `*`,
//!   and nothing else; who says a port or a group is a program that shares files, and hears nothing of who talks.
//!   Which guests are let in, the operator says; none has the name of a user, or one that looks like it. Users
//!   share files too, under their names, in the group [`GROUP_DEFAULT`].
//! - **Order.** Each line is answered before the next one is handled, with exactly one `OK` or `ERR`; `ACK` only
//!   with an `ERR`. What comes meanwhile waits, up to
//!   [`BACKLOG_BYTES_MAX`](crate::proto::limits::BACKLOG_BYTES_MAX): with more the link is closed (`too-fast`). A
//!   program waits for the answer before it says `REGISTER` with many hashes.
//! - **Pace.** Some twenty messages may be sent at once, then five a second; those that come faster wait for their
//!   time. A broadcast counts as five. `startprivate` counts as one, and is refused if it would have to wait.
//! - **Messages.** `delivered` went to where the user is; if that link breaks before the message was acknowledged, or
//!   taken by the kernel of a plain client, it becomes mail. `kept` is on the server's disk. Messages from or to guests
//!   are never kept. A mailbox that is full, or as full with one sender's messages as may be, is `mailbox-full`. The text is passed on as it was said; whoever shows it makes it safe for a terminal.
//! - **Numbers.** Each message from user to user has a number, which grows. `ACK` acknowledges all up to it; what is
//!   not acknowledged comes again, under its number, at the next login.
//! - **Coming and going.** `ONLINE` and `OFFLINE` come to everybody who is there, but those whom the one has blocked, in the order in
//!   which it happened, from one's own coming on. Where very many come and go they come late, by a second at most: a message may be
//!   there before its sender's `ONLINE`.
//! - **Private links** are between two users. `startprivate` tells both where the other one is, and the ticket of the pair:
//!   the same that a `SOURCE` has, so one link does for both. Port 0 means: do not dial it, it dials you; a user
//!   who has typed `login` cannot be dialed, and where neither can be, there is no private link (`not-reachable`). Nobody
//!   else is told where they are, nor anybody whom the other one has blocked. Asked again, both are told again and begin
//!   anew. `stopprivate` ends it, and so does `logout`, `BYE`, or that the server logs one out: the other one is told `STOPPRIVATE`.
//!   A link to the server that breaks does not end it for the two, nor does a block, but nothing new starts. A server that starts anew knows of no private links; those that are up stay up.
//!   Over the direct link each says `startprivate` when it has heard of it from the server, so nobody talks to somebody who
//!   has not. `private` without that is answered with `ERR no-private`, and the link stays. One text is said at a time.
//! - **Lists** name at most [`LISTED_MAX`](crate::proto::limits::LISTED_MAX) people, and the count is of these. `more` says that this
//!   is not all: with the last name that was listed behind it, the same command goes on there. Who comes or goes meanwhile may be listed twice, or not
//!   at all. Those who have blocked the asker are not among them.
//! - **Blocks** hold for files as well. Of two of whom one has blocked the other, no search names one to the other, and neither is told
//!   a `SOURCE` of the other. A direct link that is up stays up. Who takes a block back is told, and named, when somebody
//!   says `DOWNLOAD` or `REGISTER` again. A block is of a user, not of a program that shares files under another name.
//! - **Status.** `status` is answered on any link from the server's own host, before or after `HELLO`; elsewhere with `not-allowed`. Values
//!   are whole numbers; one in nanoseconds has `ns` in its name. What is not as of now is counted since the server's start.
//!   Names may be added, and one that is 0 may be missing. It counts as a hundred lines, so ask a few times a second at most.
//! - **Passwords.** Three wrong ones in a row block a name for a while (`account-blocked`), from wherever they came,
//!   and whether there is such a user or not. A second login is refused (`already-online`), after the password is proven.
//! - **Silence.** Whoever issues no command for some minutes is logged out with a `BYE`.
//!
//! # A session
//!
//! `C` is typed by the member, `S` comes from the server. Keys, tickets and times are shortened to `~`.
//! A test plays this very text.
//!
//! ```text
#![doc = include_str!("session.txt")]
//! ```
//!
//! Two guests, played by a test too. `A` is typed by the one and answered with `SA`, `B` by the other.
//!
//! ```text
#![doc = include_str!("guests.txt")]
//! ```
//!
//! Two people talk: `A` is on the server's own host and has an account, `B` is a guest.
//!
//! ```text
#![doc = include_str!("talk.txt")]
//! ```
//!
//! Then a direct link. `D` has dialed `A`; octets stand in angle brackets.
//!
//! ```text
#![doc = include_str!("direct.txt")]
//! ```
//!
//! An operator asks the server how it stands, on the server's own host. Most of the answer's lines are left out.
//!
//! ```text
#![doc = include_str!("status.txt")]
//! ```

mod chat;
mod line;
mod message;
mod numbers;
mod parse;
#[cfg(test)]
mod tests;
mod words;

pub use chat::{Chat, Secret};
pub use line::{LineReader, Piece};
pub use message::{GROUP_DEFAULT, Message, SILENT_WHY, TOO_LONG_TEXT, VERSION};
pub use numbers::Numbers;
pub use parse::ParseError;
pub use words::{Availability, Delivery, Departure, ErrorCode, MemberState, Portion, Reach, Role};
