//! Completions for fish.

use std::fmt::Write as _;

use crate::app::cli::completions::{Command, Values};

pub(super) fn script(commands: &[Command<'_>]) -> String {
    let mut paths = String::new();
    let mut lines = String::new();
    for command in commands {
        let when = format!("complete -c tickmesh -n \"__tickmesh_is '{}'\"", command.path);
        for (sub, about) in &command.commands {
            let path = format!("{} {sub}", command.path);
            let _ = writeln!(
                paths,
                "            case '{path}'\n                set command '{}'",
                path.trim_start()
            );
            let _ = writeln!(lines, "{when} -a {sub} -d '{}'", plain(about));
        }
        for flag in &command.flags {
            let values = flag.values.map(|kind| format!(" -r {}", action(kind))).unwrap_or_default();
            let _ = writeln!(lines, "{when} -l {}{values} -d '{}'", &flag.long[2..], plain(flag.description));
        }
        if let Some((_, kind)) = command.positionals.first()
            && *kind != Values::Anything
        {
            let _ = writeln!(lines, "{when} {}", action(*kind));
        }
    }
    format!(
        "\
# What fish completes after tickmesh; made by: tickmesh completions fish
function __tickmesh_is
    set -l command ''
    for word in (commandline -opc)[2..-1]
        switch \"$command $word\"
{paths}        end
    end
    test \"$command\" = \"$argv[1]\"
end
complete -c tickmesh -f
{lines}"
    )
}

fn action(kind: Values) -> String {
    match kind {
        Values::Words(words) => format!("-f -a '{words}'"),
        Values::Files => "-F".to_owned(),
        Values::Folders => "-f -a '(__fish_complete_directories)'".to_owned(),
        Values::Anything => "-f".to_owned(),
    }
}

/// Within single quotes.
fn plain(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
