//! The command line of `console`, checked. Opens no file and asks for no password.

use std::io::{IsTerminal as _, stdin};
use std::net::SocketAddr;
use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};
use log::LevelFilter;

use crate::app::cli::{address, level};
use crate::app::logging::LogOptions;
use crate::proto::accounts::user_name;
use crate::proto::ids::Name;

#[derive(Debug)]
pub(in crate::app) struct ConsoleOptions {
    pub(in crate::app) server: SocketAddr,
    pub(in crate::app) user: Option<Name>,
    pub(in crate::app) password_file: Option<PathBuf>,
    pub(in crate::app) files: PathBuf,
    pub(in crate::app) log: LogOptions,
}

/// Talks and passes files over a server, at a terminal or in a pipe. In a pipe it reads one command a line, prints the
/// lines of the protocol, waits for downloads at the end, and exits 0 if every command was OK. To receive
/// for a while, keep the pipe open: (echo whoelse; sleep 10) | tickmesh console.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "console")]
pub(super) struct TypedConsole {
    /// the server, HOST:PORT (default 127.0.0.1:5555)
    #[argh(option, default = "String::from(\"127.0.0.1:5555\")")]
    server: String,
    /// name of the account (default: asked for at a terminal; in a pipe: a guest)
    #[argh(option)]
    user: Option<String>,
    /// take the password from the first line of this file (default: asked for)
    #[argh(option)]
    password_file: Option<PathBuf>,
    /// folder of the files to register, and where downloads go (default: this one)
    #[argh(option, default = "PathBuf::from(\".\")")]
    files: PathBuf,
    /// error, warn, info, debug or trace (default error: what a person should know is on the screen)
    #[argh(option, default = "LevelFilter::Error", from_str_fn(level))]
    log_level: LevelFilter,
    /// log into this file, not to the terminal
    #[argh(option)]
    log_file: Option<PathBuf>,
}

pub(super) fn check_console(typed: TypedConsole) -> Result<ConsoleOptions, String> {
    let checked = |name: &str| user_name(name).map_err(|error| format!("--user {name}: {error}"));
    let user = typed.user.as_deref().map(checked).transpose()?;
    if user.is_none() && typed.password_file.is_some() {
        return Err("--password-file is for an account; name it with --user".to_owned());
    }
    if user.is_some() && typed.password_file.is_none() && !stdin().is_terminal() {
        return Err("--user needs --password-file where nobody can type a password".to_owned());
    }
    Ok(ConsoleOptions {
        server: address("--server", &typed.server)?,
        user,
        password_file: typed.password_file,
        files: typed.files,
        log: LogOptions::of(typed.log_level, typed.log_file),
    })
}
