//! `tickmesh server`.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use crate::app::cli::ServerOptions;
use crate::app::state::StateLock;
use crate::app::watched::Watched;
use crate::app::{drive, logging, prepare_folder, random_secret, state, terminal, uploads};
use crate::io::{Host, Reactor, Store, return_large_buffers};
use crate::proto::chat;
use crate::proto::machine::Why;
use crate::proto::server::{LetIn, Server, ServerConfig, TalkConfig};

/// Serves until a signal; true if everything went well.
pub(super) fn run(options: &ServerOptions) -> Result<bool> {
    return_large_buffers();
    logging::start(&options.log)?;
    prepare_folder(&options.out, "--out")?;
    let kept = open_accounts(options.state.as_deref())?;
    let mut reactor = Reactor::new().context("cannot start the event loop")?;
    reactor.serve_signals().context("cannot catch signals")?;
    reactor.set_slow_timeout(options.slow_timeout);
    warn_of_outside(options);
    let mut listen = options.listen.clone();
    let mut dropbox = match &options.uploads {
        Some(uploads) => {
            let state = kept.as_ref().map(|(_, lock)| (lock.folder.as_path(), "the accounts"));
            let others: Vec<_> = state.into_iter().chain([(options.out.as_path(), "the table")]).collect();
            Some(uploads::open(uploads, &others)?)
        }
        None => None,
    };
    let mut keeper = match &options.uploads {
        Some(uploads) if uploads.register => Some(uploads::keeper(&mut listen, &mut reactor)?),
        _ => None,
    };
    let (store, lock) = kept.unzip();
    let config = ServerConfig {
        listen,
        interval: options.interval,
        duration: options.duration,
        secret: random_secret()?,
        talk: TalkConfig {
            guests: options.guests,
            idle_timeout: options.idle_timeout,
            block_duration: options.block_duration,
            accounts_secret: lock.as_ref().map_or_else(random_secret, |lock| Ok(lock.secret))?,
        },
    };
    let mut announced = 0;
    let mut server =
        Watched::each_input(Server::new(config).with_door(options.door), move |server: &Server, _| {
            announced = announce(&server.status().listening, announced);
        });
    if let Some(store) = store {
        reactor.keep_in(0, store);
    }
    let mut hosts = vec![Host { machine: &mut server, root: options.out.clone() }];
    if let (Some(uploads), Some(dropbox)) = (&options.uploads, &mut dropbox) {
        hosts.push(Host { machine: dropbox, root: uploads.dir.clone() });
        hosts.extend(keeper.iter_mut().map(|machine| Host { machine, root: uploads.dir.clone() }));
    }
    drive(reactor, &mut hosts)?;
    let mut outcome = conclude(server.machine());
    if let (Some(uploads), Some(dropbox)) = (&options.uploads, &dropbox) {
        outcome = outcome.and_then(|ended| uploads::conclude(dropbox.machine(), uploads).map(|()| ended));
    }
    if let (Err(error), Some(_)) = (&outcome, &options.log.file) {
        // The terminal hears it from who called.
        log::error!("{error:#}");
    }
    outcome
}

/// Whoever is between here and another host can read everything that goes over a listener which is not this host's own.
fn warn_of_outside(options: &ServerOptions) {
    let guests = match options.guests {
        LetIn::All => "yes",
        LetIn::Loopback => "loopback",
        LetIn::None => "no",
    };
    for addr in options.listen.iter().filter(|addr| !addr.ip().is_loopback()) {
        log::warn!("traffic is not encrypted listener=mesh addr={addr} guests={guests}");
    }
    for addr in options.uploads.iter().map(|uploads| uploads.listen).filter(|addr| !addr.ip().is_loopback()) {
        log::warn!("traffic is not encrypted listener=upload addr={addr}");
    }
}

/// What is kept for people with accounts. A folder that somebody names has to be right; without the usual one
/// there are no accounts, and all the rest of a server.
fn open_accounts(named: Option<&Path>) -> Result<Option<(Store, StateLock)>> {
    let open = |folder: &Path| {
        let store = Store::open(folder).context("cannot use the accounts; --state names another folder")?;
        Ok((store, state::lock(folder)?))
    };
    if let Some(folder) = named {
        return open(folder).map(Some);
    }
    let usual = state::default_folder(|name| std::env::var_os(name));
    let nowhere = || anyhow!("neither XDG_STATE_HOME nor HOME says where; give --state DIR");
    match usual.ok_or_else(nowhere).and_then(|folder| open(&folder)) {
        Ok(kept) => Ok(Some(kept)),
        Err(error) => {
            log::warn!("there are no accounts why=\"{error:#}\"");
            Ok(None)
        }
    }
}

/// One line a listener, as soon as it is ready, for scripts that wait for it.
fn announce(listening: &[SocketAddr], announced: usize) -> usize {
    for addr in &listening[announced.min(listening.len())..] {
        if let Err(error) = terminal::print(&format!("listening mesh {addr}\n")) {
            log::warn!("nobody is told where the server listens error=\"{error:#}\"");
        }
    }
    listening.len()
}

/// What the server has come to.
pub(super) fn conclude(server: &Server) -> Result<bool> {
    let (status, said) = (server.status(), server.messages());
    if let Some((addr, error)) = status.listen_failed {
        return Err(anyhow!("cannot listen at {addr}: {}; choose another address with --listen", Why(error)));
    }
    log::info!(
        "server ended members={} ticks={} tocks={} blocked={} coalesced={} errors={} tables_failed={}",
        status.members_joined,
        status.ticks,
        status.tocks,
        status.blocked,
        status.coalesced,
        status.errors,
        status.tables_failed
    );
    log::info!(
        "catalog ended guests={} files_registered={} files_refused={} downloads={} chunks_reported={} links_too_fast={}",
        status.guests_greeted,
        status.files_registered,
        status.files_refused,
        status.downloads,
        status.chunks_reported,
        status.links_too_fast
    );
    log::info!(
        "messenger ended logins={} logins_failed={} sent={} kept={} returned={} fetched={} broadcasts={} slowed={} refused={} store_failures={}",
        said.logins,
        status.logins_failed,
        said.sent,
        said.kept,
        said.returned,
        said.fetched,
        said.broadcasts,
        said.slowed,
        chat::Refusal::ALL.into_iter().map(|refusal| said.refused(refusal)).sum::<u64>(),
        status.store_failures
    );
    Ok(status.tables_failed == 0)
}
