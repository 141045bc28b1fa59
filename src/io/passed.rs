//! Listeners that whoever started this process has opened for it (`systemd.socket`, sd_listen_fds(3)). Takes only what is
//! meant for this very process, and only what listens for TCP.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt, sockopt,
};

/// A listener that was passed.
#[derive(Debug)]
pub struct Passed {
    /// What it is called (`FileDescriptorName=`); `unknown` if nobody has named it.
    pub name: String,
    /// Where it listens.
    pub addr: SocketAddr,
    /// It is closed when a program is started.
    pub socket: TcpListener,
}

/// Something that was passed and is no use.
#[derive(Debug)]
pub struct WrongPassed {
    /// 3 is the first.
    pub descriptor: i32,
    /// What it is called.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for WrongPassed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "descriptor {} ({}): {}", self.descriptor, self.name, self.why)
    }
}

/// Takes what was passed; none if nothing was, or if it was meant for another process (`LISTEN_PID`). Only the first call gets them.
///
/// # Errors
/// `Err` as a whole if the environment makes no sense; and for each descriptor that is none of ours.
pub fn take_passed() -> io::Result<Vec<Result<Passed, WrongPassed>>> {
    static TAKEN: std::sync::Once = std::sync::Once::new();
    let mut passed = Vec::new();
    let mut outcome = Ok(());
    // The names of another process's are an error to the crate.
    let any = sd_notify::listen_fds()?.len() > 0;
    TAKEN.call_once(|| match sd_notify::listen_fds_with_names() {
        _ if !any => {}
        Ok(found) => passed.extend(found.map(|(descriptor, name)| take(descriptor, name))),
        Err(error) => outcome = Err(error),
    });
    outcome.map(|()| passed)
}

#[allow(unsafe_code)] // a number from the environment becomes a descriptor nowhere else
fn take(descriptor: i32, name: String) -> Result<Passed, WrongPassed> {
    // SAFETY: it is open, or setting its flags would have failed; whoever started this process says that it is ours, and this
    // runs once.
    let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
    match check(owned.as_fd()) {
        Ok(addr) => Ok(Passed { name, addr, socket: owned.into() }),
        Err(why) => Err(WrongPassed { descriptor, name, why }),
    }
}

/// Where it listens, if it is a TCP listener.
fn check(socket: BorrowedFd<'_>) -> Result<SocketAddr, String> {
    let kind = getsockopt(&socket, sockopt::SockType).map_err(|_| "it is no socket".to_owned())?;
    let bound: SockaddrStorage =
        getsockname(socket.as_raw_fd()).map_err(|error| format!("it has no address: {error}"))?;
    let ip = matches!(bound.family(), Some(AddressFamily::Inet | AddressFamily::Inet6));
    if kind != SockType::Stream || !ip {
        return Err("it is no TCP socket".to_owned());
    }
    match getsockopt(&socket, sockopt::AcceptConn) {
        Ok(true) => {}
        Ok(false) => {
            return Err("it does not listen (Accept=yes passes connections; leave that out)".to_owned());
        }
        Err(error) => return Err(format!("it cannot be asked whether it listens: {error}")),
    }
    let addr = match (bound.as_sockaddr_in(), bound.as_sockaddr_in6()) {
        (Some(addr), _) => SocketAddr::V4((*addr).into()),
        (None, Some(addr)) => SocketAddr::V6((*addr).into()),
        (None, None) => return Err("it has no address".to_owned()),
    };
    Ok(addr)
}
