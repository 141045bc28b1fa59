//! How the kernel shares its processors between this thread and others. Raises no priority, and needs no privilege.
//!
//! Who wakes up for a tick while others compute waits until one of them has used up its slice, which is 3 ms by default. Linux
//! lets a thread ask for shorter slices of its own from 6.12 on (kernel documentation, "EEVDF Scheduler"; `sched_runtime` of
//! sched_setattr(2)): it then gets no more of the processor, but gets it sooner. Older kernels take no notice.

use std::io;

use log::debug;

use crate::proto::limits::LOOP_SLICE;
use crate::proto::time::ns;

/// For the thread that runs the loop.
pub(super) fn ask_for_short_slices() {
    match set_slice(ns(LOOP_SLICE)) {
        Ok(()) => debug!("scheduling slice_ns={}", ns(LOOP_SLICE)),
        Err(error) => debug!("scheduling slice=usual error=\"{error}\""),
    }
}

/// For a thread that the loop has started, which inherits its wish, and its policy. Who starts the program for real time
/// (chrt(1)) means the loop: what waits for the disk and hashes would keep others from a processor.
pub(super) fn take_usual_share() {
    if let Err(error) = leave_real_time().and_then(|()| set_slice(0)) {
        debug!("scheduling thread=disk error=\"{error}\"");
    }
}

/// 0 is what is usual. Threads with a policy for real time are left as they are: `sched_runtime` means something else there.
fn set_slice(slice_ns: u64) -> io::Result<()> {
    let mut attr = attributes()?;
    if !matches!(attr.sched_policy as libc::c_int, libc::SCHED_OTHER | libc::SCHED_BATCH) {
        return Err(io::Error::other("another policy was chosen"));
    }
    attr.sched_runtime = slice_ns;
    set_attributes(&attr)
}

fn leave_real_time() -> io::Result<()> {
    let mut attr = attributes()?;
    if !matches!(attr.sched_policy as libc::c_int, libc::SCHED_FIFO | libc::SCHED_RR) {
        return Ok(());
    }
    attr.sched_policy = libc::SCHED_OTHER as u32;
    attr.sched_priority = 0;
    set_attributes(&attr)
}

/// Those of this thread.
#[allow(unsafe_code)] // no crate of ours offers the call
fn attributes() -> io::Result<libc::sched_attr> {
    // SAFETY: it consists of numbers only, for all of which 0 is a value.
    let mut attr: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::sched_attr>() as libc::c_uint;
    // SAFETY: the kernel writes at most `size` bytes to `attr`, which is ours.
    check(unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, size, 0) })?;
    attr.size = size;
    Ok(attr)
}

#[allow(unsafe_code)] // as above
fn set_attributes(attr: &libc::sched_attr) -> io::Result<()> {
    // SAFETY: the kernel reads `attr` only.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const *attr, 0) })
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The nice value of this thread, which is to stay as it is.
    fn nice() -> String {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        stat.rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap().to_owned()
    }

    #[test]
    fn a_wish_is_taken_and_taken_back_and_changes_no_priority() {
        let before = nice();
        // A sandbox may forbid the calls; then nothing changes either.
        if set_slice(ns(LOOP_SLICE)).is_ok() {
            set_slice(0).unwrap();
        }
        assert_eq!(nice(), before);
    }

    #[test]
    fn what_is_beside_a_loop_of_real_time_is_not() {
        let mut attr = attributes().unwrap();
        (attr.sched_policy, attr.sched_priority) = (libc::SCHED_FIFO as u32, 1);
        if set_attributes(&attr).is_err() {
            println!("skipped: nobody gave this user a priority for real time");
            return;
        }
        take_usual_share();
        assert_eq!(attributes().unwrap().sched_policy, libc::SCHED_OTHER as u32);
    }
}
