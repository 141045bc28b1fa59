//! The command line of `unit`, checked. Opens nothing.

use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};

#[derive(Debug)]
pub(in crate::app) struct UnitOptions {
    pub(in crate::app) part: UnitPart,
    pub(in crate::app) config: Option<PathBuf>,
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum UnitPart {
    Service,
    Socket,
    UploadSocket,
}

/// Prints what systemd needs to run a server: `tickmesh unit > /etc/systemd/system/tickmesh.service`, and if systemd is
/// to hold the ports, `tickmesh unit socket > /etc/systemd/system/tickmesh.socket`.
#[derive(ArgsInfo, FromArgs)]
#[argh(subcommand, name = "unit")]
pub(super) struct TypedUnit {
    /// service, socket, or upload-socket (default service)
    #[argh(positional)]
    part: Option<String>,
    /// configuration file that the service reads, from the root on (default: none)
    #[argh(option)]
    config: Option<PathBuf>,
}

pub(super) fn check_unit(typed: TypedUnit) -> Result<UnitOptions, String> {
    let part = match typed.part.as_deref() {
        None | Some("service") => UnitPart::Service,
        Some("socket") => UnitPart::Socket,
        Some("upload-socket") => UnitPart::UploadSocket,
        Some(other) => {
            return Err(format!("{other:?} is no unit: there are service, socket and upload-socket"));
        }
    };
    if let Some(config) = &typed.config {
        let text = config.to_string_lossy();
        if part != UnitPart::Service {
            return Err("--config is of no use for a socket".to_owned());
        }
        if !config.is_absolute()
            || text.contains(|letter: char| letter.is_whitespace() || "%$\\\"'".contains(letter))
        {
            return Err(format!(
                "--config {text}: a path from the root on is expected, without spaces and any of % $ \\ \" '"
            ));
        }
    }
    Ok(UnitOptions { part, config: typed.config })
}
