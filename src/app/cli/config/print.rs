//! What is in force, as a file that can be read back.

use std::fmt::Write as _;

use argh::FlagInfo;

use crate::app::cli::config::flags::{Flags, default_of, is_list, is_switch, key, variable};
use crate::app::cli::config::{Origin, Setting, attempt};

/// Every key, with where its value is from. Defaults that are of no use beside the rest are comments.
pub(super) fn config(flags: &Flags, effective: &[Setting]) -> String {
    let mut text = String::from("# tickmesh server; each value with where it is from\n");
    let mut all = effective.to_vec();
    for flag in flags.iter() {
        let set: Vec<&Setting> = effective.iter().filter(|setting| setting.flag == flag.long).collect();
        let line = if let Some(first) = set.first() {
            let values: Vec<String> = set.iter().map(|setting| value_of(flag, &setting.value)).collect();
            format!("{} = {}  # {}", key(flag.long), joined(flag, &values), origin(first))
        } else if let Some(value) = default_value(flag) {
            let line = format!("{} = {}  # default", key(flag.long), joined(flag, &[value_of(flag, &value)]));
            let (flag, is_switch) = (flag.long, is_switch(flag));
            all.push(Setting { flag, value, is_switch, origin: Origin::Typed });
            match attempt(&all) {
                Ok(_) => line,
                Err(_) => {
                    all.pop();
                    format!("# {line}")
                }
            }
        } else {
            format!("# {} is not set", key(flag.long))
        };
        let _ = writeln!(text, "{line}");
    }
    text
}

fn default_value(flag: &FlagInfo<'_>) -> Option<String> {
    if is_switch(flag) { Some("false".to_owned()) } else { default_of(flag) }
}

fn origin(setting: &Setting) -> String {
    match &setting.origin {
        Origin::Typed => "typed".to_owned(),
        Origin::Variable(_) => variable(setting.flag),
        Origin::File { .. } => setting.origin.to_string().escape_debug().to_string(),
    }
}

fn joined(flag: &FlagInfo<'_>, values: &[String]) -> String {
    if is_list(flag) { format!("[{}]", values.join(", ")) } else { values.join(" ") }
}

/// Numbers, `true` and `false` are bare, all else is text.
fn value_of(flag: &FlagInfo<'_>, value: &str) -> String {
    let is_number = value.parse::<i64>().is_ok_and(|number| number.to_string() == value);
    if is_switch(flag) || is_number { value.to_owned() } else { quoted(value) }
}

/// A basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}
