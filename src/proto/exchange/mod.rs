//! The tick from both ends, and its record: a peer's schedule and accounts ([`Ticker`]), the
//! server's accounts of one member ([`Answerer`]), and a record file on its way to the disk
//! ([`Recorder`]). Sends nothing itself; roles do.

mod answerer;
mod recorder;
#[cfg(test)]
mod tests;
mod ticker;

pub use answerer::Answerer;
pub use recorder::{Failure, News, Recorder};
pub use ticker::{Accounts, Road, Ticker};
