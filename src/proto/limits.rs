//! Every bound of the program, each with its unit and its reason; it never decides what
//! happens at a bound, which is said where the bound is used.

mod console;
mod helper;
mod operator;
mod people;
mod turns;
mod uploads;

use std::time::Duration;

pub use console::*;
pub use helper::*;
pub use operator::*;
pub use people::*;
pub use turns::*;
pub use uploads::*;

// --- Lines -----------------------------------------------------------------------------------

/// Longest line of the protocol, its line end included. One read buffer holds many.
pub const LINE_BYTES_MAX: usize = 4096;
/// Longest name of a member or a group: short enough to keep inline, without allocation.
pub const NAME_BYTES_MAX: usize = 32;
/// Longest name of a file on the wire: what every file system stores, with room for a suffix.
pub const FILE_NAME_BYTES_MAX: usize = 128;

// --- Links -----------------------------------------------------------------------------------

/// Links that one driver keeps at once. Above it, new ones are refused at the door.
pub const LINKS_MAX: usize = 16_384;
/// Bytes that wait in memory for one slow reader before its link is closed. A newcomer's list
/// of [`MEMBERS_MAX`] members has to fit.
pub const LINK_QUEUE_BYTES_MAX: usize = 1 << 20;
/// Buffers of a server from this length on go back to the system when they are free. Those of ten thousand links that had
/// much to read would be the most memory that it ever needs; and one of this length costs some page faults.
pub const LARGE_BUFFER_BYTES: i32 = 16 << 10;
/// File ranges that wait on one link: twice what an honest fetcher asks for at once.
pub const LINK_RANGES_MAX: usize = 32;
/// Bytes read from one link at once, at most.
pub const READ_BUDGET_BYTES: usize = 256 << 10;
/// The same from a link of which nothing is known yet. How much it is afterwards follows from how long the machine takes
/// with it ([`VISIT_TIME`]).
pub const READ_BUDGET_BYTES_FIRST: usize = 1 << 10;
/// However long that is: two lines of usual length.
pub const READ_BUDGET_BYTES_MIN: usize = 256;
/// A link that has brought so much at once is served behind those that bring little: bulk and noise wait for ticks, not the
/// other way round.
pub const BULK_BYTES: usize = 4 << 10;
/// Bytes of file ranges written to one link in one turn, for the same reason.
pub const WRITE_BUDGET_BYTES: usize = 256 << 10;
/// Sent bytes are cut off the front of a queue when there are so many, not at each write.
pub const SENT_BYTES_MAX: usize = 64 << 10;
/// Buffers of queues that have nothing to send, kept for those that will: more than are filled in one turn.
pub const SPARE_BUFFERS_MAX: usize = 256;
/// Longest one of them, so that all are eight megabytes at most.
pub const SPARE_BUFFER_BYTES_MAX: usize = 32 << 10;
/// Connections that the kernel holds for us until they are accepted.
pub const ACCEPT_BACKLOG: i32 = 1024;
/// How long a connection attempt may take before it counts as failed.
pub const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a closed link may take to send what is queued and see the other side's end.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// Closed links of one machine that wait so for the other side's end. Of the next ones those that are closed for a reason in the
/// list at `Effect::Close` do not wait, so that a flood of them takes no more descriptors, and accepting goes on for
/// everybody. Over a path of 100 ms this many are gone in time at 2500 a second.
pub const LINGERING_MAX: usize = 256;
/// Silence after which the kernel probes a link, between two probes, and how many of them.
/// A dead host is found after `KEEPALIVE_IDLE + KEEPALIVE_PROBES * KEEPALIVE_INTERVAL`.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// See [`KEEPALIVE_IDLE`].
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// See [`KEEPALIVE_IDLE`].
pub const KEEPALIVE_PROBES: u32 = 3;
/// How long sent bytes may stay unacknowledged before the kernel gives the link up.
pub const UNACKED_TIMEOUT: Duration = Duration::from_secs(20);

// --- Sessions --------------------------------------------------------------------------------

/// A member whose run is on, and that sends nothing for so long, is taken for lost. Before its first
/// tick it has [`GREET_TIMEOUT`]: what a person types first takes longest.
pub const TICK_SILENCE_TIMEOUT: Duration = Duration::from_secs(5);
/// Errors that a link may have: lines that are answered with `ERR`, but for what somebody who keeps to the rules may hear
/// again and again, and errors that the other side tells of; for a peer, lines of its server that are none. With one more the
/// link is closed.
pub const ERRORS_MAX: u32 = 10;
/// First pause before a peer dials the server again; it doubles up to [`REDIAL_PAUSE_MAX`].
pub const REDIAL_PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause between two attempts to reach the server.
pub const REDIAL_PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long members that lost their server may take to come back to it, after its start or past
/// the end of their runs: two pauses between
/// attempts, the second because the first may have ended a moment too early, and a little more.
pub const RETURN_GRACE: Duration = Duration::from_secs(5);
/// How long a lost member that could come back any moment keeps its number after its run is over:
/// a cut of the network that somebody mends is over by then.
pub const LOST_KEEP: Duration = Duration::from_secs(60);
/// How long a peer that has never reached its server keeps trying.
pub const FIRST_CONTACT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a peer that has everything waits for a lost server, which may know of others.
pub const SERVER_BACK_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that a closed link still reads and throws away, so that our last line is not lost to a reset: what somebody has
/// on the way who writes and also reads. Who only writes would have us read for ever, and waits for the rest of
/// [`LINGER_TIMEOUT`].
pub const LINGER_BYTES_MAX: u32 = 128 << 10;
/// The same of somebody who is sent away: more than a request of any other protocol. Noise is not worth the reading.
pub const LINGER_BYTES_SENT_AWAY: u32 = 16 << 10;

// --- Groups and runs -------------------------------------------------------------------------

/// Groups that one server keeps.
pub const GROUPS_MAX: usize = 256;
/// Members of one group, the lost ones included: each hears of each, so the cost is its square.
pub const MEMBERS_MAX: usize = 4096;
/// Guests of one group, users who are there included: nobody of them hears of the others, so there may be as many as links.
pub const GUESTS_MAX: usize = LINKS_MAX;
/// Peers in one process.
pub const PEERS_MAX: usize = MEMBERS_MAX;
/// Shortest interval of a run. Below it, the kernel's wake-up time is most of the figure.
pub const INTERVAL_MIN: Duration = Duration::from_millis(1);
/// Longest interval: above it, a silent member cannot be told from a lost one.
pub const INTERVAL_MAX: Duration = Duration::from_secs(1);
/// Longest run.
pub const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Longest `--share-deadline`.
pub const SHARE_DEADLINE_MAX: Duration = Duration::from_secs(24 * 3600);
/// Time between joining and the first tick, so that no grid begins in the past.
pub const RUN_LEAD: Duration = Duration::from_millis(2);
/// Each run of a server makes a table, even if it is over at once: so many may begin in a row, and then
/// one each [`RUN_PAUSE`], so that nobody fills the disk with them.
pub const RUNS_BURST: u64 = 20;
/// See [`RUNS_BURST`].
pub const RUN_PAUSE: Duration = Duration::from_secs(3);
/// How long a member may tick after its announced end: its clock may be slow, its last ticks late.
pub const RUN_OVERRUN: Duration = Duration::from_secs(30);
/// Ticks above the agreed rate that are let pass: those of a burst after a stall of the path.
pub const BURST_TICKS: u64 = 200;
/// How long a peer whose run is over waits for an answer, counted from its tick.
pub const ANSWER_GRACE: Duration = Duration::from_secs(1);
/// How long a peer waits for the server's word before it goes on without it.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// Ticks that may be unanswered at once; the answer to an older one is counted as stray.
pub const TICKS_OUTSTANDING_MAX: usize = 1024;
/// Rows and samples are in the kernel's hands after this time at the latest; the documented
/// bound of 250 ms leaves 50 ms for a late turn.
pub const FLUSH_PERIOD: Duration = Duration::from_millis(200);
/// Rows that go to the disk before their time, so that a server with many members writes in
/// pieces of this size.
pub const FLUSH_BYTES: usize = 64 << 10;
/// Unwritten rows that one file keeps while its disk refuses them: over a minute of a peer's run.
pub const UNWRITTEN_BYTES_MAX: usize = 1 << 20;
/// The same for the server's table, which has the rows of all members: 20 s of a hundred at 10 ms.
pub const SERVER_UNWRITTEN_BYTES_MAX: usize = 32 << 20;
/// Bytes of one append, about: if more waits because the disk has refused it, it goes out in parts of a tenth of a
/// millisecond, with ticks in between.
pub const APPEND_BYTES: usize = 256 << 10;
/// Between two parts of a file's last rows: the most that a server keeps is out after an eighth of a second.
pub const APPEND_PAUSE: Duration = Duration::from_millis(1);
/// Flushes that a file's last rows get when the disk refuses them at the end: two seconds.
pub const CLOSE_TRIES_MAX: u32 = 10;
/// A step of the wall clock against the monotonic clock that is larger than any slewing.
pub const CLOCK_STEP_MIN: Duration = Duration::from_millis(1);

// --- Files -----------------------------------------------------------------------------------

/// Bytes of a chunk, the unit that is asked for, verified and stored; doubled for a file that
/// would have more than [`CHUNKS_DEFAULT_MAX`] of them.
pub const CHUNK_BYTES: u64 = 256 << 10;
/// Largest chunk that a manifest may announce: what is lost when one of its bytes is wrong.
pub const CHUNK_BYTES_MAX: u64 = 1 << 30;
/// Largest file that is shared.
pub const FILE_BYTES_MAX: u64 = 1 << 40;
/// Most chunks of a file: their hashes, 65 bytes each in an offer, have to fit the queue of a link.
pub const CHUNKS_MAX: u64 = 1 << 13;
/// Most chunks of a file whose owner did not ask for more. Two such offers fit the queue of a link.
pub const CHUNKS_DEFAULT_MAX: u64 = 1 << 12;
/// Files with fewer chunks are asked of their owner only: what others hold of them is not worth the lines.
pub const SWARM_CHUNKS_MIN: u64 = 8;
/// Others up to which a member keeps the links of pairs that have everything: third ones' files come over them.
pub const LINKS_KEPT_MAX: usize = 64;
/// Files that a process keeps open before it closes those that it only serves.
pub const FILES_OPEN_MAX: usize = 512;
/// Chunks that a fetcher asks for at once over one link: keeps the link full over a long path.
pub const CHUNKS_IN_FLIGHT_MAX: usize = 8;
/// A source that was asked for chunks and brings nothing for so long: others are asked for them, too.
/// Its link may be slow, its queue long: what it brings later is still taken.
pub const CHUNK_PATIENCE: Duration = Duration::from_secs(3);
/// Requests for chunks that wait to be served over one link: what an honest fetcher asks for of two
/// files at once, twice.
pub const GETS_QUEUED_MAX: usize = 32;
/// How much of what an upload limit did not use is made up for: a late timer costs no speed, an idle
/// hour saves up nothing.
pub const UPLOAD_CREDIT: Duration = Duration::from_millis(100);
/// Sources that may be asked for the same chunk at the end of a file, when nothing else is left.
pub const ASKERS_MAX: usize = 2;
/// A chunk is not asked for twice before the first request is so old, however fast others came.
pub const END_GAME_AGE_MIN: Duration = Duration::from_millis(100);
/// When nothing has moved for so long, an origin is asked for what another receiver may be waiting for.
pub const HELP_AGE_MAX: Duration = Duration::from_secs(1);
/// Holders above which a chunk counts as no rarer than another: bounds the work of a choice.
pub const RARITY_MAX: usize = 32;
/// Members that one guest dials for a file at once.
pub const SOURCES_DIALED_MAX: usize = 16;
/// Octets of hashes that a guest sends before the server has answered: with the largest offer behind them they
/// fit the queue of a link.
pub const REGISTERS_AHEAD_BYTES: u64 = 256 << 10;
/// `REGISTER` lines that a guest sends before the server has answered: they cost the server's loop a moment each.
pub const REGISTERS_AHEAD_MAX: usize = 64;
/// How long a guest waits before it registers files again that the server had no room for: many may
/// come at once after it has started anew.
pub const REGISTER_AGAIN_PAUSE: Duration = Duration::from_secs(3);
/// So often: for half a minute.
pub const REGISTER_TRIES_MAX: u32 = 10;
/// Descriptors that whoever shares keeps free of files, for links and for itself.
pub const DESCRIPTORS_SPARE: u64 = 128;
/// Files that a guest looks at at once before it offers them, beside the one that it gets.
pub const OFFERS_CHECKED_MAX: usize = 15;
/// Chunks last sent over a link that are looked at again when the other side complains, or the disk does.
pub const CHUNKS_DOUBTED_MAX: usize = 2 * CHUNKS_IN_FLIGHT_MAX;
/// Chunks of one file that the disk hashes at once, so that it is never idle.
pub const HASHES_IN_FLIGHT_MAX: u64 = 4;
/// How long a guest waits before it asks again who has a file that nobody there has.
pub const ASK_AGAIN_PAUSE: Duration = Duration::from_secs(1);
/// Pairs that one member serves or fetches from by its own dialing at once.
pub const PAIRS_DIALED_MAX: usize = 8;
/// The same for all members of a process together, but one each: a pair within the process takes six
/// descriptors, two links and four files, and 20,000 are often all there are.
pub const PROCESS_PAIRS_DIALED_MAX: usize = 1024;
/// After so many wrong chunks or false manifests a member is given up as a source.
pub const LIES_MAX: u32 = 3;
/// A link that owes us bytes and brings none for so long is closed.
pub const TRANSFER_SILENCE_TIMEOUT: Duration = Duration::from_secs(10);
/// A holder whose upload limit lets somebody wait says something so often, so that it is not taken for silent.
pub const WORD_PERIOD: Duration = Duration::from_secs(3);
/// How long a member that is done stays for those who may want the record of one that left early from it.
pub const PASS_ON_PATIENCE: Duration = Duration::from_secs(3);
/// How often somebody whose file is on its way looks whether a chunk should be asked of another, too.
pub const ASK_PERIOD: Duration = Duration::from_millis(100);
/// Chunks that one of the others may say to hold when it has said so before, over one link: a hundredth of a
/// second's work, and far more than anybody honest repeats.
pub const HAVES_IDLE_MAX: u64 = 64 * CHUNKS_MAX;
/// How often a sharing member looks around when nothing happens.
pub const LOOK_PERIOD: Duration = Duration::from_millis(500);
/// First pause before a member is dialed again; it doubles up to [`PAIR_PAUSE_MAX`].
pub const PAIR_PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause between two attempts to reach a member.
pub const PAIR_PAUSE_MAX: Duration = Duration::from_secs(5);
/// The member with the greater name dials too when it has waited so long for the other.
pub const PAIR_WAIT: Duration = Duration::from_secs(3);
/// Written bytes after which the disk is told to start writing back, so that the last sync is short;
/// each time costs the helper about a millisecond.
pub const WRITEBACK_BYTES: u64 = 8 << 20;
/// Size of a file from which room is set aside for all of it: below, it is written at once anyway.
pub const RESERVE_BYTES_MIN: u64 = WRITEBACK_BYTES;
/// Hashes and reads of files that one machine may have under way: with
/// [`CHUNK_READ_BYTES_MAX`] this bounds what waits in memory.
pub const DISK_JOBS_MAX: usize = 128;
/// Changes of a database after which its log is moved into it, by the helper: some megabytes.
pub const CHECKPOINT_CHANGES: usize = 4096;
/// How soon a database that another program writes to is tried again.
pub const STORE_RETRY_PAUSE: Duration = Duration::from_millis(5);
/// How long a change waits for another program, such as one that brings in many accounts.
pub const STORE_BUSY_MAX: Duration = Duration::from_secs(3);
/// Longest range that is read into memory at once.
pub const CHUNK_READ_BYTES_MAX: u64 = 1 << 20;
/// Longest chunk that is sent packed: it is in memory at both ends, and packing it takes the loop 0.2 ms.
pub const PACKED_CHUNK_BYTES_MAX: u64 = 256 << 10;
/// Shortest chunk that is packed: below it, the line before it is most of what is sent.
pub const PACKED_CHUNK_BYTES_MIN: u64 = 256;
/// A chunk goes packed if that makes it shorter by a tenth at least.
pub const PACK_SAVING: usize = 10;
/// Chunks of a file that are sent as they are after one that did not become shorter; doubled each time, up to
/// [`PACK_PAUSE_MAX`]: of a film of 1 GiB ten chunks are tried.
pub const PACK_PAUSE_MIN: u32 = 16;
/// See [`PACK_PAUSE_MIN`].
pub const PACK_PAUSE_MAX: u32 = 1024;
/// Chunks that a process reads in order to pack them, at once: enough to keep the loop busy while the
/// helper syncs other files, which may take it 20 ms; 16 MiB of memory.
pub const PACKS_UNDER_WAY_MAX: usize = 64;
/// Longest packed chunk that is kept for others who will ask for it; so much of what is kept goes out in one turn, for
/// all links together. Those of records have 20 to 80 kB.
pub const KEPT_FRAME_BYTES_MAX: usize = 128 << 10;
/// Packed chunks that a process keeps: the records of 20 peers, five minutes each, take 20 MB.
pub const KEPT_FRAMES_BYTES_MAX: usize = 32 << 20;
/// Buffers for packed chunks that come in, of [`PACKED_CHUNK_BYTES_MAX`] at most, that a process keeps for the next ones.
pub const UNPACK_BUFFERS_MAX: usize = 16;
/// Bytes that are hashed before a file that waits to be finished or read gets its turn: a few
/// milliseconds' worth.
pub const HASH_SLICE_BYTES: u64 = 4 << 20;
/// Places of one file at which writes failed that are kept apart; a full disk makes one long one.
pub const HOLES_MAX: usize = 1024;
/// Answers of the disk that are passed on before the next socket is looked at: most of them make
/// a machine close a file.
pub const DISK_ANSWERS_BUDGET: usize = 8;
/// Names that are tried for an old file (`name.1.txt`, `name.2.txt`, ...) before giving up.
pub const ASIDE_TRIES_MAX: u32 = 1000;

// --- The server's catalog of files ------------------------------------------------------------

/// Members named to one fetcher of a file at once: more ways than it can use, and a list that fits
/// its link's queue beside the hashes.
pub const SOURCES_MAX: usize = 128;
/// Holders named in the answer to one search: more than anybody reads, and they fit the queue of a link.
pub const HOLDERS_LISTED_MAX: usize = 2 * MEMBERS_MAX;
/// Longest line of a list of sources or holders: the longest names, an IPv6 address, a ticket.
pub const LISTED_BYTES_MAX: usize = 256;
/// Bytes of answers about files that a link may be owed when it asks for more of them.
pub const ANSWERS_BYTES_MAX: usize = 256 << 10;
/// Files that one member may hold or fetch at once: both records of everybody in the largest group.
pub const FILES_PER_MEMBER_MAX: usize = 2 * MEMBERS_MAX;
/// Files of one group: as many records, and as many files of people.
pub const FILES_PER_GROUP_MAX: usize = 4 * MEMBERS_MAX;
/// Memory of the catalog, by its own estimate: the hashes of 2 TiB in chunks of [`CHUNK_BYTES`], or
/// 800 members of which everybody has the records of everybody.
pub const CATALOG_BYTES_MAX: usize = 256 << 20;
/// Octets of hashes that all links together may have announced and not sent yet.
pub const REGISTERS_BYTES_MAX: usize = 16 << 20;
/// How long the octets of one `REGISTER` may take.
pub const REGISTER_TIMEOUT: Duration = Duration::from_secs(60);
/// Chunks that one `searchChunk` may name: people type them.
pub const SEARCH_CHUNKS_MAX: usize = 64;
/// Each line about files costs the loop a moment, with an answer or without: so many may come in a row, and then one each
/// [`COMMAND_PAUSE`]. What registers a file anew does not count, for it is bounded by [`FILES_PER_MEMBER_MAX`].
pub const COMMANDS_BURST: u64 = 2048;
/// See [`COMMANDS_BURST`]; half of what it allows is more than anybody honest says.
pub const COMMAND_PAUSE: Duration = Duration::from_micros(500);
/// How often somebody who fetches a file tells the server what has come.
pub const NEWS_PERIOD: Duration = Duration::from_millis(250);
/// Lines that this may take each time; what is more waits for the next time.
pub const NEWS_LINES_MAX: usize = 256;
/// Members that one fetcher of a file may report for wrong chunks; with so many, the fault is its own.
pub const REPORTS_MAX: usize = 64;
/// How long a guest whose link broke may come back to its name and to what it holds: some
/// attempts at the longest pause, each with its timeout.
pub const GUEST_LOST_MAX: Duration = Duration::from_secs(60);
/// How often the server looks for members that were lost and are forgotten now.
pub const ABSENT_LOOK_PERIOD: Duration = Duration::from_secs(5);
/// The same when there was more to do than in one look.
pub const ABSENT_LOOK_SOON: Duration = Duration::from_millis(100);
/// Members whose files are forgotten in one look; each may have [`FILES_PER_MEMBER_MAX`].
pub const ABSENT_FORGOTTEN_MAX: usize = 4;

/// One row of a table: `| # | IP | IP | date | time |`, with IPv6 addresses and a long number.
pub const ROW_BYTES_MAX: usize = 160;
/// One line of a samples file: six decimal numbers.
pub const SAMPLE_BYTES_MAX: usize = 160;

const _: () = {
    assert!(LINE_BYTES_MAX <= READ_BUDGET_BYTES && (LINGER_BYTES_MAX as usize) < READ_BUDGET_BYTES);
    assert!(ROW_BYTES_MAX <= LINE_BYTES_MAX && SAMPLE_BYTES_MAX <= LINE_BYTES_MAX);
    // A newcomer's list of members, at about 130 bytes a line, fits the queue of its link.
    assert!(MEMBERS_MAX * 130 < LINK_QUEUE_BYTES_MAX);
    assert!(CHUNKS_IN_FLIGHT_MAX * 2 <= LINK_RANGES_MAX);
    assert!(CHUNKS_IN_FLIGHT_MAX * 4 <= GETS_QUEUED_MAX && GETS_QUEUED_MAX <= LINK_RANGES_MAX);
    assert!(CHUNK_BYTES <= CHUNK_BYTES_MAX);
    // A silent source is replaced well before its link is closed.
    assert!(CHUNK_PATIENCE.as_millis() * 2 <= TRANSFER_SILENCE_TIMEOUT.as_millis());
    assert!(CHUNKS_DEFAULT_MAX <= CHUNKS_MAX);
    let hashes = (OFFERS_CHECKED_MAX + 1) * HASHES_IN_FLIGHT_MAX as usize;
    assert!(hashes + PACKS_UNDER_WAY_MAX <= DISK_JOBS_MAX);
    assert!(CHUNK_BYTES <= PACKED_CHUNK_BYTES_MAX && PACKED_CHUNK_BYTES_MAX <= CHUNK_READ_BYTES_MAX);
    // One packed chunk waits on a link, and one more may have been on its way from the disk when it filled up. Of
    // those that are kept, what two turns send: the word that a link is full may come after the second has begun.
    // All fit beside the two offers of a record.
    let packed = PACKED_CHUNK_BYTES_MAX as usize - PACKED_CHUNK_BYTES_MAX as usize / PACK_SAVING;
    let kept = 2 * KEPT_FRAME_BYTES_MAX;
    let packed = packed + if kept > packed { kept } else { packed };
    assert!(packed + 2 * CHUNKS_DEFAULT_MAX as usize * 65 + 4 * LINE_BYTES_MAX <= LINK_QUEUE_BYTES_MAX);
    assert!((REGISTERS_AHEAD_BYTES + CHUNKS_MAX * 65) < LINK_QUEUE_BYTES_MAX as u64);
    assert!(WORD_PERIOD.as_millis() * 3 <= TRANSFER_SILENCE_TIMEOUT.as_millis());
    // The longest answer of each kind fits the queue of a link beside what the link is owed already.
    let download = SOURCES_MAX * LISTED_BYTES_MAX + CHUNKS_MAX as usize * 65;
    assert!(ANSWERS_BYTES_MAX + download + LINE_BYTES_MAX * ERRORS_MAX as usize <= LINK_QUEUE_BYTES_MAX);
    assert!(ANSWERS_BYTES_MAX + HOLDERS_LISTED_MAX * 64 + LINE_BYTES_MAX < LINK_QUEUE_BYTES_MAX);
    assert!(CHUNKS_MAX as usize * 65 <= REGISTERS_BYTES_MAX);
    assert!(NEWS_LINES_MAX as u128 * COMMAND_PAUSE.as_micros() * 3 / 2 <= NEWS_PERIOD.as_micros());
    assert!((NEWS_LINES_MAX + REGISTERS_AHEAD_MAX) as u64 * 4 <= COMMANDS_BURST);
    assert!(GUEST_LOST_MAX.as_nanos() > 5 * (DIAL_TIMEOUT.as_nanos() + REDIAL_PAUSE_MAX.as_nanos()));
    // A file of any size can be cut; so can the longest record, two rows a tick.
    assert!(FILE_BYTES_MAX / CHUNKS_DEFAULT_MAX <= CHUNK_BYTES_MAX);
    assert!(
        DURATION_MAX.as_millis() / INTERVAL_MIN.as_millis() * 2 * (ROW_BYTES_MAX as u128)
            < FILE_BYTES_MAX as u128
    );
    assert!(INTERVAL_MAX.as_nanos() * 4 < TICK_SILENCE_TIMEOUT.as_nanos());
    assert!(TICK_SILENCE_TIMEOUT.as_nanos() < GREET_TIMEOUT.as_nanos());
    assert!(FLUSH_PERIOD.as_millis() < 250);
    assert!(FLUSH_BYTES < APPEND_BYTES && APPEND_BYTES < UNWRITTEN_BYTES_MAX);
    assert!(UNWRITTEN_BYTES_MAX < SERVER_UNWRITTEN_BYTES_MAX);
    assert!(PEERS_MAX <= LINKS_MAX);
    assert!(LOST_KEEP.as_millis() > RETURN_GRACE.as_millis());
    assert!(RETURN_GRACE.as_millis() > 2 * REDIAL_PAUSE_MAX.as_millis());
    assert!(SERVER_BACK_TIMEOUT.as_millis() > 2 * REDIAL_PAUSE_MAX.as_millis());
};
