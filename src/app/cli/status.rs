//! The command line of `status`, checked. Asks nobody.

use std::net::SocketAddr;
use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};
use log::LevelFilter;

use crate::app::cli::{address, level};
use crate::app::logging::LogOptions;

#[derive(Debug)]
pub(in crate::app) struct StatusOptions {
    pub(in crate::app) server: SocketAddr,
    pub(in crate::app) json: bool,
    pub(in crate::app) log: LogOptions,
}

/// Says how a server on this host stands: who is there, what it has to do, how long its turns take, and what it has
/// refused. Takes a second. Exits 1, with the reason, when nobody answers.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "status")]
pub(super) struct TypedStatus {
    /// the server, HOST:PORT (default 127.0.0.1:5555)
    #[argh(option, default = "String::from(\"127.0.0.1:5555\")")]
    server: String,
    /// print one JSON object on stdout
    #[argh(switch)]
    json: bool,
    /// error, warn, info, debug or trace (default warn)
    #[argh(option, default = "LevelFilter::Warn", from_str_fn(level))]
    log_level: LevelFilter,
    /// log into this file, not to the terminal
    #[argh(option)]
    log_file: Option<PathBuf>,
}

pub(super) fn check_status(typed: TypedStatus) -> Result<StatusOptions, String> {
    Ok(StatusOptions {
        server: address("--server", &typed.server)?,
        json: typed.json,
        log: LogOptions::of(typed.log_level, typed.log_file),
    })
}
