//! A pipe or a terminal opened once more, so that we need not wait for its reader and whoever shares it still can. Never writes to it.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;

use nix::fcntl::OFlag;
use nix::sys::stat::fstat;

/// The same pipe or terminal, opened for ourselves: writes to it never wait. `None` if it is somebody else's.
pub(super) fn open_again(fd: BorrowedFd<'_>) -> Option<File> {
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let own = OpenOptions::new().write(true).custom_flags(flags).open(path).ok()?;
    let (known, there) = (fstat(fd).ok()?, fstat(&own).ok()?);
    ((there.st_dev, there.st_ino) == (known.st_dev, known.st_ino)).then_some(own)
}
