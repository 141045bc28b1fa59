//! `tickmesh console`: the screen of a person who talks and passes files over a server, or the same for a script.
//!
//! - `machine`: the console around the client. `show` puts news into words, `out` has what is not shown yet, `seen`
//!   remembers what was shown.
//! - `screen`: the terminal. `keys` makes keys of bytes, `editor` a line of keys, `history` and `complete` help with
//!   it, `paint` says what to write for it, `cells` how wide that is.

mod cells;
mod complete;
mod editor;
mod history;
mod keys;
mod machine;
mod out;
mod paint;
mod screen;
mod seen;
mod show;

use std::fs::DirBuilder;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::app::cli::ConsoleOptions;
use crate::app::console::history::History;
use crate::app::console::machine::{Console, Face};
use crate::app::console::out::Out;
use crate::app::console::screen::Screen;
use crate::app::console::seen::SeenFile;
use crate::app::{drive, logging, password, random_secret, state, terminal};
use crate::io::{Host, Reactor};
use crate::proto::accounts::user_name;
use crate::proto::ids::Name;
use crate::proto::limits::{FAILURES_MAX, LINE_BYTES_MAX, SERVER_WAIT};
use crate::proto::peer::{GuestConfig, Login, Orders, Peers, Talk};
use crate::proto::text::Shown;
use crate::proto::wire::{ErrorCode, GROUP_DEFAULT};

/// How a session has ended.
enum End {
    Done(bool),
    WrongPassword(String),
}

/// Talks until there is nothing more to say; true if all that was to be done is done.
pub(super) fn run(options: &ConsoleOptions) -> Result<bool> {
    logging::start(&options.log)?;
    let is_person = io::stdin().is_terminal()
        && io::stdout().is_terminal()
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    let user = match options.user {
        None if is_person => ask_name()?,
        user => user,
    };
    // The server blocks the account after as many.
    let tries = if is_person && options.password_file.is_none() { FAILURES_MAX } else { 1 };
    for tried in 1.. {
        let login = match user {
            Some(user) => {
                Some(Login { user, password: password::read(user, options.password_file.as_deref())? })
            }
            None => None,
        };
        match talk(options, login, is_person)? {
            End::Done(is_done) => return Ok(is_done),
            End::WrongPassword(text) => {
                terminal::complain(&Shown(&text));
                if tried == tries {
                    break;
                }
            }
        }
    }
    Ok(false)
}

/// One session, from the login to its end.
fn talk(options: &ConsoleOptions, login: Option<Login>, is_person: bool) -> Result<End> {
    let folder = own_folder();
    let seen = match (&folder, &login) {
        (Some(folder), Some(login)) => {
            SeenFile::open(folder, login.user, options.server).unwrap_or_else(|error| {
                log::error!("cannot keep which messages were shown error=\"{error}\"");
                SeenFile::default()
            })
        }
        _ => SeenFile::default(),
    };
    let patience = if is_person { Duration::ZERO } else { SERVER_WAIT };
    let talk = Talk { login, seen: seen.last(), secret: random_secret()?, patience };
    let peers = Peers::guest(GuestConfig {
        server: options.server,
        group: GROUP_DEFAULT.parse().expect("a name"),
        id: None,
        orders: Orders { talk: Some(talk), ..Orders::default() },
        upload_limit: None,
    });
    let mut reactor = Reactor::new().context("cannot start the event loop")?;
    reactor.read_typed(0).context("cannot read standard input")?;
    let mut out = Out::new();
    let face = match is_person {
        true => {
            let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            let screen = Screen::new(open_history(folder), &options.files, colours, &mut out);
            Face::Person(Box::new(screen.context("cannot use the terminal")?))
        }
        false => Face::Script,
    };
    let mut console = Console::new(peers, face, out, seen);
    drive(reactor, &mut [Host { machine: &mut console, root: options.files.clone() }])?;
    conclude(console, is_person)
}

/// What it has come to. The terminal is as it was afterwards.
fn conclude(mut console: Console, is_person: bool) -> Result<End> {
    console.tell_rest();
    let report = console.peers().report().peers.remove(0);
    let refused = console.refused.take();
    let undone = console.peers().undone_line();
    let is_done = report.outcome == "complete" && !console.has_failed && undone.is_none();
    // A second signal, or one while nobody reads, does not wait.
    console.end(report.outcome != "interrupted").context("cannot write to standard output")?;
    if let Some((ErrorCode::WrongPassword, text)) = refused {
        return Ok(End::WrongPassword(text));
    }
    for problem in &report.problems {
        terminal::complain(&Shown(problem));
    }
    if let (Some(line), false) = (undone, is_person) {
        // Not what it says: that may be a password.
        terminal::complain(&format!(
            "line {line} and what is behind it were not done: the session has ended"
        ));
    }
    Ok(End::Done((is_person || is_done) && report.problems.is_empty()))
}

/// Where the history is, and what was shown. Without such a place nothing is kept.
fn own_folder() -> Option<PathBuf> {
    let folder = state::default_folder(|name| std::env::var_os(name))?;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.inspect_err(|error| log::error!("nothing is kept folder={} error=\"{error}\"", folder.display()))
        .ok()?;
    Some(folder)
}

fn open_history(folder: Option<PathBuf>) -> History {
    let Some(folder) = folder else { return History::default() };
    History::open(folder.join("history")).unwrap_or_else(|error| {
        log::error!("the history cannot be kept error=\"{error}\"");
        History::default()
    })
}

/// Who wants to talk; nobody in particular is a guest.
fn ask_name() -> Result<Option<Name>> {
    loop {
        print!("User (nothing: a guest): ");
        io::stdout().flush()?;
        let line = read_line()?;
        match line.trim() {
            "" => return Ok(None),
            name => match user_name(name) {
                Ok(name) => return Ok(Some(name)),
                Err(error) => eprintln!("{}: {error}", Shown(name)),
            },
        }
    }
}

/// Byte by byte: what is typed behind it is not ours.
fn read_line() -> Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < LINE_BYTES_MAX {
        if nix::unistd::read(io::stdin(), &mut byte)? == 0 {
            bail!("stopped");
        }
        if byte == *b"\n" {
            break;
        }
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}
