//! How many files and sockets this process may have open at once. Opens none.

use log::{debug, info};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors that this process may have open.
pub fn descriptors_max() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft)
}

/// As many as the system lets it have.
pub(super) fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map(|()| hard));
    match raised {
        Ok(hard) => debug!("descriptors max={hard}"),
        Err(error) => info!("descriptors error=\"{error}\""),
    }
}
