//! The command line, in two stages: as typed, then checked and ready. Starts nothing.

mod amounts;
mod completions;
pub(super) mod config;
mod console;
mod files;
mod process;
mod server;
mod status;
mod unit;
mod upload;
mod user;

use std::ffi::{OsStr, OsString};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use log::LevelFilter;

use crate::app::logging::LogOptions;
use crate::io::LogRules;
use crate::proto::ids::Name;
use crate::proto::limits::{
    DURATION_MAX, INTERVAL_MAX, INTERVAL_MIN, LOG_BYTES_MIN, LOG_KEEP_MAX, PEERS_MAX, SHARE_DEADLINE_MAX,
};
use crate::proto::text::Shown;
use crate::proto::time::Period;

pub(super) use amounts::Rate;
pub(super) use console::ConsoleOptions;
pub(super) use files::{FindOptions, GetOptions, ShareOptions};
pub(super) use server::{ServerOptions, UploadsOptions};
pub(super) use status::StatusOptions;
pub(super) use unit::{UnitOptions, UnitPart};
pub(super) use upload::UploadOptions;
pub(super) use user::{UserAction, UserOptions};

/// What the command line asks for.
#[derive(Debug)]
pub(super) enum Parsed {
    /// Print this and be done.
    Show(String),
    /// Wrong usage, with the reason.
    Wrong(String),
    /// Do this.
    Run(Box<Command>),
}

/// A command, checked.
#[derive(Debug)]
pub(super) enum Command {
    Demo(DemoOptions),
    Server(ServerOptions),
    Peer(PeerOptions),
    Share(ShareOptions),
    Get(GetOptions),
    Find(FindOptions),
    Upload(UploadOptions),
    User(UserOptions),
    Console(ConsoleOptions),
    Status(StatusOptions),
    Unit(UnitOptions),
}

#[derive(Debug)]
pub(super) struct DemoOptions {
    pub(super) peers: usize,
    pub(super) interval: Duration,
    pub(super) duration: Duration,
    pub(super) out: PathBuf,
}

#[derive(Debug)]
pub(super) struct PeerOptions {
    pub(super) server: SocketAddr,
    pub(super) ids: Vec<Option<Name>>,
    pub(super) group: Name,
    pub(super) interval: Option<Duration>,
    pub(super) duration: Option<Duration>,
    pub(super) share_deadline: Option<Duration>,
    pub(super) upload_limit: Option<Rate>,
    pub(super) out: PathBuf,
    pub(super) json: bool,
    pub(super) log: LogOptions,
}

/// Peers keep each other's time every 10 ms, write it down on both sides, and then share the
/// records peer to peer. Durations are written like 10ms, 30s, 5m. Exit codes: 0 done, 1 failed,
/// 2 wrong usage.
#[derive(ArgsInfo, FromArgs)]
struct Typed {
    /// print the version
    #[argh(switch)]
    version: bool,
    #[argh(subcommand)]
    command: Option<TypedCommand>,
}

#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand)]
#[allow(clippy::large_enum_variant)] // there is one, for a moment
enum TypedCommand {
    Demo(TypedDemo),
    Server(server::TypedServer),
    Peer(TypedPeer),
    Share(files::TypedShare),
    Get(files::TypedGet),
    Find(files::TypedFind),
    Upload(upload::TypedUpload),
    User(user::TypedUser),
    Console(console::TypedConsole),
    Status(status::TypedStatus),
    Unit(unit::TypedUnit),
    Completions(completions::TypedCompletions),
}

/// A server and peers in one process, on one loop: the main job at a glance.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "demo")]
struct TypedDemo {
    /// number of peers, 1 to 4096 (default 3)
    #[argh(option, default = "3", from_str_fn(number))]
    peers: usize,
    /// time between two ticks, 1ms to 1s (default 10ms)
    #[argh(option, default = "Period(Duration::from_millis(10))")]
    interval: Period,
    /// length of the run, at most 168h (default 10s)
    #[argh(option, default = "Period(Duration::from_secs(10))")]
    duration: Period,
    /// folder for all files (default out)
    #[argh(option, default = "PathBuf::from(\"out\")")]
    out: PathBuf,
}

/// Keeps time with a server, writes every stamp down in OUT/client_ID_TimeData.txt and every
/// exchange in OUT/client_ID_samples.csv, and shares both with all peers of its group, directly.
/// Exits 0 when it has every file of its group and everybody else has its files.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "peer")]
struct TypedPeer {
    /// the server, HOST:PORT (default 127.0.0.1:5555)
    #[argh(option, default = "String::from(\"127.0.0.1:5555\")")]
    server: String,
    /// number of peers in this process, 1 to 4096 (default 1)
    #[argh(option, default = "1", from_str_fn(number))]
    count: usize,
    /// ID: a number, the first of them with --count, or a name (default: the lowest free number)
    #[argh(option)]
    id: Option<String>,
    /// group to share with (default lab)
    #[argh(option, default = "String::from(\"lab\")")]
    group: String,
    /// time between two ticks, 1ms to 1s (default: what the server offers, 10ms)
    #[argh(option)]
    interval: Option<Period>,
    /// length of the run, at most 168h (default: what the server offers, 5m)
    #[argh(option)]
    duration: Option<Period>,
    /// folder for all files (default out)
    #[argh(option, default = "PathBuf::from(\"out\")")]
    out: PathBuf,
    /// neither fetch the others' files nor offer any
    #[argh(switch)]
    no_share: bool,
    /// how long sharing may take after the last run of the group, at most 24h (default 2m)
    #[argh(option, default = "Period(Duration::from_secs(120))")]
    share_deadline: Period,
    /// most that is sent to the others, by all peers of this process together, like 2MB/s or 500kB/s
    /// (default: no limit)
    #[argh(option)]
    upload_limit: Option<Rate>,
    /// print one JSON object on stdout at the end, not a table
    #[argh(switch)]
    json: bool,
    /// error, warn, info, debug or trace (default warn)
    #[argh(option, default = "LevelFilter::Warn", from_str_fn(level))]
    log_level: LevelFilter,
    /// log into this file, not to the terminal
    #[argh(option)]
    log_file: Option<PathBuf>,
    /// begin a new log file at this many bytes, at least 4096; 0: never (default 10000000)
    #[argh(option, default = "10_000_000", from_str_fn(number))]
    log_bytes: u64,
    /// number of old log files to keep, as FILE.1, FILE.2 and so on, at most 1000 (default 5)
    #[argh(option, default = "5", from_str_fn(number))]
    log_keep: usize,
}

/// Reads the command line; `args[0]` is the program's name.
pub(super) fn parse(args: &[OsString]) -> Parsed {
    let (texts, mut odd) = texts(args);
    let words: Vec<&str> = texts.iter().skip(1).flat_map(|arg| usual(arg)).collect();
    let takes_files = matches!(words.first(), Some(&("upload" | "share")));
    let is_flag = |arg: &OsStr| arg.as_encoded_bytes().starts_with(b"-");
    if let Some((_, arg, place)) = odd.iter().find(|(_, arg, _)| !takes_files || is_flag(arg)) {
        return no_text(arg, *place);
    }
    let mut typed = match Typed::from_args(&["tickmesh"], &words) {
        Ok(typed) => typed,
        Err(early) if early.status.is_ok() => return Parsed::Show(early.output),
        Err(early) => return Parsed::Wrong(explain(&early.output, &words)),
    };
    if typed.version {
        return Parsed::Show(concat!("tickmesh ", env!("CARGO_PKG_VERSION"), "\n").to_owned());
    }
    match &mut typed.command {
        Some(TypedCommand::Upload(typed)) => files::put_back(&mut typed.files, &mut odd),
        Some(TypedCommand::Share(typed)) => files::put_back(&mut typed.files, &mut odd),
        _ => {}
    }
    if let Some((_, arg, place)) = odd.first() {
        return no_text(arg, *place);
    }
    let checked = match typed.command {
        None => return Parsed::Wrong("tickmesh: a command is missing; try: tickmesh --help".to_owned()),
        Some(TypedCommand::Demo(typed)) => check_demo(typed).map(Command::Demo),
        Some(TypedCommand::Server(typed)) => match config::settle(typed, &words, std::env::vars_os()) {
            Ok(options) => Ok(Command::Server(options)),
            Err(early) => return early,
        },
        Some(TypedCommand::Peer(typed)) => check_peer(typed).map(Command::Peer),
        Some(TypedCommand::Share(typed)) => files::check_share(typed).map(Command::Share),
        Some(TypedCommand::Get(typed)) => files::check_get(typed).map(Command::Get),
        Some(TypedCommand::Find(typed)) => files::check_find(typed).map(Command::Find),
        Some(TypedCommand::Upload(typed)) => upload::check_upload(typed).map(Command::Upload),
        Some(TypedCommand::User(typed)) => user::check_user(typed).map(Command::User),
        Some(TypedCommand::Console(typed)) => console::check_console(typed).map(Command::Console),
        Some(TypedCommand::Status(typed)) => status::check_status(typed).map(Command::Status),
        Some(TypedCommand::Unit(typed)) => unit::check_unit(typed).map(Command::Unit),
        Some(TypedCommand::Completions(typed)) => match completions::of(&typed, &Typed::get_args_info()) {
            Ok(script) => return Parsed::Show(script),
            Err(wrong) => Err(wrong),
        },
    };
    checked.map_or_else(
        |wrong| Parsed::Wrong(format!("tickmesh: {wrong}")),
        |command| Parsed::Run(Box::new(command)),
    )
}

/// An argument that is no text: what stands for it, itself, and its place.
type Odd<'a> = (String, &'a OsStr, usize);

/// The parser takes text alone: for what is none stands something that no argument can be. Files have any name,
/// and one of them should stop no other.
fn texts(args: &[OsString]) -> (Vec<String>, Vec<Odd<'_>>) {
    let mut odd = Vec::new();
    let text = |(place, arg): (usize, &'_ OsString)| arg.to_str().map(str::to_owned).ok_or(place);
    let texts = args.iter().enumerate().map(text).map(|text| {
        text.unwrap_or_else(|place| {
            let mark = format!("\0{place}");
            odd.push((mark.clone(), args[place].as_os_str(), place));
            mark
        })
    });
    (texts.collect(), odd)
}

fn no_text(arg: &OsStr, place: usize) -> Parsed {
    let arg = arg.to_string_lossy();
    Parsed::Wrong(format!("tickmesh: argument {place} is no UTF-8 text: \"{}\"", Shown(&arg)))
}

/// The parser's own message, and where to look.
fn explain(message: &str, words: &[&str]) -> String {
    let (mut help, mut commands) = ("tickmesh".to_owned(), Typed::get_args_info().commands);
    // `user add` has a command within a command.
    for word in words {
        let Some(known) = commands.into_iter().find(|known| known.name == *word) else { break };
        help = format!("{help} {word}");
        commands = known.command.commands;
    }
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("tickmesh: {}; try: {help} --help", message.trim_end_matches('.'))
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "a whole number is expected".to_owned())
}

fn level(text: &str) -> Result<LevelFilter, String> {
    text.parse().map_err(|_| "the levels are error, warn, info, debug and trace".to_owned())
}

/// What users of other programs type: `--flag=value`, `-h`, `-V`.
fn usual(arg: &str) -> Vec<&str> {
    match arg {
        "-h" => vec!["--help"],
        "-V" => vec!["--version"],
        _ => match arg.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => vec![flag, value],
            _ => vec![arg],
        },
    }
}

fn check_demo(typed: TypedDemo) -> Result<DemoOptions, String> {
    check_count("--peers", typed.peers)?;
    Ok(DemoOptions {
        peers: typed.peers,
        interval: check_interval(typed.interval)?,
        duration: check_duration(typed.duration)?,
        out: typed.out,
    })
}

fn check_peer(typed: TypedPeer) -> Result<PeerOptions, String> {
    check_count("--count", typed.count)?;
    let rules = log_rules(typed.log_bytes, typed.log_keep, false, false)?;
    let deadline = typed.share_deadline;
    if deadline.0 > SHARE_DEADLINE_MAX {
        return Err(format!("--share-deadline is at most {}, not {deadline}", Period(SHARE_DEADLINE_MAX)));
    }
    Ok(PeerOptions {
        server: address("--server", &typed.server)?,
        ids: check_ids(typed.id.as_deref(), typed.count)?,
        group: Name::from_str(&typed.group).map_err(|error| format!("--group {}: {error}", typed.group))?,
        interval: typed.interval.map(check_interval).transpose()?,
        duration: typed.duration.map(check_duration).transpose()?,
        share_deadline: (!typed.no_share).then_some(deadline.0),
        upload_limit: typed.upload_limit,
        out: typed.out,
        json: typed.json,
        log: LogOptions { level: typed.log_level, file: typed.log_file, rules },
    })
}

fn check_ids(id: Option<&str>, count: usize) -> Result<Vec<Option<Name>>, String> {
    let Some(text) = id else { return Ok(vec![None; count]) };
    let name = Name::from_str(text).map_err(|error| format!("--id {text}: {error}"))?;
    match (name.number(), count) {
        (_, 1) => Ok(vec![Some(name)]),
        (Some(first), _) => {
            let last = first
                .checked_add(count as u32)
                .ok_or_else(|| format!("--id {text}: the number is too large"))?;
            Ok((first..last).map(|number| Some(Name::from_number(number))).collect())
        }
        (None, _) => {
            Err(format!("--id {text} is a name, and --count {count} peers cannot share one; give a number"))
        }
    }
}

fn check_count(flag: &str, count: usize) -> Result<(), String> {
    match count {
        1..=PEERS_MAX => Ok(()),
        _ => Err(format!("{flag} is from 1 to {PEERS_MAX}, not {count}")),
    }
}

fn check_interval(interval: Period) -> Result<Duration, String> {
    if (INTERVAL_MIN..=INTERVAL_MAX).contains(&interval.0) {
        return Ok(interval.0);
    }
    Err(format!("--interval is from {} to {}, not {interval}", Period(INTERVAL_MIN), Period(INTERVAL_MAX)))
}

fn check_duration(duration: Period) -> Result<Duration, String> {
    if !duration.0.is_zero() && duration.0 <= DURATION_MAX {
        return Ok(duration.0);
    }
    Err(format!("--duration is above 0s and at most {}, not {duration}", Period(DURATION_MAX)))
}

fn address(flag: &str, text: &str) -> Result<SocketAddr, String> {
    if text.contains('%') {
        return Err(format!(
            "{flag} {text}: an address with a zone (%) means nothing to other machines; take another"
        ));
    }
    let found = text
        .to_socket_addrs()
        .map_err(|error| format!("{flag} {text} is no address; write HOST:PORT or [IPv6]:PORT ({error})"))?;
    // A name may have several; IPv4 first, as the default is.
    found.min_by_key(SocketAddr::is_ipv6).ok_or_else(|| format!("{flag} {text}: the name has no address"))
}

fn log_rules(bytes: u64, keep: usize, daily: bool, compress: bool) -> Result<LogRules, String> {
    if (1..LOG_BYTES_MIN).contains(&bytes) {
        return Err(format!("--log-bytes is at least {LOG_BYTES_MIN}, or 0, not {bytes}"));
    }
    if keep > LOG_KEEP_MAX {
        return Err(format!("--log-keep is at most {LOG_KEEP_MAX}, not {keep}"));
    }
    Ok(LogRules { bytes_max: (bytes > 0).then_some(bytes), daily, keep, compress })
}

#[cfg(test)]
mod tests;
