//! Files that a user names to be sent: looked at before anything begins, for better reasons than the loop could give. It
//! looks again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::app::terminal;

/// A file that cannot be sent, and why.
pub(super) type Refused = (PathBuf, String);

/// The path from the root of the file system, as machines take it, and the size of what lies there, if that is a plain file that
/// can be read. Its folder may be reached over symbolic links; the file itself may not be one.
pub(super) fn look_at(full: &Path) -> Result<(String, u64)> {
    let found = fs::symlink_metadata(full)?;
    let kind = found.file_type();
    ensure!(!kind.is_symlink(), "it is a symbolic link; name the file that it leads to");
    ensure!(!kind.is_dir(), "it is a folder; name the files in it");
    ensure!(kind.is_file(), "it is no plain file");
    File::open(full)?;
    let path = full.strip_prefix("/").unwrap_or(full).to_str().context("its path is no UTF-8 text")?;
    Ok((path.to_owned(), found.len()))
}

/// Says what is not sent.
pub(super) fn tell_refused((path, why): &Refused, json: bool) {
    terminal::complain(why);
    if json {
        let line = json!({ "event": "refused", "file": path.to_string_lossy(), "why": why });
        let _ = terminal::print(&format!("{line}\n"));
    }
}
