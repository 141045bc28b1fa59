//! One listening socket. Never learns who it is for, nor what becomes of what it accepts.

use std::io::{self, ErrorKind};
use std::net::{self, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Socket, Type};

use crate::io::sockets::{exhausted, plain, tune};
use crate::proto::limits::ACCEPT_BACKLOG;

/// A listening socket.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    /// The machine that what it accepts belongs to.
    pub(super) machine: usize,
    pub(super) local: SocketAddr,
    /// It is on a list of things to visit.
    pub(super) listed: bool,
}

/// What became of one try to accept.
pub(super) enum Accepted {
    Link(TcpStream, SocketAddr),
    /// This one broke before we came; there may be more.
    Broken,
    Nothing,
    /// Descriptors or memory have run out.
    Exhausted(io::Error),
}

/// A socket that listens, for [`Reactor::inherit`](crate::io::Reactor::inherit).
///
/// # Errors
/// The address is in use, not of this machine, or not allowed; or out of descriptors.
pub fn bind(addr: SocketAddr) -> io::Result<net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(ACCEPT_BACKLOG)?;
    Ok(socket.into())
}

impl Listener {
    /// # Errors
    /// As [`bind`].
    pub(super) fn bind(addr: SocketAddr, machine: usize) -> io::Result<Listener> {
        Listener::from_std(bind(addr)?, machine)
    }

    /// # Errors
    /// If it is no TCP listener.
    pub(super) fn from_std(socket: net::TcpListener, machine: usize) -> io::Result<Listener> {
        tune(&socket)?;
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        Ok(Listener { socket: TcpListener::from_std(socket), machine, local, listed: false })
    }

    pub(super) fn accept(&self) -> Accepted {
        match self.socket.accept() {
            Ok((stream, remote)) => Accepted::Link(stream, plain(remote)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Accepted::Nothing,
            Err(error) if exhausted(&error) => Accepted::Exhausted(error),
            Err(_) => Accepted::Broken,
        }
    }
}
