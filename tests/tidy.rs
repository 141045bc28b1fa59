//! The architecture, as a test: imports point down, files stay short, and only
//! `io` touches the operating system. Run with `cargo test --test tidy`.

use std::fs;
use std::path::{Path, PathBuf};

/// Lowest floor first. Code may name only modules on lower floors, or its own.
const FLOORS: &[&[&str]] = &[
    &["proto::limits"],
    &["proto::time", "proto::ids", "proto::text"],
    &["proto::wheel", "proto::cadence", "proto::gcra", "proto::wire", "proto::record", "proto::clock"],
    &["proto::machine"],
    &["proto::exchange", "proto::swarm", "proto::accounts", "proto::chat", "proto::upload"],
    &["proto::server", "proto::peer"],
    &["io", "sim"],
    &["app"],
];
/// Down, but still not allowed: drivers move bytes and never learn what they mean.
const FORBIDDEN: &[(&str, &str)] = &[
    ("io", "proto::wire"),
    ("sim", "proto::wire"),
    ("io", "proto::record"),
    ("sim", "proto::record"),
    ("io", "proto::server"),
    ("sim", "proto::server"),
    ("io", "proto::peer"),
    ("sim", "proto::peer"),
];
/// Words that mean "the operating system"; allowed in `io` and `app` only.
const IMPURE: &[&str] = &[
    "mio::",
    "std::fs",
    "std::process",
    "TcpStream",
    "TcpListener",
    "Instant::now",
    "SystemTime",
    "Utc::now",
];
/// Forms that would hide an import from this test.
const HIDDEN: &[&str] = &["use crate::{", "super::super"];
const LINES_MAX: usize = 400;

#[test]
fn the_tree_is_tidy() {
    let mut errors = Vec::new();
    for path in rust_files(Path::new("src")) {
        let text = fs::read_to_string(&path).unwrap();
        let module = module_path(&path);
        let here = unit(&module);
        let line_count = text.lines().count();
        if line_count > LINES_MAX {
            errors.push(format!("{}: {line_count} lines, limit {LINES_MAX}", path.display()));
        }
        for (index, line) in text.lines().enumerate() {
            let mut fail = |what: String| {
                errors.push(format!("{}:{}: {what}", path.display(), index + 1));
            };
            for word in HIDDEN.iter().filter(|word| line.contains(**word)) {
                fail(format!("`{word}` hides an import; write one full path per `use`"));
            }
            let pure = module.starts_with("proto") || module.starts_with("sim");
            for word in IMPURE.iter().filter(|word| pure && line.contains(**word)) {
                fail(format!("`{word}` in pure code"));
            }
            for named in line.split("crate::").skip(1) {
                let (Some(here), Some(there)) = (here, unit(named)) else {
                    continue;
                };
                let beside = there.0 == here.0 && there.1 != here.1;
                if there.0 > here.0 || beside || FORBIDDEN.contains(&(here.1, there.1)) {
                    fail(format!("`{}` may not name `{}`", here.1, there.1));
                }
            }
        }
    }
    assert!(errors.is_empty(), "\n{}", errors.join("\n"));
}

/// The floor and name of the unit that `path` (`a::b::c`) starts with.
fn unit(path: &str) -> Option<(usize, &'static str)> {
    FLOORS.iter().enumerate().find_map(|(floor, units)| {
        let name = units.iter().find(|name| {
            path.strip_prefix(**name)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        })?;
        Some((floor, *name))
    })
}

fn module_path(path: &Path) -> String {
    let inside: Vec<_> = path.iter().skip(1).map(|part| part.to_string_lossy()).collect();
    inside.join("::").trim_end_matches(".rs").trim_end_matches("::mod").to_owned()
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}
