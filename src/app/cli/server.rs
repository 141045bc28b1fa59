//! The command line of `server`, checked. Opens nothing.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use log::LevelFilter;

use crate::app::cli::amounts::Size;
use crate::app::cli::process::{ProcessOptions, check_process};
use crate::app::cli::{address, check_duration, check_interval, level, log_rules, number};
use crate::app::logging::LogOptions;
use crate::proto::limits::{
    COUNTED_BYTES_MIN, DURATION_MAX, GREET_TIMEOUT, SERVER_LINKS, SERVER_LINKS_MAX, SERVER_LINKS_PER_ADDRESS,
    SLOW_READER_TIMEOUT, UPLOAD_CLIENTS, UPLOAD_CLIENTS_MAX, UPLOAD_CLIENTS_PER_ADDRESS, UPLOAD_QUOTA_BYTES,
    UPLOAD_STALL_TIMEOUT,
};
use crate::proto::server::{DoorConfig, LetIn};
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
    /// `None`: there is no drop box.
    pub(in crate::app) uploads: Option<UploadsOptions>,
    pub(in crate::app) log: LogOptions,
    pub(in crate::app) process: ProcessOptions,
    /// `listen` was said somewhere, and is not the default.
    pub(in crate::app) listen_is_given: bool,
    /// What an operator should know of the configuration.
    pub(in crate::app) notes: Vec<String>,
    pub(in crate::app) door: DoorConfig,
    pub(in crate::app) slow_timeout: Duration,
}

/// The drop box.
#[derive(Debug)]
pub(in crate::app) struct UploadsOptions {
    pub(in crate::app) listen: SocketAddr,
    pub(in crate::app) dir: PathBuf,
    pub(in crate::app) quota_bytes: u64,
    pub(in crate::app) file_bytes_max: u64,
    pub(in crate::app) clients_max: usize,
    pub(in crate::app) clients_per_address_max: usize,
    pub(in crate::app) stall_timeout: Duration,
    /// What comes in is offered to everybody of the mesh.
    pub(in crate::app) register: bool,
}

/// Answers the peers' ticks, writes all of them down in OUT/serverTimeData.txt, and introduces the
/// peers to each other. People who connect with nc or with a program talk to each other over it. With --upload-listen
/// it also takes files from whoever sends them there (tickmesh upload, or any client of that protocol).
/// Prints `listening mesh ADDR` when it is ready, and `listening upload ADDR` when the drop box is. Stop it with SIGTERM or Ctrl-C.
#[derive(ArgsInfo, FromArgs)]
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
    /// take uploads at this address, HOST:PORT, usually port 12000; port 0 lets the system choose (default: none are taken)
    #[argh(option)]
    upload_listen: Option<String>,
    /// folder for uploads, and for nothing else (default: uploads in OUT)
    #[argh(option)]
    upload_dir: Option<PathBuf>,
    /// most bytes of all files in that folder together, like 500MB or 1GiB, at least 4096B: so much every file counts
    /// (default 100GB)
    #[argh(option)]
    upload_quota: Option<Size>,
    /// largest upload (default: the quota)
    #[argh(option)]
    upload_file_max: Option<Size>,
    /// clients that may upload at once, silent ones included, 1 to 8192, and with --links at most 14576 (default 1000)
    #[argh(option, from_str_fn(number))]
    upload_clients: Option<usize>,
    /// the same from one address, or from one network of 64 bits of IPv6 (default 500)
    #[argh(option, from_str_fn(number))]
    upload_clients_per_address: Option<usize>,
    /// how long an upload may bring less than 512 KiB and not its end, 1s to 168h (default 60s)
    #[argh(option)]
    upload_timeout: Option<Period>,
    /// offer what is in that folder, and what comes, to everybody of the mesh (tickmesh get), as `dropbox` in the group lab
    #[argh(switch)]
    upload_register: bool,
    /// error, warn, info, debug or trace (default info)
    #[argh(option, default = "LevelFilter::Info", from_str_fn(level))]
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
    /// begin a new log file also with the first record of each day (UTC)
    #[argh(switch)]
    log_daily: bool,
    /// compress old log files, to FILE.1.gz and so on
    #[argh(switch)]
    log_compress: bool,

    // --- limits of links
    /// connections that are taken at once, 1 to 14576; those of the drop box come on top, and are counted by --upload-clients
    /// (default 13312)
    #[argh(option, default = "SERVER_LINKS", from_str_fn(number))]
    links: usize,
    /// the same from one address, or from one network of 64 bits of IPv6, 1 to 14576 (default 5000)
    #[argh(option, default = "SERVER_LINKS_PER_ADDRESS", from_str_fn(number))]
    links_per_address: usize,
    /// how long a connection may take to join, to greet or to log in, 1s to 168h (default 60s)
    #[argh(option, default = "Period(GREET_TIMEOUT)")]
    greet_timeout: Period,
    /// how long a connection may leave more than 512 KiB waiting for it, 1s to 168h (default 30s)
    #[argh(option, default = "Period(SLOW_READER_TIMEOUT)")]
    slow_timeout: Period,

    /// leave the terminal and go on as a process of its own, with umask 027; this command prints the `listening` lines and
    /// exits 0 when every one of them is true, else 1 with the reason; needs --log-file
    #[argh(switch)]
    daemon: bool,
    /// write the process's number into this file; one server at a time may have it, and removes it when it ends
    #[argh(option)]
    pid_file: Option<PathBuf>,
    /// become this user when the addresses are bound and the pid file is there; for root only
    #[argh(option)]
    user: Option<String>,
    /// how long an orderly end may take, at most 168h; what is not done by then is left, and the exit code is 1 (default 5s)
    #[argh(option, default = "Period(Duration::from_secs(5))")]
    grace: Period,

    /// take what is not typed here from this file (TOML): its keys are the names of these flags, with _ for -, but for daemon,
    /// config, check-config and print-config. The environment is asked before it: TICKMESH_LISTEN, TICKMESH_LOG_FILE and so on
    #[argh(option)]
    pub(super) config: Option<PathBuf>,
    /// only say what is wrong in that file and in the environment, with line and key, and which users, files and folders that they
    /// name are not there or are of another kind; exit code 2 if anything is
    #[argh(switch)]
    pub(super) check_config: bool,
    /// only print what is in force, and where each value is from; it can be read back with --config
    #[argh(switch)]
    pub(super) print_config: bool,
}

pub(super) fn check_server(typed: TypedServer) -> Result<ServerOptions, String> {
    let uploads = check_uploads(&typed)?;
    let rules = log_rules(typed.log_bytes, typed.log_keep, typed.log_daily, typed.log_compress)?;
    let door = check_door(&typed)?;
    check_sum(typed.links, uploads.as_ref().map_or(0, |uploads| uploads.clients_max))?;
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
        uploads,
        process: check_process(
            typed.daemon,
            typed.pid_file,
            typed.user,
            typed.grace,
            typed.log_file.is_some(),
        )?,
        log: LogOptions { level: typed.log_level, file: typed.log_file, rules },
        listen_is_given: !typed.listen.is_empty(),
        notes: Vec::new(),
        door,
        slow_timeout: check_period("--slow-timeout", typed.slow_timeout, Duration::from_secs(1))?,
    })
}

fn check_door(typed: &TypedServer) -> Result<DoorConfig, String> {
    for (flag, links) in [("--links", typed.links), ("--links-per-address", typed.links_per_address)] {
        if !(1..=SERVER_LINKS_MAX).contains(&links) {
            return Err(format!("{flag} is from 1 to {SERVER_LINKS_MAX}, not {links}"));
        }
    }
    Ok(DoorConfig {
        links_max: typed.links,
        links_per_address_max: typed.links_per_address,
        greet_timeout: check_period("--greet-timeout", typed.greet_timeout, Duration::from_secs(1))?,
    })
}

/// What may come in all has to fit the driver, or it would close links without a word. Begins with a flag that somebody has
/// set: with the default of either, only the other can be too much.
fn check_sum(links: usize, clients: usize) -> Result<(), String> {
    if links + clients <= SERVER_LINKS_MAX {
        return Ok(());
    }
    let [one, other] = [("--links", links), ("--upload-clients", clients)];
    let [(first, set), (second, beside)] = if links > SERVER_LINKS { [one, other] } else { [other, one] };
    Err(format!("{first} is at most {SERVER_LINKS_MAX} together with {second}: {set} and {beside} are more"))
}

fn check_uploads(typed: &TypedServer) -> Result<Option<UploadsOptions>, String> {
    let Some(listen) = &typed.upload_listen else {
        let given = [
            ("--upload-dir", typed.upload_dir.is_some()),
            ("--upload-quota", typed.upload_quota.is_some()),
            ("--upload-file-max", typed.upload_file_max.is_some()),
            ("--upload-clients", typed.upload_clients.is_some()),
            ("--upload-clients-per-address", typed.upload_clients_per_address.is_some()),
            ("--upload-timeout", typed.upload_timeout.is_some()),
            ("--upload-register", typed.upload_register),
        ];
        return match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(format!("{flag} is of no use without --upload-listen")),
            None => Ok(None),
        };
    };
    let quota = typed.upload_quota.unwrap_or(Size(UPLOAD_QUOTA_BYTES));
    if quota.0 < COUNTED_BYTES_MIN {
        return Err(format!(
            "--upload-quota is at least {COUNTED_BYTES_MIN} B, which every file counts, not {} B",
            quota.0
        ));
    }
    let file_max = typed.upload_file_max.unwrap_or(quota);
    if file_max > quota {
        return Err(format!("--upload-file-max is at most the quota of {} B, not {} B", quota.0, file_max.0));
    }
    let clients_max = typed.upload_clients.unwrap_or(UPLOAD_CLIENTS);
    check_clients("--upload-clients", clients_max)?;
    let clients_per_address_max = typed.upload_clients_per_address.unwrap_or(UPLOAD_CLIENTS_PER_ADDRESS);
    check_clients("--upload-clients-per-address", clients_per_address_max)?;
    let timeout = typed.upload_timeout.unwrap_or(Period(UPLOAD_STALL_TIMEOUT));
    Ok(Some(UploadsOptions {
        listen: address("--upload-listen", listen)?,
        dir: typed.upload_dir.clone().unwrap_or_else(|| typed.out.join("uploads")),
        quota_bytes: quota.0,
        file_bytes_max: file_max.0,
        clients_max,
        clients_per_address_max,
        stall_timeout: check_period("--upload-timeout", timeout, Duration::from_secs(1))?,
        register: typed.upload_register,
    }))
}

fn check_clients(flag: &str, clients: usize) -> Result<(), String> {
    match clients {
        1..=UPLOAD_CLIENTS_MAX => Ok(()),
        _ => Err(format!("{flag} is from 1 to {UPLOAD_CLIENTS_MAX}, not {clients}")),
    }
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
