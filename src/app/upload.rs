//! `tickmesh upload`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::app::bar::{self, Load, Pace, Rate};
use crate::app::cli::UploadOptions;
use crate::app::given::{Refused, look_at, tell_refused};
use crate::app::summary::bytes;
use crate::app::watched::Watched;
use crate::app::{drive, logging, terminal};
use crate::io::{Host, Reactor};
use crate::proto::limits::UPLOAD_NAME_BYTES_MAX;
use crate::proto::text::Shown;
use crate::proto::time::Mono;
use crate::proto::upload::{UploadConfig, UploadFile, UploadState, UploadStatus, UploadTrouble, Uploader};

/// How often programs hear of the progress.
const EVENT_PERIOD: Duration = Duration::from_secs(1);

/// Brings files to a drop box; true if all of them are there.
pub(super) fn run(options: &UploadOptions) -> Result<bool> {
    logging::start(&options.log)?;
    let (mut files, mut sizes, mut paths) = (Vec::new(), Vec::new(), Vec::new());
    let mut refused = Vec::<Refused>::new();
    for path in &options.files {
        match file(path).with_context(|| format!("cannot upload {path:?}")) {
            Ok((file, size)) => {
                files.push(file);
                paths.push(path.to_string_lossy().into_owned());
                sizes.push(size);
            }
            Err(why) => refused.push((path.clone(), format!("{why:#}"))),
        }
    }
    refused.iter().for_each(|file| tell_refused(file, options.json));
    let (to, jobs, timeout) = (options.to, options.jobs, options.timeout);
    let mut teller = Teller::new(options.json, &files, paths, sizes);
    let uploader = Uploader::new(UploadConfig { to, files, jobs, timeout });
    let mut uploader = Watched::every(bar::PERIOD, uploader, move |uploader: &Uploader, now| {
        teller.look(uploader.files(), now.mono);
    });
    let reactor = Reactor::new().context("cannot start the event loop")?;
    let driven = drive(reactor, &mut [Host { machine: &mut uploader, root: PathBuf::from("/") }]);
    uploader.look_back();
    terminal::clear_progress();
    driven?;
    let files = uploader.machine().files();
    let done = files.iter().filter(|file| file.state == UploadState::Done).count();
    if options.json {
        let sent: u64 = files.iter().map(|file| file.bytes_sent).sum();
        let all = options.files.len();
        let line = json!({ "event": "ended", "files": all, "uploaded": done, "bytes_sent": sent });
        terminal::print(&format!("{line}\n"))?;
    }
    Ok(done == options.files.len())
}

/// The file, by a path that leads to it from the root of the file system, and its size. It keeps the name that it was given
/// by, also if that is a symbolic link's.
fn file(path: &Path) -> Result<(UploadFile, u64)> {
    let name = path.file_name().context("that is no file")?;
    let name = name.to_str().context("its name is no UTF-8 text")?;
    ensure!(name.len() <= UPLOAD_NAME_BYTES_MAX, "its name is longer than {UPLOAD_NAME_BYTES_MAX} bytes");
    let (path, size) = look_at(&path.canonicalize()?)?;
    Ok((UploadFile { path, name: name.to_owned() }, size))
}

/// Tells people or programs how it goes, and of each file once what came of it.
struct Teller {
    json: bool,
    /// As they were typed, and what each is called in a line: its name, or its path if others have the same name.
    paths: Vec<String>,
    labels: Vec<String>,
    sizes: Vec<u64>,
    /// By file.
    told: Vec<bool>,
    pace: Pace,
    rate: Rate,
    next_event: Mono,
}

impl Teller {
    fn new(json: bool, files: &[UploadFile], paths: Vec<String>, sizes: Vec<u64>) -> Teller {
        let told = vec![false; sizes.len()];
        let (pace, rate) = (Pace::default(), Rate::default());
        let labels = labels(files, &paths);
        Teller { json, paths, labels, sizes, told, pace, rate, next_event: Mono(0) }
    }

    fn look(&mut self, files: &[UploadStatus], now: Mono) {
        for (place, file) in files.iter().enumerate() {
            let (label, path) = (&self.labels[place], &self.paths[place]);
            if !self.told[place] {
                self.told[place] =
                    if self.json { tell_event(file, label, path) } else { tell_line(file, label) };
            }
        }
        let load = Load::of(files, &self.sizes);
        if load.ended == files.len() {
            return;
        }
        if self.json && self.next_event <= now {
            self.next_event = now + EVENT_PERIOD;
            let line = json!({
                "event": "progress", "files": files.len(), "uploaded": load.done, "failed": load.ended - load.done,
                "bytes": load.total, "bytes_sent": load.sent, "bytes_per_s": self.rate.of(load.sent, now),
            });
            let _ = terminal::print(&format!("{line}\n"));
        } else if !self.json && terminal::shows_progress() {
            terminal::show_progress(&self.pace.upload_line(files, &load, now));
        }
    }
}

/// The name of each file, or its path as it was typed if another one has the same name.
fn labels(files: &[UploadFile], paths: &[String]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    files.iter().for_each(|file| *counts.entry(&file.name).or_default() += 1);
    let label = |(file, path): (&UploadFile, &String)| {
        if counts[file.name.as_str()] > 1 { path.clone() } else { file.name.clone() }
    };
    files.iter().zip(paths).map(label).collect()
}

/// Tells people what came of a file; false if nothing has yet.
fn tell_line(file: &UploadStatus, label: &str) -> bool {
    match &file.state {
        UploadState::Done => {
            // Whoever reads this may have gone: the file is there all the same, below too.
            let _ = terminal::print(&format!("{}\n", uploaded(file, label)));
        }
        UploadState::Failed(trouble) => complain(label, trouble),
        _ => return false,
    }
    true
}

/// The same for programs.
fn tell_event(file: &UploadStatus, label: &str, path: &str) -> bool {
    let line = match &file.state {
        UploadState::Done => json!({
            "event": "done", "file": file.name, "path": path, "bytes": file.bytes,
            "bytes_sent": file.bytes_sent, "seconds": (file.took.as_secs_f64() * 1e3).round() / 1e3,
        }),
        UploadState::Failed(trouble) => {
            complain(label, trouble);
            json!({
                "event": "failed", "file": file.name, "path": path, "bytes": file.bytes,
                "bytes_sent": file.bytes_sent, "why": trouble.to_string(), "may_be_stored": trouble.may_be_stored(),
            })
        }
        _ => return false,
    };
    let _ = terminal::print(&format!("{line}\n"));
    true
}

fn uploaded(file: &UploadStatus, label: &str) -> String {
    let (name, size) = (Shown(label), bytes(file.bytes_sent));
    format!("uploaded {name} ({size} in {:.1} s)", file.took.as_secs_f64())
}

fn complain(label: &str, trouble: &UploadTrouble) {
    terminal::clear_progress();
    let name = Shown(label);
    let not = if trouble.may_be_stored() { "may not have been" } else { "was not" };
    terminal::complain(&format_args!("{name} {not} uploaded: {trouble}"));
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_cannot_be_uploaded_is_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a \u{1b} ü"), "12345").unwrap();
        std::os::unix::fs::symlink(at("a \u{1b} ü"), at("link")).unwrap();
        std::os::unix::fs::symlink(dir.path(), at("folder")).unwrap();
        std::os::unix::fs::symlink(at("nowhere"), at("dangling")).unwrap();
        for (path, expected) in [
            (at("nothing"), "No such file"),
            (at("dangling"), "No such file"),
            (dir.path().to_owned(), "it is a folder"),
            (at("folder"), "it is a folder"),
            (PathBuf::from("/dev/zero"), "no plain file"),
            (PathBuf::from("/"), "that is no file"),
            (at(".."), "that is no file"),
            (at(&"a".repeat(256)), "its name is longer than 255 bytes"),
        ] {
            let error = format!("{:#}", file(&path).unwrap_err());
            assert!(error.contains(expected), "{path:?}: {error}");
        }
        let real = at("a \u{1b} ü").canonicalize().unwrap();
        for (path, name) in [(at("link"), "link"), (at("folder").join("a \u{1b} ü"), "a \u{1b} ü")] {
            let (file, size) = file(&path).unwrap();
            assert_eq!((Path::new("/").join(file.path), file.name.as_str(), size), (real.clone(), name, 5));
        }
    }

    #[test]
    fn a_line_is_safe_to_show() {
        let file = UploadStatus {
            name: "a\u{1b}[2J".to_owned(),
            bytes: Some(5_000_000),
            bytes_sent: 5_000_000,
            state: UploadState::Done,
            took: Duration::from_millis(240),
        };
        assert_eq!(uploaded(&file, &file.name), "uploaded a\\u{1b}[2J (5.0 MB in 0.2 s)");
    }

    #[test]
    fn files_of_the_same_name_are_told_apart() {
        let paths = ["x/f", "y/f", "y/g"].map(str::to_owned);
        let file = |path: &String| UploadFile { path: format!("full/{path}"), name: path[2..].to_owned() };
        let files: Vec<UploadFile> = paths.iter().map(file).collect();
        assert_eq!(labels(&files, &paths), ["x/f", "y/f", "g"]);
    }
}
