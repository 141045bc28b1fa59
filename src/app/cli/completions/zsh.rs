//! Completions for zsh.

use std::fmt::Write as _;

use crate::app::cli::completions::{Command, Values};

pub(super) fn script(commands: &[Command<'_>]) -> String {
    let mut text = String::from(
        "#compdef tickmesh\n# What zsh completes after tickmesh; made by: tickmesh completions zsh\n",
    );
    for command in commands {
        let _ = write!(text, "\n{}() {{\n{}}}\n", function(&command.path), body(command));
    }
    // As a file of `fpath` it is run to complete, and else to say who does.
    text + "\nif [[ $funcstack[1] == _tickmesh ]]; then\n    _tickmesh \"$@\"\nelse\n    compdef _tickmesh tickmesh\nfi\n"
}

fn function(path: &str) -> String {
    format!("_tickmesh {path}").trim_end().replace(' ', "_")
}

fn body(command: &Command<'_>) -> String {
    let mut specs: Vec<String> = Vec::new();
    for flag in &command.flags {
        let about = plain(flag.description);
        specs.push(match flag.values {
            None => format!("'{}[{about}]'", flag.long),
            Some(kind) => format!("'*{}=[{about}]:{}:{}'", flag.long, &flag.long[2..], action(kind)),
        });
    }
    for (place, (about, kind)) in command.positionals.iter().enumerate() {
        let last = place + 1 == command.positionals.len();
        let place = if last { "*".to_owned() } else { (place + 1).to_string() };
        specs.push(format!("'{place}:{}:{}'", plain(about.name), action(*kind)));
    }
    if command.commands.is_empty() {
        return format!("    _arguments \\\n        {}\n", specs.join(" \\\n        "));
    }
    specs.extend(["'1:command:->command'".to_owned(), "'*::argument:->rest'".to_owned()]);
    let names: Vec<String> =
        command.commands.iter().map(|(name, about)| format!("'{name}:{}'", plain(about))).collect();
    let rest: Vec<String> = command
        .commands
        .iter()
        .map(|(name, _)| format!("{name}) {} ;;", function(format!("{} {name}", command.path).trim())))
        .collect();
    format!(
        "\
    local curcontext=$curcontext state line
    local -a commands
    _arguments -C \\
        {}
    case $state in
    command)
        commands=({})
        _describe -t commands command commands
        ;;
    rest)
        case $words[1] in
        {}
        esac
        ;;
    esac
",
        specs.join(" \\\n        "),
        names.join(" "),
        rest.join("\n        ")
    )
}

fn action(kind: Values) -> String {
    match kind {
        Values::Words(words) => format!("({words})"),
        Values::Files => "_files".to_owned(),
        Values::Folders => "_files -/".to_owned(),
        Values::Anything => " ".to_owned(),
    }
}

/// Within quotes, brackets and colons.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for letter in text.chars() {
        match letter {
            '\'' => plain += "'\\''",
            '[' | ']' | ':' | '\\' => plain.extend(['\\', letter]),
            letter => plain.push(letter),
        }
    }
    plain
}
