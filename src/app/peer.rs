//! `tickmesh peer`.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use crate::app::cli::PeerOptions;
use crate::app::{drive, logging, prepare_folder, progress, summary, terminal};
use crate::io::{Host, Reactor};
use crate::proto::peer::{PeerReport, Peers, PeersConfig};

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
    let begun = |peer: &PeerReport| peer.outcome != "failed" || peer.id.is_some();
    if options.json {
        terminal::print(&format!("{}\n", serde_json::to_string(&report)?))?;
    } else if !report.peers.iter().any(begun) {
        // There is nothing to show, and all of them may have the same reason.
        let problems: BTreeSet<_> = report.peers.iter().flat_map(|peer| &peer.problems).collect();
        problems.into_iter().for_each(|problem| terminal::complain(problem));
    } else {
        terminal::print(&summary::table(&report))?;
    }
    Ok(report.is_complete())
}
