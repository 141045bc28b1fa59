//! Bounds of accounts and of the messenger, each with its unit and its reason.

use std::time::Duration;

use crate::proto::limits::{
    ANSWERS_BYTES_MAX, CHUNKS_MAX, COMMAND_PAUSE, COMMANDS_BURST, DIAL_TIMEOUT, LINE_BYTES_MAX,
    LINK_QUEUE_BYTES_MAX, LINKS_MAX, NAME_BYTES_MAX, NEWS_LINES_MAX, NEWS_PERIOD, PAIR_WAIT,
    REGISTERS_AHEAD_BYTES, REGISTERS_AHEAD_MAX,
};

// --- Accounts ---------------------------------------------------------------------------------

/// Accounts of one server: all are in memory, about 200 bytes each.
pub const ACCOUNTS_MAX: usize = 100_000;
/// Longest password as it is typed: a sentence, and far below what a line holds.
pub const PASSWORD_BYTES_MAX: usize = 256;
/// Bytes of a salt, as in the example of RFC 7677: no two accounts get the same by chance.
pub const SALT_BYTES: usize = 16;
/// Random bytes that each side adds to a login's nonce; in base64 they need no padding.
pub const SCRAM_NONCE_BYTES: usize = 18;
/// Longest nonce that is taken from the other side, both its parts together.
pub const SCRAM_NONCE_TEXT_MAX: usize = 128;
/// How often a new password is hashed, and at least: what RFC 7677 asks for. It takes about a millisecond.
pub const SCRAM_ITERATIONS: u32 = 4096;
/// The same at most: a quarter of a second, for which a client does not seem to hang.
pub const SCRAM_ITERATIONS_MAX: u32 = 1 << 20;
/// Failures in a row, from wherever, after which a name is blocked.
pub const FAILURES_MAX: u32 = 3;
/// Names whose failures are remembered, accounts or not; the oldest is forgotten. About 3 MB.
pub const FAILED_NAMES_MAX: usize = 16_384;
/// Longest file of `name password` lines: as many accounts as there may be, with the longest of each.
pub const CREDENTIALS_BYTES_MAX: usize = 32 << 20;
/// Logins of one account that are remembered, and as many with a wrong password: what fits a screen.
pub const LOGINS_KEPT_MAX: u32 = 20;
/// Logins with a wrong password that are remembered of one second: storing them takes the loop a millisecond. More are
/// somebody's guesses, and in the log.
pub const LOGINS_REFUSED_MAX: usize = 64;
/// Logins that wait to be stored, for a second at most: then all of them are stored together, in a fraction of a
/// millisecond.
pub const LOGINS_UNSTORED_MAX: usize = 16;
/// Wrong lines of such a file that are shown.
pub const FAULTS_SHOWN_MAX: usize = 20;

// --- The messenger ----------------------------------------------------------------------------

/// Users and guests online at once: each has a link.
pub const ONLINE_MAX: usize = LINKS_MAX;
/// Longest text of a message in bytes: with sender, number and time it fits a line.
pub const MESSAGE_BYTES_MAX: usize = LINE_BYTES_MAX - 128;
/// Others whom one user blocks. Nobody types more.
pub const BLOCKS_PER_USER_MAX: usize = 1000;
/// Blocks of all users: some tens of megabytes.
pub const BLOCKS_MAX: usize = 1_000_000;
/// Messages that wait for one user; what nobody reads in one evening.
pub const MAIL_PER_USER_MAX: u32 = 4096;
/// Bytes of text that wait for one user.
pub const MAIL_BYTES_PER_USER_MAX: u32 = 1 << 20;
/// Messages from one sender that wait for one user: nobody fills a mailbox alone.
pub const MAIL_PER_SENDER_MAX: u32 = MAIL_PER_USER_MAX / 4;
/// Bytes of their texts.
pub const MAIL_BYTES_PER_SENDER_MAX: u32 = MAIL_BYTES_PER_USER_MAX / 4;
/// Messages that wait for all users together.
pub const MAIL_MAX: u64 = 4_000_000;
/// Bytes of text that wait for all users together: the disk has to take them.
pub const MAIL_BYTES_MAX: u64 = 1 << 30;
/// Messages read back for one user at once; the next follow when these have come to where they should.
pub const MAIL_ROWS_MAX: u32 = 64;
/// Messages on their way to one user. What comes beyond them waits in the mailbox, not in memory.
pub const FLIGHT_MAX: usize = 256;
/// Bytes of text on their way to one user: the same in bytes, and well below a link's queue.
pub const FLIGHT_BYTES_MAX: usize = 256 << 10;
/// Bytes of text on their way to all users: bounds what a town of slow readers costs in memory.
pub const FLIGHTS_BYTES_MAX: usize = 64 << 20;
/// Numbers that a store promises not to give again before they are needed: one write for so many messages.
pub const NUMBERS_AHEAD: u64 = 1024;
/// Greatest number of a message that a store is believed to have given: no user gets so many more in one life.
pub const NUMBER_MAX: u64 = 1 << 62;
/// Files of which one user is remembered to hold something: what one person looks after.
pub const KEPT_FILES_PER_USER_MAX: usize = 4096;
/// The same of all users together; each takes at most about 600 bytes of memory.
pub const KEPT_FILES_MAX: usize = 100_000;
/// Private links of one user.
pub const PRIVATES_PER_USER_MAX: usize = 64;
/// Guests that are remembered after they have gone.
pub const GUESTS_GONE_MAX: usize = 4096;
/// Messages that a user may send at once: a pasted page.
pub const MESSAGES_BURST: u32 = 20;
/// Time in which a user may send one more.
pub const MESSAGE_PERIOD: Duration = Duration::from_millis(200);
/// Messages above that which are held back until it is their time; more are refused.
pub const MESSAGES_SLOWED_MAX: u32 = 20;
/// Messages that a broadcast counts as.
pub const BROADCAST_COST: u32 = 5;

// How they are related.
// --- The messenger in the server --------------------------------------------------------------

/// Names in the answer to `whoelse` and `whoelsesince`. People read no more, and all of them fit the queue of a
/// link beside what it is owed already.
pub const LISTED_MAX: usize = 10_000;
/// Names in a list that cost the loop as much as another line: see [`COMMANDS_BURST`].
pub const LISTED_PER_COMMAND: u64 = 64;
/// Bytes that wait on one link behind a line that waits for the store or for its time: some pasted pages.
pub const BACKLOG_BYTES_MAX: usize = 64 << 10;
/// Lines about who comes and goes that may go out in a row, as it happens. What is beyond waits for its time, and
/// goes out together: where ten thousand log in within ten seconds it would be fifty million writes.
pub const COMINGS_LINES_BURST: u64 = 5000;
/// Time for one line more: it takes about 4 µs, so all this takes a fifth of a core at most.
pub const COMINGS_LINE_PERIOD: Duration = Duration::from_micros(20);
/// Comings and goings that are told together.
pub const COMINGS_MAX: usize = 8192;
/// Links that are told in a row: fewer than one turn writes to, so that the lines for thousands of links never wait in
/// memory at once. With 256 that made holes in the heap, twice what people who only listen take.
pub const COMINGS_LINKS_MAX: usize = 32;
/// How soon the next links follow.
pub const COMINGS_PAUSE: Duration = Duration::from_millis(1);
/// The same behind a `REGISTER` of a user, which waits for the store: what a program says before it is answered.
pub const REGISTER_BACKLOG_BYTES_MAX: usize = 1 << 20;
/// How often is looked whether messages have come to plain clients: long against a turn.
pub const LANDING_PAUSE: Duration = Duration::from_millis(10);
/// How often is looked whether another program has changed the accounts.
pub const BOOK_PERIOD: Duration = Duration::from_secs(1);
/// How old a look at the accounts may be for a login: what a script did before it, in a process of its own, took longer.
/// A thousand logins a second share two hundred looks.
pub const BOOK_AGE_MAX: Duration = Duration::from_millis(5);
/// Accounts that are read at once when another program has changed any: well below a millisecond's work.
pub const BOOK_ROWS_MAX: u32 = 128;
/// How soon the next ones are read: all there may be take a second or two.
pub const BOOK_ROWS_PAUSE: Duration = Duration::from_millis(2);
/// How soon mail that could not be read is tried again.
pub const MAIL_RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Passwords that are hashed at once: a tenth of a second's work for the other thread.
pub const DERIVES_MAX: usize = 64;

// --- The messenger in the client --------------------------------------------------------------

/// Bytes that were typed and wait for their turn: a pasted page, or what a script has ahead.
pub const TYPED_BYTES_MAX: usize = 64 << 10;
/// Lines that a client says to its server in a row: half of what the server takes, for what was held up on the way
/// comes there all at once.
pub const SAID_BURST: u64 = COMMANDS_BURST / 2;
/// Then one each: a quarter slower than the server takes them, for its clock is another one.
pub const SAID_PAUSE: Duration = Duration::from_micros(COMMAND_PAUSE.as_micros() as u64 * 5 / 4);
/// How long a command of a script waits for a server that is gone: as long as one takes to start anew and clients to
/// come back to it.
pub const SERVER_WAIT: Duration = Duration::from_secs(30);
/// Things that wait to be shown: the longest list, everything on its way to one user, and a little more. Beyond them
/// the link to the server is closed, which keeps what is not acknowledged.
pub const NEWS_MAX: usize = 16_384;
/// How long after a message came is looked whether it was shown: nobody waits for the acknowledgement.
pub const SHOWN_PAUSE: Duration = Duration::from_millis(20);
/// How long a client that is to leave waits for the next message of those that waited for its user.
pub const MAIL_QUIET: Duration = Duration::from_secs(1);
/// How long two users who were told of each other have until their link is open: as long as both dial, one after
/// the other.
pub const PRIVATE_WAIT: Duration = Duration::from_secs(10);
/// How long a private text may wait until the other side has shown it.
pub const PRIVATE_REPLY_TIMEOUT: Duration = Duration::from_secs(20);
/// Private texts of one other that wait to be shown. Who keeps to the rules says one at a time.
pub const PRIVATE_UNSHOWN_MAX: usize = 16;
/// Files that one console offers and gets, together.
pub const CONSOLE_FILES_MAX: usize = 1024;
/// How long a download waits while nobody is there who holds what is missing.
pub const DOWNLOAD_WAIT: Duration = Duration::from_secs(60);

const _: () = {
    assert!(NEWS_MAX > LISTED_MAX + FLIGHT_MAX && LINE_BYTES_MAX < TYPED_BYTES_MAX);
    assert!(SAID_BURST < COMMANDS_BURST && SAID_PAUSE.as_nanos() > COMMAND_PAUSE.as_nanos());
    // What is said about files leaves room for commands.
    assert!(NEWS_LINES_MAX as u128 * SAID_PAUSE.as_micros() < NEWS_PERIOD.as_micros());
    assert!(PAIR_WAIT.as_millis() + DIAL_TIMEOUT.as_millis() < PRIVATE_WAIT.as_millis());
    let list = LISTED_MAX * (NAME_BYTES_MAX + "* USER \n".len());
    assert!(ANSWERS_BYTES_MAX + list + FLIGHT_BYTES_MAX + FLIGHT_MAX * 80 < LINK_QUEUE_BYTES_MAX);
    assert!(LINE_BYTES_MAX < BACKLOG_BYTES_MAX);
    assert!(COMINGS_MAX * (NAME_BYTES_MAX + "OFFLINE \n".len()) * 2 < LINK_QUEUE_BYTES_MAX);
    let ahead =
        REGISTERS_AHEAD_BYTES as usize + CHUNKS_MAX as usize * 65 + REGISTERS_AHEAD_MAX * LINE_BYTES_MAX / 8;
    assert!(ahead + BACKLOG_BYTES_MAX <= REGISTER_BACKLOG_BYTES_MAX);
    assert!(NAME_BYTES_MAX + PASSWORD_BYTES_MAX + "login  \r\n".len() <= LINE_BYTES_MAX);
    assert!(SCRAM_NONCE_BYTES.is_multiple_of(3) && SCRAM_NONCE_BYTES / 3 * 4 * 2 <= SCRAM_NONCE_TEXT_MAX);
    assert!(SCRAM_ITERATIONS <= SCRAM_ITERATIONS_MAX && FAILURES_MAX > 1);
    assert!(ACCOUNTS_MAX * (NAME_BYTES_MAX + PASSWORD_BYTES_MAX + " \r\n".len()) <= CREDENTIALS_BYTES_MAX);
    assert!(MESSAGE_BYTES_MAX + NAME_BYTES_MAX + 64 < LINE_BYTES_MAX);
    assert!(MAIL_ROWS_MAX as usize * MESSAGE_BYTES_MAX <= FLIGHT_BYTES_MAX);
    assert!(MAIL_ROWS_MAX as usize <= FLIGHT_MAX && FLIGHT_MAX as u64 * 2 <= NUMBERS_AHEAD);
    assert!(FLIGHT_BYTES_MAX * 2 <= LINK_QUEUE_BYTES_MAX && FLIGHT_MAX <= MAIL_PER_USER_MAX as usize);
    assert!(BROADCAST_COST <= MESSAGES_BURST);
};
