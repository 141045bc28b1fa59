//! The terminal of a person: keys to commands, news to lines above the one that is being typed. Decides nothing
//! about commands.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, raise};

use crate::app::bar::Pace;
use crate::app::console::cells::{look, units};
use crate::app::console::complete::{COMMANDS, Completion, Names, complete};
use crate::app::console::editor::{Act, Editor};
use crate::app::console::history::History;
use crate::app::console::keys::Keys;
use crate::app::console::out::Out;
use crate::app::console::paint::{Painter, View};
use crate::app::console::show::Style;
use crate::app::terminal;
use crate::app::tty::{HeldTerminal, columns};
use crate::proto::limits::{KEY_TIMEOUT, KNOWN_NAMES_MAX};
use crate::proto::peer::{FileState, News, Peers};
use crate::proto::time::{Mono, Now};

const BELL: &str = "\x07";
const CLEAR_SCREEN: &str = "\x1b[H\x1b[2J";
/// A paste comes as one, and not as if it were typed.
const PASTES_ON: &str = "\x1b[?2004h";
const PASTES_OFF: &str = "\x1b[?2004l";

/// What is on the screen, and what is being typed.
#[derive(Debug)]
pub(super) struct Screen {
    tty: HeldTerminal,
    keys: Keys,
    /// When a key that has begun is given up.
    keys_at: Option<Mono>,
    editor: Editor,
    history: History,
    painter: Painter,
    style: Style,
    prompt: String,
    names: Names,
    files: PathBuf,
    /// Downloads that were begun.
    coming: BTreeSet<String>,
    /// Lines that are to be shown above what is typed.
    above: String,
    status: Option<String>,
    pace: Pace,
}

/// What a person wants.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// These commands, each in a line with its end.
    Commands(String),
    /// To leave.
    Leave,
}

impl Screen {
    /// Takes the terminal, which is given back when this is dropped.
    ///
    /// # Errors
    /// If standard input is no terminal.
    pub(super) fn new(history: History, files: &Path, colours: bool, out: &mut Out) -> io::Result<Screen> {
        let tty = HeldTerminal::begin()?;
        out.show(PASTES_ON);
        Ok(Screen {
            tty,
            keys: Keys::default(),
            keys_at: None,
            editor: Editor::default(),
            history,
            painter: Painter::default(),
            style: Style { colours },
            prompt: "... ".to_owned(),
            names: Names::default(),
            files: files.to_owned(),
            coming: BTreeSet::new(),
            above: String::new(),
            status: None,
            pace: Pace::default(),
        })
    }

    /// Takes what was typed; nothing if the terminal is not as it was.
    pub(super) fn take_bytes(&mut self, bytes: &[u8], now: Now, out: &mut Out) -> Vec<Wish> {
        if bytes.is_empty() {
            self.tty.take_again();
            out.show(PASTES_ON);
            out.show(&self.painter.wipe(columns()));
        }
        let mut wishes = Vec::new();
        for byte in bytes {
            let Some(key) = self.keys.feed(*byte) else { continue };
            match self.editor.press(key, self.history.lines()) {
                Act::Nothing => {}
                Act::Bell => out.show(BELL),
                Act::Entered(text) => wishes.push(Wish::Commands(self.enter(&text))),
                Act::Complete => self.complete(out),
                Act::Cleared(true) => {}
                Act::Cleared(false) => self.notice("Ctrl-D or logout leaves"),
                Act::Leave => wishes.push(Wish::Leave),
                Act::Repaint => {
                    out.show(CLEAR_SCREEN);
                    self.painter.forget();
                }
                Act::Suspend => self.suspend(out),
            }
        }
        self.keys_at = self.keys.is_inside().then(|| now.mono + KEY_TIMEOUT);
        wishes
    }

    /// Shows what was entered, and returns what of it is for the client.
    fn enter(&mut self, text: &str) -> String {
        let mut commands = String::new();
        for line in text.split('\n') {
            let shown: String = units(line).map(|(_, unit)| look(unit).0).collect();
            self.above += &format!("{}{shown}\n", self.prompt);
            self.learn_files(line);
            match line.trim() {
                "" => {}
                "help" => self.help(),
                _ => commands += &format!("{line}\n"),
            }
        }
        if let Err(error) = self.history.keep(text) {
            self.notice(&format!("the history cannot be kept: {error}"));
        }
        commands
    }

    fn complete(&mut self, out: &mut Out) {
        let files = &self.files;
        let before = &self.editor.text()[..self.editor.at()];
        match complete(before, &self.names, || list(files)) {
            Completion::Nothing => out.show(BELL),
            Completion::Replace { from, text } => drop(self.editor.replace(from, &text)),
            Completion::Several(all) => self.above += &format!("{}\n", all.join("  ")),
        }
    }

    /// Lets the shell have the terminal until it puts us in front again.
    fn suspend(&mut self, out: &mut Out) {
        out.show(&self.painter.wipe(columns()));
        out.show(PASTES_OFF);
        out.flush();
        self.tty.give_back();
        terminal::take_line();
        let _ = raise(Signal::SIGTSTP);
        self.tty.take_again();
        out.show(PASTES_ON);
    }

    pub(super) fn notice(&mut self, text: &str) {
        self.above += &self.style.notice(&text);
    }

    /// Shows news above what is being typed.
    pub(super) fn tell(&mut self, news: &News, now: Now) {
        self.learn_names(news);
        match news {
            News::LoggedIn { name, .. } => self.prompt = format!("{name}> "),
            News::Answer { verb: "download", result: Ok(name) } => drop(self.coming.insert(name.clone())),
            News::File { status } => drop(self.coming.remove(&status.name)),
            _ => {}
        }
        self.above += &self.style.lines(news, now);
    }

    fn help(&mut self) {
        for command in COMMANDS {
            let usage = format!("{} {}", command.name, command.usage);
            self.above += &format!("  {usage:<24} {}\n", command.about);
        }
    }

    /// Something was asked for that has not come.
    pub(super) fn is_downloading(&self) -> bool {
        !self.coming.is_empty()
    }

    /// How files come, in the line above. Returns whether there is something to be seen.
    pub(super) fn look(&mut self, peers: &Peers, now: Now) -> bool {
        let mut files = peers.files();
        files.retain(|file| file.state == FileState::Checking || self.coming.contains(&file.name));
        self.status = files.first().map(|file| {
            let more = if files.len() > 1 { format!("{} files: ", files.len()) } else { String::new() };
            let line = match self.coming.contains(&file.name) {
                true => self.pace.get_line(file, file.bytes_sent, now.mono),
                false => self.pace.share_line(std::slice::from_ref(file), 0, 0, now.mono),
            };
            more + &line
        });
        self.status.is_some()
    }

    /// Paints what has changed.
    pub(super) fn paint(&mut self, out: &mut Out) {
        if !terminal::take_line() {
            self.painter.forget();
        }
        let above = std::mem::take(&mut self.above);
        let view = View {
            status: self.status.as_deref(),
            prompt: &self.prompt,
            text: self.editor.text(),
            at: self.editor.at(),
            columns: columns(),
        };
        out.show(&self.painter.paint(&above, &view));
        terminal::note_line();
    }

    /// When a key that has begun is to be given up.
    pub(super) fn poll_timeout(&self) -> Option<Mono> {
        self.keys_at
    }

    pub(super) fn handle_timeout(&mut self, now: Now) {
        if self.keys_at.is_some_and(|at| at <= now.mono) {
            self.keys_at = None;
            self.keys.give_up();
        }
    }

    /// Leaves the terminal as it was, with what was said last.
    pub(super) fn end(&mut self, out: &mut Out) {
        terminal::take_line();
        out.show(&self.painter.wipe(columns()));
        out.show(&std::mem::take(&mut self.above));
    }

    fn learn_names(&mut self, news: &News) {
        let name = match news {
            News::Online { name: from }
            | News::Message { from, .. }
            | News::Broadcast { from, .. }
            | News::Private { from, .. }
            | News::PrivateOpen { with: from } => from.as_str(),
            News::Item { line } => match line.split(' ').collect::<Vec<_>>()[..] {
                ["USER", name] | ["HOLDER", name, ..] => name,
                _ => return,
            },
            _ => return,
        };
        learn(&mut self.names.users, name);
    }

    fn learn_files(&mut self, line: &str) {
        let mut words = line.split(' ');
        if let (Some("searchFile" | "searchChunk" | "download" | "register"), Some(file)) =
            (words.next(), words.next())
        {
            learn(&mut self.names.shared, file);
        }
    }
}

/// However it ends. A terminal that takes nothing must not keep us here.
impl Drop for Screen {
    fn drop(&mut self) {
        let mut out = Out::new();
        out.show(PASTES_OFF);
        out.flush();
    }
}

fn learn(names: &mut BTreeSet<String>, name: &str) {
    if names.len() < KNOWN_NAMES_MAX && !name.is_empty() {
        names.insert(name.to_owned());
    }
}

/// The files of our folder.
fn list(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let files = entries
        .take(KNOWN_NAMES_MAX)
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    files.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
