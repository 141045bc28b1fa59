//! What a server's process is to be, as an operator sets it, checked. Changes nothing.

use std::path::PathBuf;
use std::time::Duration;

use crate::proto::limits::DURATION_MAX;
use crate::proto::time::Period;

/// How the process of a server starts and ends.
#[derive(Debug)]
pub(in crate::app) struct ProcessOptions {
    pub(in crate::app) daemon: bool,
    pub(in crate::app) pid_file: Option<PathBuf>,
    /// The user to become.
    pub(in crate::app) user: Option<String>,
    /// How long an orderly end may take.
    pub(in crate::app) grace: Duration,
}

/// `logs_into_file`: what is logged does not go to the terminal.
pub(super) fn check_process(
    daemon: bool,
    pid_file: Option<PathBuf>,
    user: Option<String>,
    grace: Period,
    logs_into_file: bool,
) -> Result<ProcessOptions, String> {
    if daemon && !logs_into_file {
        return Err("--daemon needs --log-file: without a terminal and a log nobody would hear of anything"
            .to_owned());
    }
    if grace.0 > DURATION_MAX {
        return Err(format!("--grace is at most {}, not {grace}", Period(DURATION_MAX)));
    }
    Ok(ProcessOptions { daemon, pid_file, user, grace: grace.0 })
}
