//! The command line of `upload`, checked. Opens no file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use log::LevelFilter;

use crate::app::cli::{address, level, number};
use crate::app::logging::LogOptions;
use crate::proto::limits::{UPLOAD_FILES_MAX, UPLOAD_JOBS_MAX, UPLOAD_TIMEOUT_MAX, UPLOAD_TIMEOUT_MIN};
use crate::proto::time::Period;

#[derive(Debug)]
pub(in crate::app) struct UploadOptions {
    pub(in crate::app) files: Vec<PathBuf>,
    pub(in crate::app) to: SocketAddr,
    pub(in crate::app) jobs: usize,
    pub(in crate::app) timeout: Duration,
    pub(in crate::app) json: bool,
    pub(in crate::app) log: LogOptions,
}

/// Brings files to a drop box: `tickmesh server --upload-listen`, or another server of that protocol. Exits 0
/// when every file is there. None is sent a second time: what became of it may not be known.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "upload")]
pub(super) struct TypedUpload {
    /// files to bring, at most 100000; they arrive under their own names, without their folders
    #[argh(positional)]
    pub(super) files: Vec<PathBuf>,
    /// the drop box, HOST:PORT
    #[argh(option)]
    to: String,
    /// how many files at once, 1 to 100 (default 1)
    #[argh(option, default = "1", from_str_fn(number))]
    jobs: usize,
    /// how long the server may neither take nor say anything, 1s to 24h (default 60s)
    #[argh(option, default = "Period(Duration::from_secs(60))")]
    timeout: Period,
    /// print JSON on stdout, one object a line
    #[argh(switch)]
    json: bool,
    /// error, warn, info, debug or trace (default warn)
    #[argh(option, default = "LevelFilter::Warn", from_str_fn(level))]
    log_level: LevelFilter,
    /// log into this file, not to the terminal
    #[argh(option)]
    log_file: Option<PathBuf>,
}

pub(super) fn check_upload(typed: TypedUpload) -> Result<UploadOptions, String> {
    if typed.files.is_empty() {
        return Err("upload needs the name of a file".to_owned());
    }
    if typed.files.len() > UPLOAD_FILES_MAX {
        return Err(format!("at most {UPLOAD_FILES_MAX} files can be uploaded at once"));
    }
    if !(1..=UPLOAD_JOBS_MAX).contains(&typed.jobs) {
        return Err(format!("--jobs is from 1 to {UPLOAD_JOBS_MAX}, not {}", typed.jobs));
    }
    let (least, most) = (UPLOAD_TIMEOUT_MIN, UPLOAD_TIMEOUT_MAX);
    if !(least..=most).contains(&typed.timeout.0) {
        let [least, most] = [least, most].map(Period);
        return Err(format!("--timeout is from {least} to {most}, not {}", typed.timeout));
    }
    Ok(UploadOptions {
        files: typed.files,
        to: address("--to", &typed.to)?,
        jobs: typed.jobs,
        timeout: typed.timeout.0,
        json: typed.json,
        log: LogOptions::of(typed.log_level, typed.log_file),
    })
}
