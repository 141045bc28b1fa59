//! The configuration of `server`: what was typed, then the environment (`TICKMESH_*`), then a file (`--config`), then the defaults. All of it
//! becomes arguments and goes through one parser, so a value is right in all places or in none. Starts nothing.

mod environment;
mod file;
mod flags;
mod outside;
mod print;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use argh::FromArgs;

use crate::app::cli::Parsed;
use crate::app::cli::config::flags::Flags;
use crate::app::cli::server::{ServerOptions, TypedServer, check_server};
use crate::proto::limits::CONFIG_MISTAKES_MAX;

/// One value of one flag, as it would be typed. `true` or `false` if the flag is a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    flag: &'static str,
    value: String,
    is_switch: bool,
    origin: Origin,
}

/// Where a setting is from; what is said last wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    File { path: PathBuf, line: usize },
    Variable(String),
    Typed,
}

/// Something wrong, and where. In this order they are told.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mistake {
    origin: Origin,
    text: String,
}

/// What was found outside of the command line.
#[derive(Default)]
struct Found {
    settings: Vec<Setting>,
    mistakes: Vec<Mistake>,
    /// What an operator should look at, and what a server can start with.
    notes: Vec<String>,
}

/// What a server is to do. `words`: what was typed after `server`, and has become `typed`.
pub(super) fn settle(
    typed: TypedServer,
    words: &[&str],
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<ServerOptions, Parsed> {
    let flags = Flags::of_server();
    let mut found = environment::read(&flags, variables);
    let named = environment::config(&found.settings);
    if let Some(path) = typed.config.as_ref().or(named.as_ref()) {
        let file = file::read(&flags, path);
        found.settings.extend(file.settings);
        found.mistakes.extend(file.mistakes);
    }
    let (check, print) = (typed.check_config, typed.print_config);
    if check && print {
        let text = "tickmesh: --check-config and --print-config say different things; give one of them";
        return Err(Parsed::Wrong(text.to_owned()));
    }
    let path = typed.config.clone().or(named);
    if found.settings.is_empty() && found.mistakes.is_empty() && !check && !print {
        // As it was typed, and so are the errors.
        let checked = check_server(typed).map_err(|wrong| Parsed::Wrong(format!("tickmesh: {wrong}")))?;
        return Ok(ServerOptions { notes: found.notes, ..checked });
    }
    found.settings.extend(flags.typed(words));
    let mut mistakes = all_mistakes(&found.settings, found.mistakes);
    let effective = winners(&found.settings, None);
    if mistakes.is_empty() && check {
        mistakes = outside_mistakes(&effective);
    }
    if !mistakes.is_empty() {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).chain(found.notes).collect();
        return Err(Parsed::Wrong(lines.join("\n")));
    }
    if check {
        return Err(Parsed::Show(praise(path.as_deref(), &found.notes)));
    }
    if print {
        return Err(Parsed::Show(print::config(&flags, &effective)));
    }
    match attempt(&effective) {
        Ok(options) => Ok(ServerOptions { notes: found.notes, ..options }),
        Err(wrong) => Err(Parsed::Wrong(format!("tickmesh: {wrong}"))),
    }
}

/// What a file with that text, and nothing else, comes to: as `--print-config` shows it, or a line for each mistake. Reads
/// neither files nor the environment, and passes over names of hosts: others would be asked for their addresses.
pub(in crate::app) fn understand(text: &str) -> Result<String, Vec<String>> {
    let flags = Flags::of_server();
    let mut found = file::understand(&flags, Path::new("tickmesh.toml"), text);
    found.settings.retain(|setting| !setting.names_a_host());
    let mistakes = all_mistakes(&found.settings, found.mistakes);
    if mistakes.is_empty() {
        Ok(print::config(&flags, &winners(&found.settings, None)))
    } else {
        Err(mistakes.iter().map(ToString::to_string).collect())
    }
}

fn praise(path: Option<&Path>, notes: &[String]) -> String {
    let notes: String = notes.iter().map(|note| format!("warning: {note}\n")).collect();
    match path {
        Some(path) => format!("{notes}{}: all right\n", path.display()),
        None => format!("{notes}no file is named (--config FILE); all else is right\n"),
    }
}

/// Those that count: of each flag, what the last place says. `front` wins over all others, to see whether what it says is
/// right even where something else overrules it.
fn winners(settings: &[Setting], front: Option<Layer>) -> Vec<Setting> {
    let rank = |setting: &Setting| (Some(setting.layer()) == front, setting.layer());
    let best = |flag: &str| settings.iter().filter(|other| other.flag == flag).map(rank).max();
    settings.iter().filter(|setting| Some(rank(setting)) == best(setting.flag)).cloned().collect()
}

/// Every mistake in every place, in order: each place is tried as if it overruled the others, and then all as they are.
fn all_mistakes(settings: &[Setting], mut mistakes: Vec<Mistake>) -> Vec<Mistake> {
    for front in [Some(Layer::File), Some(Layer::Variable), None] {
        let mut set = winners(settings, front);
        let mut removed: Vec<&str> = Vec::new();
        while mistakes.len() < CONFIG_MISTAKES_MAX
            && let Err(wrong) = attempt(&set)
        {
            let Some(place) = culprit(&set, &wrong) else {
                mistakes.push(Mistake { origin: Origin::Typed, text: wrong });
                break;
            };
            let setting = set.remove(place);
            // What is wrong only because something else was taken away is not wrong.
            let follows = removed.iter().any(|flag| *flag != setting.flag && names(&wrong, flag));
            if !follows && front.is_none_or(|front| setting.layer() == front) {
                let text = setting.blame(&wrong);
                mistakes.push(Mistake { origin: setting.origin, text });
            }
            removed.push(setting.flag);
        }
    }
    mistakes.sort();
    mistakes.dedup();
    mistakes
}

/// What is right by itself, and wrong on this host.
fn outside_mistakes(effective: &[Setting]) -> Vec<Mistake> {
    let found = attempt(effective).map(|options| outside::mistakes(&options)).unwrap_or_default();
    let told = found.into_iter().map(|text| match culprit(effective, &text) {
        Some(place) => {
            let setting = &effective[place];
            Mistake { origin: setting.origin.clone(), text: setting.blame(&text) }
        }
        // A default: nobody has said it.
        None => Mistake { origin: Origin::Typed, text },
    });
    let mut mistakes: Vec<Mistake> = told.collect();
    mistakes.sort();
    mistakes
}

/// Whether a message names a flag.
fn names(message: &str, flag: &str) -> bool {
    flags::named_in(message).any(|named| named == flag)
}

/// Whose fault it is: messages begin with the flag.
fn culprit(set: &[Setting], message: &str) -> Option<usize> {
    let flag = flags::named_in(message).next()?;
    let of_flag = |setting: &Setting| setting.flag == flag;
    let of_value = |setting: &Setting| of_flag(setting) && message.contains(&setting.value);
    set.iter().position(of_value).or_else(|| set.iter().position(of_flag))
}

/// Reads settings as if they were typed.
fn attempt(settings: &[Setting]) -> Result<ServerOptions, String> {
    let mut words = Vec::new();
    for setting in settings {
        match (setting.is_switch, setting.value.as_str()) {
            (true, "true") => words.push(setting.flag),
            (true, _) => {}
            (false, value) => words.extend([setting.flag, value]),
        }
    }
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let typed =
        TypedServer::from_args(&["tickmesh", "server"], &words).map_err(|early| one_line(&early.output))?;
    check_server(typed)
}

/// The places, those that are overruled first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    File,
    Variable,
    Typed,
}

impl Setting {
    fn layer(&self) -> Layer {
        match self.origin {
            Origin::File { .. } => Layer::File,
            Origin::Variable(_) => Layer::Variable,
            Origin::Typed => Layer::Typed,
        }
    }

    /// Whether it is an address that has to be asked for.
    fn names_a_host(&self) -> bool {
        let is_address = matches!(self.flag, "--listen" | "--upload-listen");
        let has_port = || self.value.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        is_address && self.value.parse::<SocketAddr>().is_err() && has_port()
    }

    /// A message of the parser, as it reads best where this setting is.
    fn blame(&self, message: &str) -> String {
        let parsing = format!("Error parsing option '{}' with value '{}': ", self.flag, self.value);
        let reason = message.strip_prefix(&parsing).or_else(|| message.strip_prefix(self.flag));
        let reason = reason.unwrap_or(message).trim_start_matches([' ', ':']);
        match self.origin {
            Origin::File { .. } => format!("{}: {reason}", flags::key(self.flag)),
            Origin::Variable(_) => reason.to_owned(),
            Origin::Typed => message.to_owned(),
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Variable(name) => f.write_str(name),
            Origin::Typed => f.write_str("tickmesh"),
        }
    }
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.origin, self.text)
    }
}

#[cfg(test)]
mod tests;
