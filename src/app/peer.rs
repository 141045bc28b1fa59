//! `tickmesh peer`.

use anyhow::{Context, Result};

use crate::app::cli::PeerOptions;
use crate::app::{drive, logging, prepare_folder, progress, summary, terminal};
use crate::io::{Host, Reactor};
use crate::proto::peer::{Peers, PeersConfig};

/// Runs the peers to their end; true if everybody has everything.
pub(super) fn run(options: &PeerOptions) -> Result<bool> {
    logging::start(&options.log)?;
    prepare_folder(&options.out, "--out")?;
    let mut peers = progress::watch(
        Peers::new(PeersConfig {
            server: options.server,
            group: options.group,
            ids: options.ids.clone(),
            interval: options.interval,
            duration: options.duration,
            share_deadline: options.share_deadline,
        })
        .with_upload_limit(options.upload_limit.map(|rate| rate.0)),
    );
    let reactor = Reactor::new().context("cannot start the event loop")?;
    drive(reactor, &mut [Host { machine: &mut peers, root: options.out.clone() }])?;
    let report = peers.machine().report();
    if options.json {
        terminal::print(&format!("{}\n", serde_json::to_string(&report)?))?;
    } else {
        terminal::print(&summary::table(&report))?;
    }
    Ok(report.is_complete())
}
