//! The scripts, as shells read them.

use std::process::Command as Process;

use argh::ArgsInfo as _;

use super::*;
use crate::app::cli::Typed;

fn script(shell: &str) -> String {
    of(&TypedCompletions { shell: shell.to_owned() }, &Typed::get_args_info()).unwrap()
}

/// What bash offers for a line, its last word being the one that is completed.
fn offered(line: &[&str]) -> Vec<String> {
    let words: Vec<String> = line.iter().map(|word| format!("'{word}'")).collect();
    let test = format!(
        "compopt() {{ :; }}\n{}\nCOMP_WORDS=({}); COMP_CWORD={}; _tickmesh; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script("bash"),
        words.join(" "),
        line.len() - 1
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a file.bin"), b"").unwrap();
    std::fs::create_dir(folder.path().join("a folder")).unwrap();
    let output = Process::new("bash")
        .args(["--norc", "-uc", &test])
        .current_dir(folder.path())
        .output()
        .expect("this needs bash");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(ToOwned::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_words_and_files() {
    assert!(offered(&["tickmesh", ""]).contains(&"server".to_owned()));
    assert_eq!(offered(&["tickmesh", "ser"]), ["server"]);
    assert_eq!(offered(&["tickmesh", "user", "a"]), ["add"]);
    assert_eq!(offered(&["tickmesh", "--v"]), ["--version"]);
    assert_eq!(offered(&["tickmesh", "server", "--log-f"]), ["--log-file"]);
    assert_eq!(offered(&["tickmesh", "server", "--upload-r"]), ["--upload-register"]);
    assert_eq!(offered(&["tickmesh", "server", "--log-level", "d"]), ["debug"]);
    assert_eq!(offered(&["tickmesh", "server", "--log-level", "=", "d"]), ["debug"]);
    assert_eq!(offered(&["tickmesh", "server", "--guests", "=", ""]).len(), 3, "of which = is the last word");
    assert_eq!(offered(&["tickmesh", "server", "--guests", "="]).len(), 3);
    assert_eq!(offered(&["tickmesh", "server", "--out", "a"]), ["a folder"]);
    assert_eq!(offered(&["tickmesh", "server", "--config", "a f"]).len(), 2);
    assert_eq!(offered(&["tickmesh", "share", "a fi"]), ["a file.bin"]);
    assert_eq!(offered(&["tickmesh", "completions", ""]), ["bash", "zsh", "fish"]);
    assert_eq!(offered(&["tickmesh", "user", "add", "--pass"]), ["--password-file"]);
    // A file that is called like a command is none.
    assert_eq!(offered(&["tickmesh", "share", "server", "--upload-l"]), ["--upload-limit"]);
    assert!(offered(&["tickmesh", "server", "--listen", ""]).is_empty(), "an address is nobody's guess");
}

#[test]
fn every_command_is_in_every_script() {
    let info = Typed::get_args_info();
    for shell in ["bash", "zsh", "fish"] {
        let script = script(shell);
        for command in Command::all(&info) {
            assert!(script.contains(command.path.rsplit(' ').next().unwrap()), "{shell} {}", command.path);
            for flag in command.flags {
                assert!(script.contains(&flag.long[2..]), "{shell} {} {}", command.path, flag.long);
            }
        }
        assert!(!script.contains("{{") && !script.contains("}}"), "{shell}");
    }
}
