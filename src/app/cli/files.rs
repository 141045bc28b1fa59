//! The command lines of `share`, `get` and `find`, checked. Opens no file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use log::LevelFilter;

use crate::app::cli::amounts::Rate;
use crate::app::cli::{Odd, address, level, number};
use crate::app::logging::LogOptions;
use crate::proto::ids::{FileName, Name};
use crate::proto::limits::{CHUNKS_MAX, FILES_PER_MEMBER_MAX, SEARCH_CHUNKS_MAX};
use crate::proto::time::Period;

/// What the three commands have in common.
#[derive(Debug)]
pub(in crate::app) struct GuestOptions {
    pub(in crate::app) server: SocketAddr,
    pub(in crate::app) id: Option<Name>,
    pub(in crate::app) group: Name,
    pub(in crate::app) upload_limit: Option<Rate>,
    pub(in crate::app) json: bool,
    pub(in crate::app) log: LogOptions,
}

#[derive(Debug)]
pub(in crate::app) struct ShareOptions {
    pub(in crate::app) guest: GuestOptions,
    pub(in crate::app) files: Vec<PathBuf>,
    pub(in crate::app) chunks: Option<u64>,
}

#[derive(Debug)]
pub(in crate::app) struct GetOptions {
    pub(in crate::app) guest: GuestOptions,
    pub(in crate::app) file: FileName,
    /// Counted from 0.
    pub(in crate::app) chunk: Option<u64>,
    pub(in crate::app) to: PathBuf,
    pub(in crate::app) wait: Duration,
    pub(in crate::app) stay: Duration,
}

#[derive(Debug)]
pub(in crate::app) struct FindOptions {
    pub(in crate::app) guest: GuestOptions,
    pub(in crate::app) file: FileName,
    /// As typed: counted from 1.
    pub(in crate::app) chunks: Vec<u64>,
}

/// Declares a command line that has, after its own options, those of every guest: no struct can be
/// embedded in another here.
macro_rules! guest_command {
    ($(#[$meta:meta])* struct $command:ident { $($own:tt)* }) => {
        $(#[$meta])*
        pub(super) struct $command {
            $($own)*
            /// the server, HOST:PORT (default 127.0.0.1:5555)
            #[argh(option, default = "String::from(\"127.0.0.1:5555\")")]
            server: String,
            /// name to be known by (default: guest-1, guest-2 and so on)
            #[argh(option)]
            id: Option<String>,
            /// group whose files these are (default lab)
            #[argh(option, default = "String::from(\"lab\")")]
            group: String,
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

        impl $command {
            fn guest(&self, upload_limit: Option<Rate>) -> Result<GuestOptions, String> {
                Ok(GuestOptions {
                    server: address("--server", &self.server)?,
                    id: self.id.as_deref().map(|id| name("--id", id)).transpose()?,
                    group: name("--group", &self.group)?,
                    upload_limit,
                    json: self.json,
                    log: LogOptions::of(self.log_level, self.log_file.clone()),
                })
            }
        }
    };
}

guest_command! {
    /// Offers files to everybody of the group and serves them, directly, until it is stopped (Ctrl-C
    /// or SIGTERM; exit code 0). Names have letters, digits, '-', '_' and '.'.
    #[derive(ArgsInfo, FromArgs)]
    #[argh(subcommand, name = "share")]
    struct TypedShare {
        /// files to offer, under their own names, at most 8192
        #[argh(positional)]
        pub(super) files: Vec<PathBuf>,
        /// number of chunks of each file, 1 to 8192 (default: chunks of 256 KiB, larger ones from 1 GiB on)
        #[argh(option, from_str_fn(number))]
        chunks: Option<u64>,
        /// most that is sent to all others together, like 2MB/s or 500kB/s (default: no limit)
        #[argh(option)]
        upload_limit: Option<Rate>,
    }
}

guest_command! {
    /// Downloads a file, or one chunk of it, from everybody who holds some of it, and serves what it
    /// has meanwhile. Exits 0 when the whole verified file is in its place. What has come stays when
    /// it is stopped, and is not fetched again.
    #[derive(ArgsInfo, FromArgs)]
    #[argh(subcommand, name = "get")]
    struct TypedGet {
        /// name of the file
        #[argh(positional)]
        file: String,
        /// only this chunk, counted from 1; it stays in FILE.partial
        #[argh(positional, from_str_fn(number))]
        chunk: Option<u64>,
        /// folder for the file (default: this one)
        #[argh(option, default = "PathBuf::from(\".\")")]
        to: PathBuf,
        /// how long to wait while nobody is there who holds what is missing (default 30s)
        #[argh(option, default = "Period(Duration::from_secs(30))")]
        wait: Period,
        /// how long to go on serving others when it is here (default 0s)
        #[argh(option, default = "Period(Duration::ZERO)")]
        stay: Period,
        /// most that is sent to all others together, like 2MB/s or 500kB/s (default: no limit)
        #[argh(option)]
        upload_limit: Option<Rate>,
    }
}

guest_command! {
    /// Says who holds a file, or at least one of some chunks of it. Exits 0 if it is available, 1 if not.
    #[derive(ArgsInfo, FromArgs)]
    #[argh(subcommand, name = "find")]
    struct TypedFind {
        /// name of the file
        #[argh(positional)]
        file: String,
        /// chunks, counted from 1, at most 64 (default: any)
        #[argh(positional, from_str_fn(number))]
        chunks: Vec<u64>,
    }
}

/// Files whose names are no text get them back. Each is left out alone, with its reason.
pub(super) fn put_back(files: &mut [PathBuf], odd: &mut Vec<Odd<'_>>) {
    for file in files {
        if let Some(at) = odd.iter().position(|(mark, ..)| Path::new(mark) == file) {
            *file = odd.remove(at).1.into();
        }
    }
}

pub(super) fn check_share(typed: TypedShare) -> Result<ShareOptions, String> {
    if typed.files.is_empty() {
        return Err("share needs the name of a file".to_owned());
    }
    if typed.files.len() > FILES_PER_MEMBER_MAX {
        return Err(format!("at most {FILES_PER_MEMBER_MAX} files can be shared at once"));
    }
    if let Some(chunks) = typed.chunks.filter(|chunks| !(1..=CHUNKS_MAX).contains(chunks)) {
        return Err(format!("--chunks is from 1 to {CHUNKS_MAX}, not {chunks}"));
    }
    let guest = typed.guest(typed.upload_limit)?;
    Ok(ShareOptions { guest, files: typed.files, chunks: typed.chunks })
}

pub(super) fn check_get(typed: TypedGet) -> Result<GetOptions, String> {
    let guest = typed.guest(typed.upload_limit)?;
    let chunk = typed.chunk.map(|chunk| chunk_number(chunk).map(|chunk| chunk - 1)).transpose()?;
    let file = file_name(&typed.file)?;
    Ok(GetOptions { guest, file, chunk, to: typed.to, wait: typed.wait.0, stay: typed.stay.0 })
}

pub(super) fn check_find(typed: TypedFind) -> Result<FindOptions, String> {
    if typed.chunks.len() > SEARCH_CHUNKS_MAX {
        return Err(format!("at most {SEARCH_CHUNKS_MAX} chunks can be looked for at once"));
    }
    let guest = typed.guest(None)?;
    let chunks = typed.chunks.into_iter().map(chunk_number).collect::<Result<_, _>>()?;
    Ok(FindOptions { guest, file: file_name(&typed.file)?, chunks })
}

fn name(flag: &str, text: &str) -> Result<Name, String> {
    Name::from_str(text).map_err(|error| format!("{flag} {text}: {error}"))
}

fn file_name(text: &str) -> Result<FileName, String> {
    let wrong = |why: &str| format!("{text:?} is no name of a shared file: {why}");
    let file = FileName::from_str(text).map_err(|error| wrong(&error.to_string()))?;
    if FileName::is_partial(text) {
        return Err(wrong("unfinished files are called so"));
    }
    Ok(file)
}

fn chunk_number(chunk: u64) -> Result<u64, String> {
    match chunk {
        1..=CHUNKS_MAX => Ok(chunk),
        _ => Err(format!("chunks are counted from 1 to at most {CHUNKS_MAX}, not {chunk}")),
    }
}
