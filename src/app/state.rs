//! Where a server keeps what outlives it. Only says where; makes nothing.

use std::ffi::OsString;
use std::path::PathBuf;

/// The folder that is meant when none is named: `$XDG_STATE_HOME/tickmesh`, else
/// `~/.local/state/tickmesh`. `None` if the environment says neither; relative paths in it do not count (XDG
/// Base Directory Specification).
pub(super) fn default_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    Some(state.join("tickmesh"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_says_where() {
        for (xdg, home, expected) in [
            (Some("/x"), Some("/home/a"), Some("/x/tickmesh")),
            (None, Some("/home/a"), Some("/home/a/.local/state/tickmesh")),
            (Some(""), Some("/home/a"), Some("/home/a/.local/state/tickmesh")),
            (Some("x"), Some("/home/a"), Some("/home/a/.local/state/tickmesh")),
            (None, Some(""), None),
            (None, None, None),
        ] {
            let variable = |name: &str| if name == "HOME" { home } else { xdg }.map(OsString::from);
            assert_eq!(default_folder(variable), expected.map(PathBuf::from), "{xdg:?} {home:?}");
        }
    }
}
