//! The command line of `server`, checked. Opens nothing.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs;
use log::LevelFilter;

use crate::app::cli::{address, check_duration, check_interval, level, log_options, number};
use crate::app::logging::LogOptions;
use crate::proto::limits::DURATION_MAX;
use crate::proto::server::LetIn;
use crate::proto::time::Period;

#[derive(Debug)]
pub(in crate::app) struct ServerOptions {
    pub(in crate::app) listen: Vec<SocketAddr>,
    pub(in crate::app) interval: Duration,
    pub(in crate::app) duration: Duration,
    pub(in crate::app) out: PathBuf,
    /// `None`: where the environment says, if it can be used.
    pub(in crate::app) state: Option<PathBuf>,
    pub(in crate::app) guests: LetIn,
    pub(in crate::app) idle_timeout: Duration,
    pub(in crate::app) block_duration: Duration,
    pub(in crate::app) log: LogOptions,
}

/// Answers the peers' ticks, writes all of them down in OUT/serverTimeData.txt, and introduces the
/// peers to each other. People who connect with nc or with a program talk to each other over it. Prints `listening mesh ADDR` when it is ready. Stop it with SIGTERM or Ctrl-C.
#[derive(FromArgs)]
#[argh(subcommand, name = "server")]
pub(super) struct TypedServer {
    /// address to listen at, HOST:PORT; port 0 lets the system choose; may be given several times
    /// (default 127.0.0.1:5555)
    #[argh(option)]
    listen: Vec<String>,
    /// folder for the table (default out)
    #[argh(option, default = "PathBuf::from(\"out\")")]
    out: PathBuf,
    /// time between two ticks, for peers that do not ask for another, 1ms to 1s (default 10ms)
    #[argh(option, default = "Period(Duration::from_millis(10))")]
    interval: Period,
    /// length of a run, for peers that do not ask for another, at most 168h (default 5m)
    #[argh(option, default = "Period(Duration::from_secs(300))")]
    duration: Period,
    /// folder of the accounts, and of what is kept for them
    /// (default $XDG_STATE_HOME/tickmesh or ~/.local/state/tickmesh; if that cannot be used there are no accounts)
    #[argh(option)]
    state: Option<PathBuf>,
    /// who may talk without an account: yes (everybody), no (nobody), loopback (who is on this host)
    /// (default loopback)
    #[argh(option, default = "LetIn::Loopback", from_str_fn(let_in))]
    guests: LetIn,
    /// whoever talks and issues no command for so long is logged out, 1s to 168h (default 10m)
    #[argh(option, default = "Period(Duration::from_secs(600))")]
    timeout: Period,
    /// how long a name is blocked after three wrong passwords in a row, at most 168h (default 60s)
    #[argh(option, default = "Period(Duration::from_secs(60))")]
    block_duration: Period,
    /// error, warn, info, debug or trace (default info)
    #[argh(option, default = "LevelFilter::Info", from_str_fn(level))]
    log_level: LevelFilter,
    /// log into this file, not to the terminal
    #[argh(option)]
    log_file: Option<PathBuf>,
    /// begin a new log file at this many bytes, at least 4096 (default 10000000)
    #[argh(option, default = "10_000_000", from_str_fn(number))]
    log_bytes: u64,
    /// number of old log files to keep, as FILE.1, FILE.2 and so on, at most 1000 (default 5)
    #[argh(option, default = "5", from_str_fn(number))]
    log_keep: usize,
}

pub(super) fn check_server(typed: TypedServer) -> Result<ServerOptions, String> {
    let listen = match typed.listen.as_slice() {
        [] => vec![SocketAddr::from(([127, 0, 0, 1], 5555))],
        addrs => addrs.iter().map(|addr| address("--listen", addr)).collect::<Result<_, _>>()?,
    };
    Ok(ServerOptions {
        listen,
        state: typed.state,
        guests: typed.guests,
        idle_timeout: check_period("--timeout", typed.timeout, Duration::from_secs(1))?,
        block_duration: check_period("--block-duration", typed.block_duration, Duration::ZERO)?,
        interval: check_interval(typed.interval)?,
        duration: check_duration(typed.duration)?,
        out: typed.out,
        log: log_options(typed.log_level, typed.log_file, typed.log_bytes, typed.log_keep)?,
    })
}

fn check_period(flag: &str, period: Period, least: Duration) -> Result<Duration, String> {
    if (least..=DURATION_MAX).contains(&period.0) {
        return Ok(period.0);
    }
    Err(format!("{flag} is from {} to {}, not {period}", Period(least), Period(DURATION_MAX)))
}

fn let_in(text: &str) -> Result<LetIn, String> {
    match text {
        "yes" => Ok(LetIn::All),
        "loopback" => Ok(LetIn::Loopback),
        "no" => Ok(LetIn::None),
        _ => Err("yes, no or loopback is expected".to_owned()),
    }
}
