//! What `--check-config` can know of this host without changing anything: what stands in the way of a start already. Whether a
//! folder can be written to, or an address is free, only the start finds out.

use std::path::Path;

use nix::unistd::User;

use crate::app::cli::server::ServerOptions;

/// What would be refused at the start; each begins with the flag.
pub(super) fn mistakes(options: &ServerOptions) -> Vec<String> {
    let mut found = Vec::new();
    let process = &options.process;
    if let Some(name) = &process.user
        && matches!(User::from_name(name), Ok(None))
    {
        found.push(format!("--user {name}: there is no such user on this host"));
    }
    for (flag, file) in [("--log-file", &options.log.file), ("--pid-file", &process.pid_file)] {
        let Some(path) = file.as_deref() else { continue };
        if path.is_dir() {
            found.push(format!("{flag} {}: it is a folder", path.display()));
        }
        // Nobody makes it.
        if path.parent().is_some_and(|folder| folder != Path::new("") && !folder.is_dir()) {
            found.push(format!("{flag} {}: its folder is not there", path.display()));
        }
    }
    let uploads = options.uploads.as_ref();
    let folders = [
        ("--out", Some(&options.out)),
        ("--state", options.state.as_ref()),
        ("--upload-dir", uploads.map(|uploads| &uploads.dir)),
    ];
    let is_no_folder = |path: &Path| path.exists() && !path.is_dir();
    for (flag, path) in folders.into_iter().filter_map(|(flag, path)| Some((flag, path?))) {
        if is_no_folder(path) {
            found.push(format!("{flag} {}: it is no folder", path.display()));
        }
    }
    if let Some(addr) = uploads.map(|uploads| uploads.listen).filter(|addr| addr.port() != 0)
        && options.listen.contains(&addr)
    {
        found.push(format!("--upload-listen {addr}: that is an address of --listen"));
    }
    found
}
