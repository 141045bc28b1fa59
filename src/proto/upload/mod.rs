//! The drop box: files that come in over a protocol for programs that speak nothing else, and the client for it.
//! Both ends are machines of their own, beside a server or alone; neither knows of ticks, people or chunks.
//!
//! ```text
//! C>S  8 bytes: size of the file, unsigned, big endian; then the file's name, UTF-8, no length, no terminator
//! S>C  the 8 bytes `go ahead`, nothing else
//! C>S  exactly `size` bytes, then the client closes
//! ```

mod dropbox;
mod uploader;

pub use dropbox::{DropBox, DropBoxConfig, DropBoxStatus};
pub use uploader::{UploadConfig, UploadFile, UploadState, UploadStatus, UploadTrouble, Uploader};
