//! Bounds of what operators ask and set.

use std::time::Duration;

use crate::proto::limits::{
    LINGERING_MAX, LINK_QUEUE_BYTES_MAX, LINKS_MAX, PEERS_MAX, UNACKED_TIMEOUT, UPLOAD_CLIENTS,
};

/// Lines that a `status` counts as: a look at all links takes a fraction of a millisecond.
pub const STATUS_COMMANDS: u64 = 100;
/// How long `tickmesh status` waits for a server that takes the connection and says nothing.
pub const STATUS_TIMEOUT: Duration = Duration::from_secs(5);
/// Time between its two looks, from which it knows how fast things go: as long as a person likes to wait.
pub const STATUS_SPAN: Duration = Duration::from_secs(1);
/// Figures that it takes from a server. There are about 150.
pub const FIGURES_MAX: usize = 4096;
/// Links that a server takes at once, unless an operator says otherwise: with those of the driver that are left, whoever comes
/// beyond them is told so.
pub const SERVER_LINKS: usize = LINKS_MAX - 3072;
/// How many more it takes from its own host, in all and from one address, so that it says how it stands when it is full.
pub const LINKS_FOR_OPERATORS: usize = 16;
/// Links of others to who offers uploads to the mesh. Who finds no place there tries again, and gets chunks of those who have some.
pub const HOLDER_LINKS_MAX: usize = 1024;
/// The same of one address: half of them, so that one host cannot keep out all others.
pub const HOLDER_LINKS_PER_ADDRESS_MAX: usize = HOLDER_LINKS_MAX / 2;
/// Machines of one server that take links: itself, the drop box, and who offers uploads.
const SERVER_MACHINES: usize = 3;
/// Most that an operator may say, the clients of a drop box included: what a driver has, without those of operators, of who offers
/// uploads, and those that were closed and wait for the other side's end. Otherwise the driver would be full before the server is, and
/// close links without a word.
pub const SERVER_LINKS_MAX: usize =
    LINKS_MAX - LINKS_FOR_OPERATORS - HOLDER_LINKS_MAX - SERVER_MACHINES * LINGERING_MAX;
/// Links that it takes from one address, unless an operator says otherwise: the most peers that one process has, and as many
/// people beside them as sit at one host.
pub const SERVER_LINKS_PER_ADDRESS: usize = 5000;
/// How long a new link may take to say who it is. People type.
pub const GREET_TIMEOUT: Duration = Duration::from_secs(60);
/// Lines in the log about links that were turned away or closed for a fault, in a row; then one each
/// [`TURNED_AWAY_LINES_PERIOD`], which says how many were left out.
pub const TURNED_AWAY_LINES_BURST: u64 = 20;
/// See [`TURNED_AWAY_LINES_BURST`].
pub const TURNED_AWAY_LINES_PERIOD: Duration = Duration::from_secs(3);
/// Records of level INFO in a row, and one each [`LOG_LINE_PAUSE`] then; how many were left out is said each
/// [`LOG_LEFT_OUT_PERIOD`]. As many as ten thousand users cause who come and go, and so few that a flood takes hours to push
/// out what else is in the log.
pub const LOG_LINES_BURST: u64 = 20_000;
/// See [`LOG_LINES_BURST`].
pub const LOG_LINE_PAUSE: Duration = Duration::from_millis(20);
/// See [`LOG_LINES_BURST`]: a flood that lasts for a day has 1440 such lines, among four million of its own.
pub const LOG_LEFT_OUT_PERIOD: Duration = Duration::from_secs(60);
/// Signals that ask to end, and come so soon after the first of them, are one: `timeout` sends one to its child, and then one to the
/// group. Nobody means two when they are so close.
pub const SIGNALS_AT_ONCE: Duration = Duration::from_millis(100);
/// Longest configuration file: ten times what all keys need, with a remark on each.
pub const CONFIG_BYTES_MAX: u64 = 64 * 1024;
/// Mistakes of one configuration that are told: a screen or two.
pub const CONFIG_MISTAKES_MAX: usize = 100;
/// Bytes that may wait in memory for one slow reader, but not for long ([`SLOW_READER_TIMEOUT`]).
pub const LINK_QUEUE_BYTES_SOFT: usize = LINK_QUEUE_BYTES_MAX / 2;
/// How long more than [`LINK_QUEUE_BYTES_SOFT`] may wait for one reader, unless an
/// operator says otherwise. One that takes nothing at all is found earlier, by the kernel.
pub const SLOW_READER_TIMEOUT: Duration = Duration::from_secs(30);

// What it takes unless an operator says otherwise fits, those who upload included.
const _: () = assert!(SERVER_LINKS + UPLOAD_CLIENTS < SERVER_LINKS_MAX);
const _: () = assert!(SLOW_READER_TIMEOUT.as_secs() > UNACKED_TIMEOUT.as_secs());
const _: () = assert!(PEERS_MAX < SERVER_LINKS_PER_ADDRESS && SERVER_LINKS_PER_ADDRESS < SERVER_LINKS);
