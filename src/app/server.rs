//! `tickmesh server`.

use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, anyhow};

use crate::app::announce::Announcer;
use crate::app::claim;
use crate::app::cli::ServerOptions;
use crate::app::daemon::{self, Side};
use crate::app::keeper::Keeper;
use crate::app::listeners::Listeners;
use crate::app::privileges::Target;
use crate::app::state::StateLock;
use crate::app::systemd::Manager;
use crate::app::watched::Watched;
use crate::app::{drive, logging, pid_file, prepare_folder, random_secret, state, uploads};
use crate::io::{Host, Reactor, Store, descriptors_max, return_large_buffers};
use crate::proto::chat;
use crate::proto::limits::DESCRIPTORS_SPARE;
use crate::proto::machine::{OPERATOR, Why};
use crate::proto::server::{LetIn, Server, ServerConfig, TalkConfig};

/// Serves until a signal; true if everything went well.
pub(super) fn run(options: &ServerOptions) -> Result<bool> {
    return_large_buffers();
    let starting = match options.process.daemon.then(daemon::leave_terminal).transpose()? {
        Some(Side::First(outcome)) => return outcome,
        Some(Side::Last(starting)) => Some(starting),
        None => None,
    };
    let announcer = Announcer::new(starting);
    let outcome = start(options, &announcer);
    if let Err(error) = &outcome {
        announcer.fail(&format!("{error:#}"));
    }
    outcome
}

/// What may need root comes first, and all the rest is done as who serves.
fn start(options: &ServerOptions, announcer: &Rc<Announcer>) -> Result<bool> {
    let process = &options.process;
    let target = process.user.as_deref().map(Target::find).transpose()?;
    // Before anything that a server which runs already could notice.
    let pid_file = process.pid_file.as_deref().map(pid_file::take).transpose()?;
    let listeners = Listeners::bind(options);
    if let Some(target) = &target {
        target.become_it()?;
    }
    logging::start(&options.log).map_err(as_whom(target.as_ref()))?;
    options.notes.iter().for_each(|note| log::warn!("configuration {note}"));
    if let Some(pid) = pid_file.as_ref().and_then(|file| file.stale) {
        log::warn!("pid file of a server that did not end well taken over pid={pid}");
    }
    let outcome = listeners.and_then(|listeners| serve(options, listeners, target.as_ref(), announcer));
    if let (Err(error), Some(_)) = (&outcome, &options.log.file) {
        // The terminal hears it from who called.
        log::error!("{error:#}");
    }
    // Before the pid file goes, for then the next one may start.
    logging::let_go();
    outcome
}

/// From here on nothing needs root.
fn serve(
    options: &ServerOptions,
    listeners: Listeners,
    target: Option<&Target>,
    announcer: &Rc<Announcer>,
) -> Result<bool> {
    let as_whom = as_whom(target);
    prepare_folder(&options.out, "--out").map_err(&as_whom)?;
    let _claim = claim::take(&options.out, "--out").map_err(&as_whom)?;
    let (store, lock) = open_accounts(options.state.as_deref(), target).map_err(&as_whom)?.unzip();
    let mut reactor = Reactor::new().context("cannot start the event loop")?;
    reactor.serve_signals().context("cannot catch signals")?;
    reactor.end_within(options.process.grace);
    reactor.set_slow_timeout(options.slow_timeout);
    warn_of_outside(options, &listeners);
    tell_descriptors(options.door.links_max);
    let uploading = match (&options.uploads, listeners.upload) {
        (Some(uploads), Some(addr)) => {
            let state = lock.as_ref().map(|lock| (lock.folder.as_path(), "the accounts"));
            let others: Vec<_> = state.into_iter().chain([(options.out.as_path(), "the table")]).collect();
            Some(uploads::open(uploads, addr, &others, Rc::clone(announcer)).map_err(&as_whom)?)
        }
        _ => None,
    };
    let (mut dropbox, _upload_claim) = uploading.unzip();
    let mut holder = match &options.uploads {
        Some(uploads) if uploads.register => Some(uploads::holder(&listeners.mesh)?),
        _ => None,
    };
    let config = server_config(options, listeners.mesh.clone(), lock.as_ref())?;
    listeners.notes.iter().for_each(|note| log::warn!("listen {note}"));
    let manager = Manager::from_environment().map(Rc::new);
    announcer.expect(listeners.mesh.len() + usize::from(listeners.upload.is_some()), manager.as_ref());
    listeners.hand_to(&mut reactor);
    let (mut announced, announcer) = (0, Rc::clone(announcer));
    let mut server =
        Watched::each_input(Server::new(config).with_door(options.door), move |server: &Server, _| {
            let listening = &server.status().listening;
            listening[announced..].iter().for_each(|addr| announcer.announce("mesh", *addr));
            announced = listening.len();
        });
    if let Some(store) = store {
        reactor.keep_in(0, store);
    }
    let mut hosts = vec![Host { machine: &mut server, root: options.out.clone() }];
    if let (Some(uploads), Some(dropbox)) = (&options.uploads, &mut dropbox) {
        hosts.push(Host { machine: dropbox, root: uploads.dir.clone() });
        hosts.extend(holder.iter_mut().map(|machine| Host { machine, root: uploads.dir.clone() }));
    }
    let mut wiring = Keeper::new(manager, options.process.grace, options.log.file.is_none());
    hosts.push(Host { machine: &mut wiring, root: options.out.clone() });
    log::info!("server starts version={} pid={}", env!("CARGO_PKG_VERSION"), std::process::id());
    drive(reactor, &mut hosts).inspect_err(|_| tell_undone(server.machine()))?;
    let outcome = conclude(server.machine());
    match (&options.uploads, &dropbox) {
        (Some(uploads), Some(dropbox)) => {
            outcome.and_then(|ended| uploads::conclude(dropbox.machine(), uploads).map(|()| ended))
        }
        _ => outcome,
    }
}

/// Who could not do it, if that is not who started the program.
fn as_whom(target: Option<&Target>) -> impl Fn(anyhow::Error) -> anyhow::Error {
    move |error| match target {
        Some(target) => error.context(format!("as the user {}", target.name())),
        None => error,
    }
}

fn server_config(
    options: &ServerOptions,
    listen: Vec<SocketAddr>,
    lock: Option<&StateLock>,
) -> Result<ServerConfig> {
    Ok(ServerConfig {
        listen,
        interval: options.interval,
        duration: options.duration,
        secret: random_secret()?,
        talk: TalkConfig {
            guests: options.guests,
            idle_timeout: options.idle_timeout,
            block_duration: options.block_duration,
            accounts_secret: lock.map_or_else(random_secret, |lock| Ok(lock.secret))?,
        },
    })
}

/// Each connection takes a descriptor, and the system may give fewer than there may be connections.
fn tell_descriptors(links_max: usize) {
    let (needed, max) = (links_max as u64 + DESCRIPTORS_SPARE, descriptors_max());
    if needed > max {
        log::info!(
            "descriptors fewer than connections may come needed={needed} max={max} then=\"who finds none left waits at the door\" hint=\"ulimit -Hn, --links\""
        );
    }
}

/// What only the server can tell of an end by force.
fn tell_undone(server: &Server) {
    let tables = server.tables_open();
    if tables > 0 {
        log::error!("not done: tables without their last line or not yet on disk tables={tables}");
    }
}

/// Whoever is between here and another host can read everything that goes over a listener which is not this host's own.
fn warn_of_outside(options: &ServerOptions, listeners: &Listeners) {
    let guests = match options.guests {
        LetIn::All => "yes",
        LetIn::Loopback => "loopback",
        LetIn::None => "no",
    };
    for addr in listeners.mesh.iter().filter(|addr| !addr.ip().is_loopback()) {
        log::warn!("traffic is not encrypted listener=mesh addr={addr} guests={guests}");
    }
    for addr in listeners.upload.iter().filter(|addr| !addr.ip().is_loopback()) {
        log::warn!("traffic is not encrypted listener=upload addr={addr}");
    }
}

/// What is kept for people with accounts. A folder that somebody names has to be right; without the usual one
/// there are no accounts, and all the rest of a server.
fn open_accounts(named: Option<&Path>, target: Option<&Target>) -> Result<Option<(Store, StateLock)>> {
    let open = |folder: &Path| {
        let store = Store::open(folder).context("cannot use the accounts; --state names another folder")?;
        Ok((store, state::lock(folder)?))
    };
    if let Some(folder) = named {
        return open(folder).map(Some);
    }
    let usual = state::default_folder(|name| match target {
        // The environment is root's.
        Some(target) => (name == "HOME").then(|| target.home().into()),
        None => std::env::var_os(name),
    });
    let nowhere = || anyhow!("neither XDG_STATE_HOME nor HOME says where; give --state DIR");
    match usual.ok_or_else(nowhere).and_then(|folder| open(&folder)) {
        Ok(kept) => Ok(Some(kept)),
        Err(error) => {
            log::warn!("there are no accounts why=\"{error:#}\"");
            Ok(None)
        }
    }
}

/// What the server has come to.
pub(super) fn conclude(server: &Server) -> Result<bool> {
    let (status, said) = (server.status(), server.messages());
    if let Some((addr, error)) = status.listen_failed {
        return Err(anyhow!("cannot listen at {addr}: {}; choose another address with --listen", Why(error)));
    }
    log::info!(
        target: OPERATOR,
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
        target: OPERATOR,
        "catalog ended guests={} files_registered={} files_refused={} downloads={} chunks_reported={} links_too_fast={}",
        status.guests_greeted,
        status.files_registered,
        status.files_refused,
        status.downloads,
        status.chunks_reported,
        status.links_too_fast
    );
    log::info!(
        target: OPERATOR,
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
