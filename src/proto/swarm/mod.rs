//! Files in verified chunks: what a file consists of ([`Manifest`]), who holds which chunks
//! ([`ChunkSet`]), which one to ask whom for next ([`Picker`]), whether what comes is right
//! ([`Incoming`]), how it is made shorter for the wire ([`Packer`]), and kept so ([`Kept`]), and whose turn it is to be served ([`Serving`]). Pure bookkeeping: moves no bytes and
//! says nothing to anybody.
//!
//! The chunk is the unit of everything: asked for, verified, stored, and held.

mod chunks;
#[cfg(test)]
mod crowd;
mod incoming;
mod kept;
mod manifest;
mod packing;
mod picker;
mod serving;
#[cfg(test)]
mod tests;

pub use chunks::{ChunkSet, ChunkSetError};
pub use incoming::{Incoming, Lie, Packed};
pub use kept::Kept;
pub use manifest::{HASH_LINE_BYTES, Manifest, ManifestError};
pub use packing::{Fit, Packer, Unpacker};
pub use picker::{Accounts, Arrival, Picker, Progress, Slice, SourceId};
pub use serving::{Refusal, Request, Serving};
