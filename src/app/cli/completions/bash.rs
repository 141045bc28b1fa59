//! Completions for bash (4 or newer).

use std::fmt::Write as _;

use crate::app::cli::completions::{Command, Values};

pub(super) fn script(commands: &[Command<'_>]) -> String {
    let mut values = String::new();
    let mut places = String::new();
    let mut paths = String::new();
    for command in commands {
        for (sub, _) in &command.commands {
            let path = format!("{} {sub}", command.path);
            let _ = writeln!(paths, "            '{path}') command='{}' ;;", path.trim_start());
        }
        for flag in &command.flags {
            if let Some(kind) = flag.values {
                let _ =
                    writeln!(values, "        '{} {}') {}; return ;;", command.path, flag.long, words(kind));
            }
        }
        let _ = writeln!(places, "        '{}')\n{}            ;;", command.path, place(command));
    }
    format!(
        "\
# What bash completes after tickmesh; made by: tickmesh completions bash
_tickmesh() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} command= i
    # --flag=value comes as three words.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        case \"$command ${{COMP_WORDS[i]}}\" in
{paths}        esac
    done
    COMPREPLY=()
    case \"$command $prev\" in
{values}    esac
    case $command in
{places}    esac
}}
complete -F _tickmesh tickmesh
"
    )
}

/// Where a command's own words are expected.
fn place(command: &Command<'_>) -> String {
    let flags: Vec<&str> = command.flags.iter().map(|flag| flag.long).collect();
    let flags = words_from(&flags.join(" "));
    let names: Vec<&str> = command.commands.iter().map(|(name, _)| *name).collect();
    let others = match command.positionals.first() {
        _ if !names.is_empty() => words_from(&names.join(" ")),
        Some((_, kind)) => words(*kind),
        // Nothing else can follow.
        None => flags.clone(),
    };
    format!(
        "            if [[ $cur == -* ]]; then\n                {flags}\n            else\n                {others}\n            fi\n"
    )
}

fn words(kind: Values) -> String {
    match kind {
        Values::Words(words) => words_from(words),
        Values::Files => "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")".to_owned(),
        Values::Folders => {
            "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\")".to_owned()
        }
        Values::Anything => ":".to_owned(),
    }
}

fn words_from(words: &str) -> String {
    format!("mapfile -t COMPREPLY < <(compgen -W '{words}' -- \"$cur\")")
}
