//! The real driver: sockets, files, clocks, timers and signals of this machine, for machines of
//! [`proto`](crate::proto). The only code that makes system calls while a run is on, and all of it
//! on one thread, except what only waits for the disk. Moves bytes and keeps deadlines; never learns what the bytes mean.
//!
//! # Map
//! - `reactor`: [`Reactor`], and one turn of it. `visit` serves one socket, `closing` is how links
//!   end and `ending` how a run does, `effects` is what machines may ask for.
//! - `links`, `link`, `queue`, `budget`: the table of links, one link, what waits to be sent on it, and how much is read from it
//!   at once.
//! - `listener`, `dialer`, `sockets`: how links begin, and the options that all of them have.
//! - `disk`, `open_file`, `opening`, `place`: files, one of them, how they are opened, and their names. `helper` is a
//!   thread of its own, `errands` what it does there, `finish` how files are brought to disk, `room` how it is set
//!   aside for them, `letting_go` how deleted ones end, and `survey` what there is in a folder.
//! - `store`: the database, and `keeping` whose orders it carries out when.
//! - `log_file`: a log that makes room by itself; its old files are the helper's.
//! - `detach`: a process of its own, before any of this. `passed`: listeners that are open already. `typing`: standard
//!   input. `stats`, `spread` and `measure`: what the reactor says of itself. `scheduling`: how the kernel wakes it.
//! - `clock`, `descriptors`, `memory`, `timer`, `signals`, `token`, `answer`: small parts.
//!
//! # One turn
//! Timeouts that are due; answers to effects; each link that has output is flushed once; wait,
//! unless something is left to do; visit every socket that has news, each within a budget. A turn
//! ends early when a deadline has passed or its slice of time is used up: however busy the sockets
//! are, timers are late by a short slice or one visit, and no answer waits longer than a slice.

mod answer;
mod budget;
mod clock;
mod closing;
mod descriptors;
mod detach;
mod dialer;
mod disk;
mod effects;
mod ending;
mod errands;
mod finish;
mod helper;
mod keeping;
mod letting_go;
mod link;
mod links;
mod listener;
mod log_file;
mod measure;
mod memory;
mod open_file;
mod opening;
mod passed;
mod place;
mod queue;
mod reactor;
mod room;
mod scheduling;
mod signals;
mod sockets;
mod spread;
mod stats;
mod store;
mod survey;
mod timer;
mod token;
mod typing;
mod visit;

pub use clock::host_now;
pub use descriptors::descriptors_max;
pub use detach::{Detached, Started, Starting, detach};
pub use ending::RunEnd;
pub use listener::bind;
pub use log_file::{Hand, LogFile, LogRules, LogTrouble, Shelf};
pub use memory::return_large_buffers;
pub use passed::{Passed, WrongPassed, take_passed};
pub use place::is_named;
pub use reactor::{Host, Reactor};
pub use spread::Spread;
pub use stats::Stats;
pub use store::{Store, StoreError};

#[cfg(test)]
mod tests;
