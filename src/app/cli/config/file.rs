//! The configuration file: TOML, one key a flag. Reads it, and says of every key that is none what is wrong with it; whether a
//! value is right is for the flag's own check.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::app::cli::config::flags::{Flags, is_list, is_switch};
use crate::app::cli::config::{Found, Mistake, Origin, Setting};
use crate::proto::limits::{CONFIG_BYTES_MAX, CONFIG_MISTAKES_MAX};

pub(super) fn read(flags: &Flags, path: &Path) -> Found {
    match text(path) {
        Ok(text) => understand(flags, path, &text),
        Err(why) => Found {
            mistakes: vec![Mistake {
                origin: Origin::Typed,
                text: format!("--config {}: {why}", path.display()),
            }],
            ..Found::default()
        },
    }
}

fn text(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > CONFIG_BYTES_MAX {
        return Err(format!("it is longer than {CONFIG_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is no UTF-8 text".to_owned())
}

/// The text of a file, wherever it is from.
pub(super) fn understand(flags: &Flags, path: &Path, text: &str) -> Found {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { flags, path, text, found: Found::default(), broken: Vec::new() };
    for error in errors.iter().take(CONFIG_MISTAKES_MAX) {
        reader.syntax(error);
    }
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        reader.entry(key.get_ref(), key.span().start, value);
    }
    reader.found
}

struct Reader<'a> {
    flags: &'a Flags,
    path: &'a Path,
    text: &'a str,
    found: Found,
    /// Lines that are no TOML: one word about each is enough.
    broken: Vec<usize>,
}

impl Reader<'_> {
    fn origin(&self, at: usize) -> Origin {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Origin::File { path: self.path.to_owned(), line }
    }

    fn wrong(&mut self, at: usize, text: String) {
        if self.found.mistakes.len() >= CONFIG_MISTAKES_MAX {
            return;
        }
        self.found.mistakes.push(Mistake { origin: self.origin(at), text });
    }

    /// Something that is no TOML.
    fn syntax(&mut self, error: &toml::de::Error) {
        let span = error.span().unwrap_or_default();
        let Origin::File { line, .. } = self.origin(span.start) else { return };
        if self.broken.contains(&line) {
            return;
        }
        self.broken.push(line);
        let place = self.text.lines().nth(line - 1).unwrap_or_default();
        let key: String = place.split('=').next().unwrap_or_default().trim().chars().take(64).collect();
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        self.wrong(span.start, if key.is_empty() { message } else { format!("{key:?}: {message}") });
    }

    fn entry(&mut self, key: &str, at: usize, value: &Spanned<DeValue<'_>>) {
        if let Origin::File { line, .. } = self.origin(at)
            && self.broken.contains(&line)
        {
            return;
        }
        if let DeValue::Table(_) = value.get_ref() {
            return self.wrong(at, format!("[{}]: there are no tables, only keys", key.escape_debug()));
        }
        let Some(flag) = self.flags.of_key(key) else {
            return self.wrong(at, format!("{}: {}", key.escape_debug(), self.flags.unknown(key)));
        };
        let values = match value.get_ref() {
            DeValue::Array(values) if is_list(flag) && values.is_empty() => {
                return self.wrong(at, format!("{key}: an empty list means nothing; leave the key out"));
            }
            DeValue::Array(values) if is_list(flag) => values.iter().collect(),
            DeValue::Array(_) => return self.wrong(at, format!("{key}: one value is expected, not a list")),
            _ => vec![value],
        };
        for value in values {
            // In a list each has a line of its own.
            let at = if is_list(flag) { value.span().start } else { at };
            let is_switch = is_switch(flag);
            match typed(value.get_ref(), is_switch) {
                Ok(value) => {
                    let origin = self.origin(at);
                    self.found.settings.push(Setting { flag: flag.long, value, is_switch, origin });
                }
                Err(why) => self.wrong(at, format!("{key}: {why}")),
            }
        }
    }
}

/// A value as it would be typed.
fn typed(value: &DeValue<'_>, is_switch: bool) -> Result<String, String> {
    let kind = value.type_str();
    match value {
        DeValue::Boolean(value) if is_switch => Ok(value.to_string()),
        _ if is_switch => Err(format!("true or false is expected, not {}", article(kind))),
        DeValue::String(text) => Ok(text.to_string()),
        // As the parser takes it: without underscores, and in decimal digits.
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| "the number is too large".to_owned()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        _ => Err(format!("text or a number is expected, not {}", article(kind))),
    }
}

fn article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {kind}")
}
