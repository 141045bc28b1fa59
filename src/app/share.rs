//! `tickmesh share`: offers files until it is stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::app::bar::{self, Pace};
use crate::app::cli::ShareOptions;
use crate::app::given::{Refused, look_at, tell_refused};
use crate::app::summary::{bytes, count, on_the_wire};
use crate::app::watched::Watched;
use crate::app::{drive, logging, terminal};
use crate::io::{Host, Reactor, descriptors_max};
use crate::proto::ids::FileName;
use crate::proto::limits::DESCRIPTORS_SPARE;
use crate::proto::peer::{FileStatus, GuestConfig, Offer, Orders, Peers, Trouble};
use crate::proto::time::Mono;

/// Serves the files until it is stopped; true if all of them were offered, and still are.
pub(super) fn run(options: &ShareOptions) -> Result<bool> {
    let guest = &options.guest;
    logging::start(&guest.log)?;
    let (offers, refused) = offers(&options.files, options.chunks);
    refused.iter().for_each(|file| tell_refused(file, guest.json));
    let mut problems: Vec<String> = refused.into_iter().map(|(_, why)| why).collect();
    if offers.is_empty() {
        return Ok(false);
    }
    let reactor = Reactor::new().context("cannot start the event loop")?;
    let (needed, max) = (offers.len() as u64 + DESCRIPTORS_SPARE, descriptors_max());
    let verb = if offers.len() == 1 { "needs" } else { "need" };
    ensure!(
        needed <= max,
        "{} {verb} {needed} descriptors, and {max} are allowed; share fewer at a time, or raise the hard limit (ulimit -Hn)",
        count(offers.len() as u64, "file")
    );
    let peers = Peers::guest(GuestConfig {
        server: guest.server,
        group: guest.group,
        id: guest.id,
        orders: Orders { offers, ..Orders::default() },
        upload_limit: guest.upload_limit.map(|rate| rate.0),
    });
    let mut teller = Teller { json: guest.json, told: Vec::new(), pace: Pace::default() };
    let mut peers =
        Watched::every(bar::PERIOD, peers, move |peers: &Peers, now| teller.look(peers, now.mono));
    drive(reactor, &mut [Host { machine: &mut peers, root: PathBuf::from("/") }])?;
    peers.look_back();
    terminal::clear_progress();
    let peers = peers.machine();
    let files = peers.files();
    // These were told when they came.
    problems.extend(files.iter().filter_map(trouble_of));
    let mut ends = peers.report().peers.remove(0).problems;
    ends.retain(|end| !problems.contains(end));
    if ends.is_empty() && files.iter().any(|file| !file.is_offered && file.trouble.is_none()) {
        ends.push("interrupted before all files were offered".to_owned());
    }
    ends.iter().for_each(|end| terminal::complain(end));
    problems.append(&mut ends);
    let sent = (peers.served_bytes(), peers.served_wire_bytes());
    if guest.json {
        let of = |file: &FileStatus| {
            let times = times_sent(file)?;
            Some(json!({ "file": file.name, "bytes_sent": file.bytes_sent, "times_sent": times }))
        };
        let files: Vec<_> = files.iter().filter_map(of).collect();
        let line = json!({
            "event": "ended", "bytes_sent": sent.0, "wire_bytes_sent": sent.1, "files": files, "problems": problems,
        });
        terminal::print(&format!("{line}\n"))?;
    } else if files.iter().any(|file| file.is_offered) {
        let mut text = String::new();
        for (file, times) in files.iter().filter_map(|file| Some((file, times_sent(file)?))) {
            text += &format!("{} sent {times:.2} times\n", file.name);
        }
        terminal::print(&format!("{text}{} sent\n", on_the_wire(sent)))?;
    }
    Ok(problems.is_empty())
}

/// How often a file was sent, in all its parts together; `None` if nothing of it was.
fn times_sent(file: &FileStatus) -> Option<f64> {
    let bytes = file.bytes.filter(|_| file.bytes_sent > 0)?;
    Some((file.bytes_sent as f64 / bytes as f64 * 1e3).round() / 1e3)
}

/// Tells of each file once that it is offered, and once that it is not, or not any more.
struct Teller {
    json: bool,
    told: Vec<(bool, bool)>,
    pace: Pace,
}

impl Teller {
    fn look(&mut self, peers: &Peers, now: Mono) {
        let files = peers.files();
        self.told.resize(files.len(), (false, false));
        for (file, (offered_told, trouble_told)) in files.iter().zip(&mut self.told) {
            if file.is_offered && !std::mem::replace(offered_told, true) {
                // Whoever reads this may have gone: that ends nothing here.
                let _ = terminal::print(&format!("{}\n", offered(file, self.json)));
            }
            if file.trouble.is_some() && !std::mem::replace(trouble_told, true) {
                tell_trouble(file, self.json);
            }
        }
        if terminal::shows_progress() && !self.json {
            let (sent, links) = (peers.served_bytes(), peers.direct_links());
            terminal::show_progress(&match peers.is_known() || sent > 0 {
                true => self.pace.share_line(&files, sent, links, now),
                false => "looking for the server".to_owned(),
            });
        }
    }
}

fn offered(file: &FileStatus, json: bool) -> String {
    let size = file.bytes.unwrap_or(0);
    match json {
        true => json!({
            "event": "offered", "file": file.name, "bytes": size, "chunks": file.chunks,
            "root": file.root.map(|root| root.to_string()),
        })
        .to_string(),
        false => format!("sharing {} ({} in {})", file.name, bytes(size), count(file.chunks, "chunk")),
    }
}

fn trouble_of(file: &FileStatus) -> Option<String> {
    file.trouble.as_ref().map(|trouble| format!("{} {trouble}", file.name))
}

fn tell_trouble(file: &FileStatus, json: bool) {
    let (event, why) = match &file.trouble {
        None => return,
        Some(Trouble::Refused(why)) => ("refused", why),
        Some(Trouble::Withdrawn(why)) => ("withdrawn", why),
        Some(Trouble::Failed(why)) => ("failed", why),
    };
    terminal::clear_progress();
    trouble_of(file).iter().for_each(|trouble| terminal::complain(trouble));
    if json {
        let line = json!({ "event": event, "file": file.name, "why": why });
        let _ = terminal::print(&format!("{line}\n"));
    }
}

/// The files that can be shared, and those that cannot. One that is named twice is shared once.
fn offers(files: &[PathBuf], chunks: Option<u64>) -> (Vec<Offer>, Vec<Refused>) {
    let mut paths: BTreeMap<FileName, String> = BTreeMap::new();
    let (mut offers, mut refused) = (Vec::new(), Vec::new());
    for file in files {
        let found = offer(file, chunks).and_then(|offer| match paths.get(&offer.name) {
            None => Ok(Some(offer)),
            Some(same) if *same == offer.path => Ok(None),
            Some(other) => {
                bail!("/{other} is shared under that name; a shared file is known by its name alone")
            }
        });
        match found.with_context(|| format!("cannot share {file:?}")) {
            Err(why) => refused.push((file.clone(), format!("{why:#}"))),
            Ok(offer) => offers.extend(offer.inspect(|offer| {
                paths.insert(offer.name.clone(), offer.path.clone());
            })),
        }
    }
    (offers, refused)
}

/// The file, by a path that leads to it from the root of the file system.
fn offer(path: &Path, chunks: Option<u64>) -> Result<Offer> {
    let name = path.file_name().context("that is no file")?;
    let name = name.to_str().context("its name is no UTF-8 text")?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let full = folder.canonicalize()?.join(name);
    let (path, _) = look_at(&full)?;
    let name: FileName = name.parse()?;
    ensure!(!FileName::is_partial(name.as_str()), "unfinished files are called so");
    Ok(Offer { path, name, chunks })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;

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
            (dir.path().join(OsStr::from_bytes(b"a\xff")), "its name is no UTF-8 text"),
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

    #[test]
    fn a_name_that_comes_twice_stops_no_other_file() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("twin")).unwrap();
        std::os::unix::fs::symlink(dir.path(), at("folder")).unwrap();
        ["f", "g", "twin/f"].iter().for_each(|name| fs::write(at(name), name).unwrap());
        let files = ["f", "f", "twin/f", "folder/f", "g"].map(at);
        let (offers, refused) = offers(&files, None);
        let names: Vec<&str> = offers.iter().map(|offer| offer.name.as_str()).collect();
        assert_eq!(names, ["f", "g"], "the same file is shared once");
        let [(path, why)] = &refused[..] else { panic!("{refused:?}") };
        assert!(*path == at("twin/f") && why.contains("/f is shared under that name"), "{why}");
    }
}
