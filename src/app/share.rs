//! `tickmesh share`: offers files until it is stopped.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::app::bar::{self, Pace};
use crate::app::cli::ShareOptions;
use crate::app::summary::{bytes, count, on_the_wire};
use crate::app::watched::Watched;
use crate::app::{drive, logging, terminal};
use crate::io::{Host, Reactor};
use crate::proto::ids::FileName;
use crate::proto::peer::{FileStatus, GuestConfig, Offer, Orders, Peers};

/// Serves the files until it is stopped; true if all of them were offered.
pub(super) fn run(options: &ShareOptions) -> Result<bool> {
    let guest = &options.guest;
    logging::start(&guest.log)?;
    let peers = Peers::guest(GuestConfig {
        server: guest.server,
        group: guest.group,
        id: guest.id,
        orders: Orders { offers: offers(options)?, ..Orders::default() },
        upload_limit: guest.upload_limit.map(|rate| rate.0),
    });
    let json = guest.json;
    let mut told = vec![false; options.files.len()];
    let mut pace = Pace::default();
    let mut peers = Watched::every(bar::PERIOD, peers, move |peers: &Peers, now| {
        let files = peers.files();
        for (file, told) in files.iter().zip(&mut told).filter(|(file, told)| file.is_offered && !**told) {
            *told = true;
            // Whoever reads this may have gone: that ends nothing here.
            let _ = terminal::print(&format!("{}\n", offered(file, json)));
        }
        if terminal::shows_progress() && !json {
            let (sent, links) = (peers.served_bytes(), peers.direct_links());
            terminal::show_progress(&match peers.is_known() || sent > 0 {
                true => pace.share_line(&files, sent, links, now.mono),
                false => "looking for the server".to_owned(),
            });
        }
    });
    let reactor = Reactor::new().context("cannot start the event loop")?;
    drive(reactor, &mut [Host { machine: &mut peers, root: PathBuf::from("/") }])?;
    let peers = peers.machine();
    let all_offered = peers.files().iter().all(|file| file.is_offered);
    let mut problems = peers.report().peers.remove(0).problems;
    if problems.is_empty() && !all_offered {
        problems.push("interrupted before all files were offered".to_owned());
    }
    let sent = (peers.served_bytes(), peers.served_wire_bytes());
    if json {
        let line = json!({
            "event": "ended", "bytes_sent": sent.0, "wire_bytes_sent": sent.1, "problems": problems,
        });
        terminal::print(&format!("{line}\n"))?;
    } else if all_offered {
        terminal::print(&format!("{} sent\n", on_the_wire(sent)))?;
    }
    problems.iter().for_each(|problem| eprintln!("tickmesh: {problem}"));
    Ok(problems.is_empty())
}

fn offered(file: &FileStatus, json: bool) -> String {
    let size = file.bytes.unwrap_or(0);
    match json {
        true => json!({
            "event": "offered", "file": file.name, "bytes": size, "chunks": file.chunks, "root": file.root,
        })
        .to_string(),
        false => format!("sharing {} ({} in {})", file.name, bytes(size), count(file.chunks, "chunk")),
    }
}

fn offers(options: &ShareOptions) -> Result<Vec<Offer>> {
    let mut names = BTreeSet::new();
    let mut offers = Vec::new();
    for path in &options.files {
        let offer = offer(path, options.chunks).with_context(|| format!("cannot share {path:?}"))?;
        let name = &offer.name;
        ensure!(
            names.insert(name.clone()),
            "two of the files are called {name}; a shared file is known by its name alone"
        );
        offers.push(offer);
    }
    Ok(offers)
}

/// The file, by a path that leads to it from the root of the file system. Its folder may be reached
/// over symbolic links; the file itself may not be one.
fn offer(path: &Path, chunks: Option<u64>) -> Result<Offer> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { bail!("that is no file") };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let full = folder.canonicalize()?.join(name);
    // Looked at here, for a better reason than the loop could give; it looks again.
    let kind = fs::symlink_metadata(&full)?.file_type();
    ensure!(!kind.is_symlink(), "it is a symbolic link; name the file that it leads to");
    ensure!(!kind.is_dir(), "it is a folder; name the files in it");
    ensure!(kind.is_file(), "it is no plain file");
    let file_name: FileName = name.parse()?;
    ensure!(!FileName::is_partial(name), "unfinished files are called so");
    File::open(&full)?;
    let full = full.strip_prefix("/").unwrap_or(&full).to_str().context("its path is no UTF-8 text")?;
    Ok(Offer { path: full.to_owned(), name: file_name, chunks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_shared_is_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "12345").unwrap();
        fs::write(at("x.partial"), "").unwrap();
        fs::write(at("with space"), "").unwrap();
        fs::write(at(&"a".repeat(200)), "").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        std::os::unix::fs::symlink(dir.path(), at("folder")).unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(at("pipe")).status();
        for (path, expected) in [
            (at("nothing"), "No such file"),
            (at("file").join("x"), "Not a directory"),
            (at("link"), "symbolic link"),
            (dir.path().to_owned(), "it is a folder"),
            (PathBuf::from("/dev/zero"), "no plain file"),
            (at("x.partial"), "unfinished files"),
            (at("with space"), "only letters"),
            (at(&"a".repeat(200)), "at most 128 bytes"),
            (at(&"a".repeat(300)), "File name too long"),
            (PathBuf::from("/"), "that is no file"),
            (at(".."), "that is no file"),
        ] {
            let error = format!("{:#}", offer(&path, None).unwrap_err());
            assert!(error.contains(expected), "{path:?}: {error}");
        }
        if pipe.is_ok_and(|status| status.success()) {
            assert!(offer(&at("pipe"), None).is_err(), "and nobody waits for its other end");
        }
        let offer = offer(&at("folder").join("file"), Some(5)).unwrap();
        let real = at("file").canonicalize().unwrap();
        assert_eq!(Path::new("/").join(offer.path), real, "a folder may be a link");
    }
}
