//! The addresses of a server, bound before anything else begins, or passed by a service manager that has bound them: what is
//! in the way is found at once, and root's ports are open when root is not needed any more. Accepts nothing.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result, anyhow, bail};

use crate::app::cli::ServerOptions;
use crate::io::{Passed, Reactor, bind, take_passed};
use crate::proto::machine::Why;

/// Sockets that listen, and at which addresses: where the system chose the port, these have it.
#[derive(Debug)]
pub(super) struct Listeners {
    pub(super) mesh: Vec<SocketAddr>,
    pub(super) upload: Option<SocketAddr>,
    /// What an operator should know.
    pub(super) notes: Vec<String>,
    sockets: Vec<TcpListener>,
}

impl Listeners {
    /// Opens all of them, or none. Of each kind, those that were passed take the place of those that are named.
    ///
    /// # Errors
    /// The address that cannot be bound, or what was passed and is no use, and why.
    pub(super) fn bind(options: &ServerOptions) -> Result<Listeners> {
        let Given { mesh, upload } = Given::take(options)?;
        let mut listeners =
            Listeners { mesh: Vec::new(), upload: None, notes: Vec::new(), sockets: Vec::new() };
        if options.listen_is_given && !mesh.is_empty() {
            let idle = options.listen.iter().filter(|addr| mesh.iter().all(|passed| passed.addr != **addr));
            listeners.notes =
                idle.map(|addr| format!("addr={addr} opened=no why=\"others were passed\"")).collect();
        }
        if mesh.is_empty() {
            for addr in &options.listen {
                let addr = listeners.open(*addr, "--listen")?;
                listeners.mesh.push(addr);
            }
        }
        for passed in mesh {
            listeners.mesh.push(passed.addr);
            listeners.sockets.push(passed.socket);
        }
        match (upload, &options.uploads) {
            (Some(passed), _) => {
                listeners.upload = Some(passed.addr);
                listeners.sockets.push(passed.socket);
            }
            (None, Some(uploads)) => {
                listeners.upload = Some(listeners.open(uploads.listen, "--upload-listen")?)
            }
            (None, None) => {}
        }
        Ok(listeners)
    }

    fn open(&mut self, addr: SocketAddr, flag: &str) -> Result<SocketAddr> {
        let bound = bind(addr).and_then(|socket| Ok((socket.local_addr()?, socket)));
        let (addr, socket) = bound.map_err(|error| {
            anyhow!("cannot listen at {addr}: {}; choose another address with {flag}", Why(error.kind()))
        })?;
        self.sockets.push(socket);
        Ok(addr)
    }

    /// The reactor serves them when machines ask for these addresses.
    pub(super) fn hand_to(self, reactor: &mut Reactor) {
        self.sockets.into_iter().for_each(|socket| reactor.inherit(socket));
    }
}

/// What a service manager has passed, by its name.
#[derive(Default)]
struct Given {
    mesh: Vec<Passed>,
    upload: Option<Passed>,
}

impl Given {
    /// # Errors
    /// All that is wrong with what was passed.
    fn take(options: &ServerOptions) -> Result<Given> {
        let mut given = Given::default();
        let mut wrong = Vec::new();
        for passed in
            take_passed().context("cannot use the sockets that were passed (LISTEN_FDS, LISTEN_FDNAMES)")?
        {
            let passed = match passed {
                Ok(passed) => passed,
                Err(why) => {
                    wrong.push(why.to_string());
                    continue;
                }
            };
            let Passed { name, addr, .. } = &passed;
            match name.as_str() {
                "mesh" => given.mesh.push(passed),
                "upload" if options.uploads.is_none() => {
                    wrong.push(format!("{addr} (upload): there is no drop box without --upload-listen"));
                }
                "upload" if given.upload.is_some() => {
                    wrong.push(format!("{addr} (upload): a drop box has one address"));
                }
                "upload" => given.upload = Some(passed),
                _ => wrong.push(format!("{addr} ({name}): FileDescriptorName= has to be mesh or upload")),
            }
        }
        if !wrong.is_empty() {
            bail!("cannot use what was passed: {}", wrong.join("; "));
        }
        Ok(given)
    }
}
