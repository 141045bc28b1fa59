//! The environment: `TICKMESH_LISTEN` is `--listen`, and so on. Reads no other variables.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::app::cli::config::flags::{CONFIG, Flags, is_list, is_switch, variable};
use crate::app::cli::config::{Found, Mistake, Origin, Setting};

const PREFIX: &str = "TICKMESH_";

/// What the environment says. Empty variables say nothing. One that is no flag is told and not refused: who starts containers sets
/// variables of that form by itself (`TICKMESH_PORT`, for a service of that name).
pub(super) fn read(flags: &Flags, variables: impl Iterator<Item = (OsString, OsString)>) -> Found {
    let mut found = Found::default();
    let ours = variables.filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        (name.starts_with(PREFIX) && !value.is_empty()).then_some((name, value))
    });
    let mut ours: Vec<(String, OsString)> = ours.collect();
    ours.sort();
    for (name, value) in ours {
        let origin = Origin::Variable(name.clone());
        let Ok(value) = value.into_string() else {
            found.mistakes.push(Mistake { origin, text: "it is no UTF-8 text".to_owned() });
            continue;
        };
        if name == variable(CONFIG) {
            found.settings.push(Setting { flag: CONFIG, value, is_switch: false, origin });
            continue;
        }
        let Some(flag) = flags.iter().find(|flag| variable(flag.long) == name) else {
            let near = flags.nearest(&name[PREFIX.len()..]);
            let near = near.map(|key| format!("; is {} meant?", variable(&key))).unwrap_or_default();
            found.notes.push(format!("{name} in the environment is no flag{near}"));
            continue;
        };
        let is_switch = is_switch(flag);
        let values: Vec<String> = match value.to_lowercase().as_str() {
            "1" | "yes" | "true" if is_switch => vec!["true".to_owned()],
            "0" | "no" | "false" if is_switch => vec!["false".to_owned()],
            _ if is_switch => {
                found.mistakes.push(Mistake { origin, text: "yes or no is expected".to_owned() });
                continue;
            }
            _ if is_list(flag) => {
                value.split([',', ' ']).filter(|part| !part.is_empty()).map(ToOwned::to_owned).collect()
            }
            _ => vec![value],
        };
        let setting = |value| Setting { flag: flag.long, value, is_switch, origin: origin.clone() };
        found.settings.extend(values.into_iter().map(setting));
    }
    found
}

/// The file that the environment names.
pub(super) fn config(settings: &[Setting]) -> Option<PathBuf> {
    settings.iter().find(|setting| setting.flag == CONFIG).map(|setting| PathBuf::from(&setting.value))
}
