//! The options that every socket of ours has, and what a socket's error means. Owns no socket.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use mio::net::TcpStream;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

use crate::proto::limits::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, UNACKED_TIMEOUT};
use crate::proto::machine::DownReason;

/// Sets the options of a link. A listener's are inherited by what it accepts, so that even bytes
/// that came before we accepted have the kernel's time on them.
///
/// # Errors
/// If the kernel knows one of them not.
pub(super) fn tune(socket: &impl AsFd) -> io::Result<()> {
    setsockopt(socket, sockopt::TcpNoDelay, &true)?;
    setsockopt(socket, sockopt::KeepAlive, &true)?;
    setsockopt(socket, sockopt::TcpKeepIdle, &seconds(KEEPALIVE_IDLE))?;
    setsockopt(socket, sockopt::TcpKeepInterval, &seconds(KEEPALIVE_INTERVAL))?;
    setsockopt(socket, sockopt::TcpKeepCount, &KEEPALIVE_PROBES)?;
    setsockopt(socket, sockopt::TcpUserTimeout, &(UNACKED_TIMEOUT.as_millis() as u32))?;
    setsockopt(socket, sockopt::ReceiveTimestampns, &true)?;
    Ok(())
}

/// An IPv4 address that an IPv6 socket shows as `::ffff:a.b.c.d`, as what it is.
pub(super) fn plain(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// What an error of a link means.
pub(super) fn down_reason(error: &io::Error) -> DownReason {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            DownReason::Reset
        }
        ErrorKind::TimedOut
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown => DownReason::TimedOut,
        _ => DownReason::Failed,
    }
}

/// Whether descriptors or memory have run out: trying again at once would fail again.
pub(super) fn exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

/// The kind of an error, as machines are told of it: the standard library has none for descriptors that
/// have run out.
pub(super) fn kind(error: &io::Error) -> ErrorKind {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => ErrorKind::QuotaExceeded,
        _ => error.kind(),
    }
}

/// Bytes that were written to a connection and that the other host has not confirmed.
///
/// # Errors
/// If the connection broke meanwhile: what was not confirmed by then is lost.
#[allow(unsafe_code)] // no crate of ours offers the call
pub(super) fn unacked_bytes(stream: &TcpStream) -> io::Result<u64> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    let mut bytes: libc::c_int = 0;
    // SAFETY: it writes one int, which is ours. `TIOCOUTQ` is the number of `SIOCOUTQ`, tcp(7).
    Errno::result(unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) })?;
    Ok(u64::try_from(bytes).unwrap_or(0))
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}
