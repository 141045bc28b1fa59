//! What the allocator does with large buffers that are free. Allocates none.

use crate::proto::limits::LARGE_BUFFER_BYTES;

/// Buffers from [`LARGE_BUFFER_BYTES`] on go back to the system when they are free. The allocator of glibc would raise that
/// bound by itself, up to 32 MiB, each time that one is; then they leave holes that it keeps.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)] // no crate of ours offers the call
pub fn return_large_buffers() {
    // SAFETY: it only sets a number, and touches no memory of ours.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BUFFER_BYTES) };
}

/// Other allocators do as they do.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn return_large_buffers() {}
