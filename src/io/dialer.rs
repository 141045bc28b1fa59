//! Begins a connection, and sees whether it came about. Never waits.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use mio::net::TcpStream;
use socket2::{Domain, Socket, Type};

use crate::io::sockets::{plain, tune};

/// Begins to connect.
///
/// # Errors
/// No route, out of descriptors or ports, or anything else that is known at once.
pub(super) fn begin(addr: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    tune(&socket)?;
    match socket.connect(&addr.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// Both addresses, local first, once the connection is up; `None` while that is not known.
///
/// # Errors
/// Why it did not come about.
pub(super) fn outcome(stream: &TcpStream) -> io::Result<Option<(SocketAddr, SocketAddr)>> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match (stream.local_addr()?, stream.peer_addr()) {
        // Dialing a free port of this machine may pick that very port, and then meets itself.
        (local, Ok(remote)) if local == remote => Err(ErrorKind::ConnectionRefused.into()),
        (local, Ok(remote)) => Ok(Some((plain(local), plain(remote)))),
        (_, Err(error)) if error.kind() == ErrorKind::NotConnected => Ok(None),
        (_, Err(error)) => Err(error),
    }
}
