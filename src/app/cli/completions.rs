//! `tickmesh completions`: what a shell completes, made from the same declarations as `--help`. There is a crate for it
//! (`argh_complete`), but what it makes completes no files and none of the words of a flag, takes any word of the line for a
//! command, and leaves a variable behind in bash.

mod bash;
mod fish;
mod zsh;

use argh::{ArgsInfo, CommandInfoWithArgs, FlagInfo, FlagInfoKind, FromArgs, PositionalInfo};

/// Prints what makes a shell complete the words of tickmesh, for bash, zsh or fish.
/// For this shell alone, in bash: source <(tickmesh completions bash).
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "completions")]
pub(super) struct TypedCompletions {
    /// bash, zsh or fish
    #[argh(positional)]
    shell: String,
}

pub(super) fn of(typed: &TypedCompletions, tickmesh: &CommandInfoWithArgs) -> Result<String, String> {
    let commands = Command::all(tickmesh);
    match typed.shell.as_str() {
        "bash" => Ok(bash::script(&commands)),
        "zsh" => Ok(zsh::script(&commands)),
        "fish" => Ok(fish::script(&commands)),
        other => Err(format!("{other:?} is no shell that is known: there are bash, zsh and fish")),
    }
}

/// A command with what may follow it.
struct Command<'a> {
    /// Empty for tickmesh itself, `server`, `user add`.
    path: String,
    flags: Vec<Flag<'a>>,
    positionals: Vec<(&'a PositionalInfo<'a>, Values)>,
    /// Names and descriptions.
    commands: Vec<(&'a str, &'a str)>,
}

struct Flag<'a> {
    long: &'a str,
    description: &'a str,
    /// `None`: a switch.
    values: Option<Values>,
}

/// What may stand at some place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Values {
    Words(&'static str),
    Files,
    Folders,
    /// A number, an address, a name.
    Anything,
}

impl<'a> Command<'a> {
    /// A command and those below it.
    fn all(tickmesh: &'a CommandInfoWithArgs) -> Vec<Command<'a>> {
        let mut found = vec![Command::of(String::new(), tickmesh)];
        let mut next = 0;
        let mut infos = vec![tickmesh];
        while let Some(info) = infos.get(next).copied() {
            for sub in &info.commands {
                let path = format!("{} {}", found[next].path, sub.name).trim_start().to_owned();
                found.push(Command::of(path, &sub.command));
                infos.push(&sub.command);
            }
            next += 1;
        }
        found
    }

    fn of(path: String, info: &'a CommandInfoWithArgs) -> Command<'a> {
        let positionals = info.positionals.iter().map(|place| (place, Values::of_positional(&path, place)));
        Command {
            flags: info.flags.iter().map(Flag::of).collect(),
            positionals: positionals.collect(),
            commands: info
                .commands
                .iter()
                .map(|sub| (sub.name, first_sentence(sub.command.description)))
                .collect(),
            path,
        }
    }
}

impl<'a> Flag<'a> {
    fn of(info: &'a FlagInfo<'a>) -> Flag<'a> {
        let is_switch = matches!(info.kind, FlagInfoKind::Switch);
        let values = (!is_switch).then(|| Values::of_flag(info));
        Flag { long: info.long, description: info.description, values }
    }
}

impl Values {
    /// Known from the words of the help.
    fn of_flag(flag: &FlagInfo<'_>) -> Values {
        match (flag.long, flag.description) {
            ("--log-level", _) => Values::Words("error warn info debug trace"),
            ("--guests", _) => Values::Words("yes no loopback"),
            (_, text) if text.starts_with("folder") => Values::Folders,
            (long, text) if long.ends_with("-file") || text.contains("this file") => Values::Files,
            _ => Values::Anything,
        }
    }

    fn of_positional(command: &str, place: &PositionalInfo<'_>) -> Values {
        match (command, place.name) {
            ("completions", _) => Values::Words("bash zsh fish"),
            ("unit", _) => Values::Words("service socket upload-socket"),
            ("share" | "upload" | "user import", _) => Values::Files,
            _ => Values::Anything,
        }
    }
}

fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| first).trim_end_matches('.')
}

#[cfg(test)]
mod tests;
