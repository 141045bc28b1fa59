//! What can be told from clock readings: how figures spread, how far two clocks are apart, and
//! whether a clock was set. Never reads a clock and never corrects one.
//!
//! | module | owns |
//! |---|---|
//! | [`stats`] | percentiles of a stream of nanoseconds |
//! | [`offset`] | offset and delay of an exchange, and the best estimate with its bound |
//! | [`step`] | steps of the wall clock |

pub mod offset;
pub mod stats;
pub mod step;

pub use offset::{Exchange, Offset, OffsetEstimate};
pub use stats::{Percentiles, Spread};
pub use step::StepWatch;
