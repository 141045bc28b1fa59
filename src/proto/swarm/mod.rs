//! Files in verified chunks: what a file consists of ([`Manifest`]) and how far one that is being
//! fetched has come ([`Fetch`]). Pure bookkeeping: moves no bytes and knows no links.
//!
//! The chunk is the unit of everything: asked for, verified, stored, and held. A [`Fetch`] does
//! not care which link a chunk comes over, so chunks of one file may come from several holders.

mod chunks;
mod fetch;
mod manifest;
#[cfg(test)]
mod tests;

pub use chunks::{ChunkSet, ChunkSetError};
pub use fetch::{Fetch, Lie};
pub use manifest::{HASH_LINE_BYTES, Manifest, ManifestError};
