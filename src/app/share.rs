//! `tickmesh share`: offers files until it is stopped.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::app::cli::ShareOptions;
use crate::app::summary::bytes;
use crate::app::watched::Watched;
use crate::app::{drive, logging, terminal};
use crate::io::{Host, Reactor};
use crate::proto::peer::{FileState, GuestConfig, Offer, Orders, Peers};

/// How often the state is looked at.
const PERIOD: Duration = Duration::from_millis(250);

/// Serves the files until it is stopped; true if all of them were offered.
pub(super) fn run(options: &ShareOptions) -> Result<bool> {
    logging::start(&options.guest.log)?;
    let offers: Vec<Offer> =
        options.files.iter().map(|path| offer(path, options.chunks)).collect::<Result<_>>()?;
    if let Some((name, _)) = offers.iter().enumerate().find_map(|(place, offer)| {
        let twin = offers[..place].iter().find(|former| former.name == offer.name)?;
        Some((twin.name.clone(), place))
    }) {
        bail!("two of the files are called {name}; a shared file is known by its name alone");
    }
    let guest = &options.guest;
    let peers = Peers::guest(GuestConfig {
        server: guest.server,
        group: guest.group,
        id: guest.id,
        orders: Orders { offers, ..Orders::default() },
        upload_limit: guest.upload_limit.map(|rate| rate.0),
    });
    let json = guest.json;
    let mut told = vec![false; options.files.len()];
    let mut peers = Watched::every(PERIOD, peers, move |peers: &Peers, _| {
        let files = peers.files();
        for (file, told) in files.iter().zip(&mut told).filter(|(file, told)| file.is_offered && !**told) {
            *told = true;
            let line = match json {
                true => json!({
                    "event": "offered", "file": file.name, "bytes": file.bytes, "chunks": file.chunks,
                    "root": file.root,
                })
                .to_string(),
                false => format!(
                    "sharing {} ({} in {} chunks)",
                    file.name,
                    bytes(file.bytes.unwrap_or(0)),
                    file.chunks
                ),
            };
            // Whoever reads the events may have gone: that ends nothing here.
            let _ = terminal::print(&format!("{line}\n"));
        }
        if terminal::shows_progress() && !json {
            let checking = files.iter().find(|file| file.state == FileState::Checking);
            terminal::show_progress(&match checking {
                Some(file) => {
                    format!("reading {}: chunk {} of {}", file.name, file.chunks_stored, file.chunks)
                }
                None => format!("{} sent to {} links", bytes(peers.served_bytes()), peers.direct_links()),
            });
        }
    });
    let reactor = Reactor::new().context("cannot start the event loop")?;
    drive(reactor, &mut [Host { machine: &mut peers, root: PathBuf::from("/") }])?;
    let peers = peers.machine();
    let report = peers.report();
    let problems = &report.peers[0].problems;
    if json {
        let line = json!({ "event": "ended", "bytes_sent": peers.served_bytes(), "problems": problems });
        terminal::print(&format!("{line}\n"))?;
    } else {
        terminal::print(&format!("{} sent\n", bytes(peers.served_bytes())))?;
    }
    problems.iter().for_each(|problem| eprintln!("tickmesh: {problem}"));
    Ok(problems.is_empty() && peers.files().iter().all(|file| file.is_offered))
}

/// The file, by a path that leads to it from the root of the file system. Its folder may be reached
/// over symbolic links; the file itself may not be one.
fn offer(path: &Path, chunks: Option<u64>) -> Result<Offer> {
    let explain = || format!("cannot share {}", path.display());
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(name) = name else { bail!("cannot share {}: its name is no UTF-8 text", path.display()) };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().with_context(explain)?;
    let full = folder.join(name);
    let full = full.strip_prefix("/").unwrap_or(&full).to_str();
    let full = full.with_context(|| format!("cannot share {}: its path is no UTF-8 text", path.display()))?;
    let name = name.parse().with_context(explain)?;
    Ok(Offer { path: full.to_owned(), name, chunks })
}
