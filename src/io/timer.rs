//! One `timerfd` for everything that waits for a time: epoll's own timeout rounds up to a
//! millisecond. Never knows what a deadline is for.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::io::clock::Clock;
use crate::io::token::Source;
use crate::proto::time::{Mono, SECOND_NS};

/// Ends the reactor's wait at a given time.
#[derive(Debug)]
pub(super) struct Timer {
    fd: TimerFd,
    /// What the kernel was told last, passed or not.
    armed: Option<Mono>,
}

impl Timer {
    /// # Errors
    /// Out of descriptors.
    pub(super) fn new(registry: &Registry) -> io::Result<Timer> {
        let fd = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)?;
        let raw = fd.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&raw), Source::Timer.token(), Interest::READABLE)?;
        Ok(Timer { fd, armed: None })
    }

    /// Ends the next wait at `deadline`. It is a system call only if the deadline changed. The
    /// timer is never read: setting it anew clears what it counted.
    pub(super) fn arm(&mut self, deadline: Option<Mono>, clock: &Clock) -> io::Result<()> {
        if self.armed == deadline {
            return Ok(());
        }
        match deadline {
            None => self.fd.unset()?,
            Some(deadline) => {
                let at_ns = clock.system_ns(deadline);
                let at = TimeSpec::new((at_ns / SECOND_NS) as i64, (at_ns % SECOND_NS) as i64);
                self.fd.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
        }
        self.armed = deadline;
        Ok(())
    }
}
