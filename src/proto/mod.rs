//! Every decision, pure: bytes and events in, effects out, time as an argument.
//!
//! Nothing below this module touches the operating system, reads a clock or draws a random
//! number. What it wants done leaves as a [`machine::Effect`]; what happened comes back as a
//! [`machine::Input`].

pub mod accounts;
pub mod cadence;
pub mod chat;
pub mod clock;
pub mod exchange;
pub mod gcra;
pub mod ids;
pub mod limits;
pub mod machine;
pub mod peer;
pub mod record;
pub mod server;
pub mod swarm;
pub mod text;
pub mod time;
pub mod upload;
pub mod wheel;
pub mod wire;
