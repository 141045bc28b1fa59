//! The wiring: reads the command line, builds machines, gives them to the driver, and shows what
//! comes of it. Knows everything and is known by nothing but `main`.

mod accounts;
mod announce;
mod bar;
mod claim;
mod cli;
mod console;
mod daemon;
mod demo;
mod find;
mod get;
mod given;
mod journal;
mod keeper;
mod listeners;
mod logging;
mod password;
mod peer;
mod pid_file;
mod privileges;
mod progress;
mod reopen;
mod server;
mod share;
mod state;
mod status;
mod stderr;
mod summary;
mod systemd;
mod terminal;
mod tty;
mod unit;
mod upload;
mod uploads;
mod user;
mod watched;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::app::cli::{Command, Parsed};
use crate::io::{Host, Reactor, RunEnd};

/// Done.
const DONE: u8 = 0;
/// It was tried, and failed.
const FAILED: u8 = 1;
/// Wrong usage: nothing was tried.
const USAGE: u8 = 2;

/// Runs the program and returns its exit code: 0 done, 1 failed, 2 wrong usage.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    let outcome = match cli::parse(&args) {
        Parsed::Show(text) => terminal::print(&text).map(|()| true),
        Parsed::Wrong(text) => {
            terminal::refuse(&text);
            return ExitCode::from(USAGE);
        }
        Parsed::Run(command) => match *command {
            Command::Demo(options) => demo::run(&options),
            Command::Server(options) => server::run(&options),
            Command::Peer(options) => peer::run(&options),
            Command::Share(options) => share::run(&options),
            Command::Get(options) => get::run(&options),
            Command::Find(options) => find::run(&options),
            Command::Upload(options) => upload::run(&options),
            Command::User(options) => user::run(&options),
            Command::Console(options) => console::run(&options),
            Command::Unit(options) => unit::run(&options),
            Command::Status(options) => status::run(&options),
        },
    };
    logging::let_go();
    match outcome {
        Ok(true) => ExitCode::from(DONE),
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => {
            terminal::clear_progress();
            terminal::complain(&format_args!("{error:#}"));
            ExitCode::from(FAILED)
        }
    }
}

/// What a configuration of `server` comes to that has this text: as `--print-config` shows it. For fuzzing: nothing is
/// read or opened, and nobody is asked for the address of a host, so values that name one are passed over.
///
/// # Errors
/// A line for each mistake.
pub fn understand_config(text: &str) -> Result<String, Vec<String>> {
    cli::config::understand(text)
}

/// Runs machines on the real system to their end.
fn drive(mut reactor: Reactor, hosts: &mut [Host<'_>]) -> Result<()> {
    logging::use_helper(&mut reactor);
    let end = reactor.run(hosts)?;
    terminal::clear_progress();
    log::debug!("driver {:?}", reactor.stats());
    match end {
        RunEnd::Exited => Ok(()),
        RunEnd::Forced => {
            bail!("ended at once by a second signal; what was not written or sent by then is lost")
        }
        RunEnd::Overdue => {
            bail!(
                "ended by force, for --grace was over; the log says what was not done, and records may lack their last rows"
            )
        }
    }
}

/// Makes sure that the folder exists and can be written to, before anything begins; `flag` names it.
fn prepare_folder(folder: &Path, flag: &str) -> Result<()> {
    let explain = || format!("cannot write to {}; choose another folder with {flag}", folder.display());
    std::fs::create_dir_all(folder).with_context(explain)?;
    let probe = folder.join(format!(".tickmesh-probe-{}", std::process::id()));
    std::fs::write(&probe, b"").with_context(explain)?;
    std::fs::remove_file(&probe).with_context(explain)
}

/// A secret nobody else has, for the server's keys.
fn random_secret() -> Result<[u8; 32]> {
    use std::io::Read as _;
    let mut secret = [0; 32];
    let source = std::fs::File::open("/dev/urandom");
    source.and_then(|mut source| source.read_exact(&mut secret)).context("cannot read /dev/urandom")?;
    Ok(secret)
}
