//! The addresses of a server, bound before anything else begins: what is in the way is found at once, and root's ports
//! are open when root is not needed any more. Accepts nothing.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Result, anyhow};

use crate::app::cli::ServerOptions;
use crate::io::{Reactor, bind};
use crate::proto::machine::Why;

/// Sockets that listen, and at which addresses: where the system chose the port, these have it.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) mesh: Vec<SocketAddr>,
    pub(super) upload: Option<SocketAddr>,
    sockets: Vec<TcpListener>,
}

impl Listeners {
    /// Binds all of them, or none.
    ///
    /// # Errors
    /// The address that cannot be bound, and why.
    pub(super) fn bind(options: &ServerOptions) -> Result<Listeners> {
        let mut sockets = Vec::new();
        let mut open = |addr: SocketAddr, flag: &str| {
            let bound = bind(addr).and_then(|socket| Ok((socket.local_addr()?, socket)));
            let (addr, socket) = bound.map_err(|error| {
                anyhow!("cannot listen at {addr}: {}; choose another address with {flag}", Why(error.kind()))
            })?;
            sockets.push(socket);
            anyhow::Ok(addr)
        };
        let mesh = options.listen.iter().map(|addr| open(*addr, "--listen")).collect::<Result<_>>()?;
        let upload =
            options.uploads.as_ref().map(|uploads| open(uploads.listen, "--upload-listen")).transpose()?;
        Ok(Listeners { mesh, upload, sockets })
    }

    /// The reactor serves them when machines ask for these addresses.
    pub(super) fn hand_to(self, reactor: &mut Reactor) {
        self.sockets.into_iter().for_each(|socket| reactor.inherit(socket));
    }
}
