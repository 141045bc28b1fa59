//! The drop box of `tickmesh server`, and who offers what comes in to the mesh: made, announced, and summed up.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result, anyhow, ensure};

use crate::app::announce::Announcer;
use crate::app::claim::{self, Claim};
use crate::app::cli::UploadsOptions;
use crate::app::watched::Watched;
use crate::app::{prepare_folder, random_secret};
use crate::io::descriptors_max;
use crate::proto::limits::{
    DESCRIPTORS_SPARE, FILES_PER_MEMBER_MAX, HOLDER_LINKS_MAX, HOLDER_LINKS_PER_ADDRESS_MAX,
};
use crate::proto::machine::{OPERATOR, Why};
use crate::proto::peer::{GuestConfig, Orders, Peers};
use crate::proto::upload::{DropBox, DropBoxConfig, Failure, Refusal};
use crate::proto::wire::GROUP_DEFAULT;

/// What files of the drop box are offered under.
const HOLDER: &str = "dropbox";

/// A drop box whose folder can be written to and is taken, at an address that is bound. `others`: folders that are for something
/// else, and what for.
pub(super) fn open(
    options: &UploadsOptions,
    listen: SocketAddr,
    others: &[(&Path, &str)],
    announcer: Rc<Announcer>,
) -> Result<(Watched<DropBox>, Option<Claim>)> {
    prepare_folder(&options.dir, "--upload-dir")?;
    let real = |folder: &Path| folder.canonicalize();
    let dir = real(&options.dir).with_context(|| format!("cannot use {}", options.dir.display()))?;
    for (other, purpose) in others {
        let other = real(other).with_context(|| format!("cannot use {}", other.display()))?;
        // A folder that holds theirs is no better: whoever empties it removes theirs as well.
        let relation = if other == dir { "is" } else { "holds" };
        ensure!(
            !other.starts_with(&dir),
            "{} {relation} the folder of {purpose}; choose another one for uploads with --upload-dir",
            options.dir.display()
        );
    }
    let claim = claim::take(&options.dir, "--upload-dir")?;
    let (needed, max) = (2 * options.clients_max as u64 + DESCRIPTORS_SPARE, descriptors_max());
    if needed > max {
        // A connection and a file each; who finds none left waits at the door.
        log::warn!(
            "descriptors may run out needed={needed} max={max} hint=\"raise the hard limit (ulimit -Hn), or lower --upload-clients\""
        );
    }
    let [a, b, c, d, ..] = random_secret()?;
    let dropbox = DropBox::new(DropBoxConfig {
        listen,
        file_bytes_max: options.file_bytes_max,
        quota_bytes: options.quota_bytes,
        clients_max: options.clients_max,
        clients_per_address_max: options.clients_per_address_max,
        stall_timeout: options.stall_timeout,
        present: options.register,
        first_tag: u32::from_le_bytes([a, b, c, d]),
    });
    let mut is_announced = false;
    let dropbox = Watched::each_input(dropbox, move |dropbox: &DropBox, _| {
        if let (Some(addr), false) = (dropbox.status().listening, is_announced) {
            is_announced = true;
            announcer.announce("upload", addr);
        }
    });
    Ok((dropbox, claim))
}

/// Who offers the files of the drop box to the mesh: a guest of the server on the same loop, at the
/// one of its addresses that others reach best.
pub(super) fn holder(listen: &[SocketAddr]) -> Result<Peers> {
    let outer = listen.iter().find(|addr| !addr.ip().is_loopback()).or(listen.first());
    let addr = outer.context("the server listens nowhere")?;
    let holder = Peers::guest(GuestConfig {
        server: SocketAddr::new(dialed(addr.ip()), addr.port()),
        group: GROUP_DEFAULT.parse().expect("a name"),
        id: Some(HOLDER.parse().expect("a name")),
        orders: Orders { presented_max: files_max(), ..Orders::default() },
        upload_limit: None,
    })
    .with_links_max(HOLDER_LINKS_MAX, HOLDER_LINKS_PER_ADDRESS_MAX);
    // Who serves all networks is reached over all.
    Ok(if addr.ip().is_unspecified() { holder.with_listener_at(addr.ip()) } else { holder })
}

/// How this host reaches itself at an address that it listens at.
fn dialed(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// Each file that is offered stays open: a quarter of the descriptors may be taken by them.
fn files_max() -> usize {
    usize::try_from(descriptors_max() / 4).unwrap_or(usize::MAX).clamp(1, FILES_PER_MEMBER_MAX)
}

/// What the drop box has come to.
pub(super) fn conclude(dropbox: &DropBox, options: &UploadsOptions) -> Result<()> {
    let status = dropbox.status();
    if let Some((addr, error)) = status.listen_failed {
        let why = Why(error);
        return Err(anyhow!("cannot listen at {addr}: {why}; choose another address with --upload-listen"));
    }
    if let Some(error) = status.folder_failed {
        let (dir, why) = (options.dir.display(), Why(error));
        return Err(anyhow!("cannot read {dir}: {why}; choose another folder with --upload-dir"));
    }
    log::info!(
        target: OPERATOR,
        "dropbox ended files={} bytes={} refused={} failed={} excess={} unlogged={}",
        status.files,
        status.bytes,
        status.refused_total(),
        status.failed_total(),
        status.excess,
        status.unlogged
    );
    let refused = Refusal::ALL.iter().map(|why| (format!("{why:?}"), status.refused(*why)));
    let failed = Failure::ALL.iter().map(|why| (format!("{why:?}"), status.failed(*why)));
    for (what, counts) in [("refusals", refused.collect::<Vec<_>>()), ("failures", failed.collect())] {
        let counts = counts.iter().filter(|(_, count)| *count > 0);
        let counts: String = counts.map(|(why, count)| format!(" {why}={count}")).collect();
        if !counts.is_empty() {
            log::info!(target: OPERATOR, "dropbox {what}{counts}");
        }
    }
    Ok(())
}
