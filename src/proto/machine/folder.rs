//! What drivers say of a machine's folder, alike: how much of it each file takes. Looks at no folder.

use crate::proto::limits::COUNTED_BYTES_MIN;

/// What a file of so many bytes counts in an [`Effect::Survey`](crate::proto::machine::Effect::Survey), and in every sum that is
/// compared with one: its length, and at least [`COUNTED_BYTES_MIN`].
pub fn counted_bytes(len: u64) -> u64 {
    len.max(COUNTED_BYTES_MIN)
}
