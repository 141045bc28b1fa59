//! `tickmesh find`.

use anyhow::{Context, Result};
use serde_json::json;

use crate::app::cli::FindOptions;
use crate::app::summary::count;
use crate::app::watched::Watched;
use crate::app::{bar, drive, logging, terminal};
use crate::io::{Host, Reactor};
use crate::proto::peer::{Find, GuestConfig, Orders, Peers};

/// Says who has a file; true if somebody has.
pub(super) fn run(options: &FindOptions) -> Result<bool> {
    let guest = &options.guest;
    logging::start(&guest.log)?;
    let find = Find { name: options.file.clone(), chunks: options.chunks.clone() };
    let peers = Peers::guest(GuestConfig {
        server: guest.server,
        group: guest.group,
        id: guest.id,
        orders: Orders { find: Some(find), ..Orders::default() },
        upload_limit: None,
    });
    let mut peers = Watched::every(bar::PERIOD, peers, |_: &Peers, _| {
        if terminal::shows_progress() {
            terminal::show_progress("looking for the server");
        }
    });
    let reactor = Reactor::new().context("cannot start the event loop")?;
    drive(reactor, &mut [Host { machine: &mut peers, root: ".".into() }])?;
    let peers = peers.machine();
    let Some((available, holders)) = peers.found() else {
        peers.report().peers[0].problems.iter().for_each(|problem| terminal::complain(problem));
        return Ok(false);
    };
    if guest.json {
        let answer = json!({ "file": options.file.as_str(), "available": available, "holders": holders });
        terminal::print(&format!("{answer}\n"))?;
        return Ok(available);
    }
    let mut text = String::from(if available { "Available\n" } else { "Not available\n" });
    for holder in holders {
        text.push_str(&match holder.chunks {
            0 => format!("{} has it; it is empty\n", holder.id),
            chunks => format!("{} has {} of {}\n", holder.id, holder.chunks_held, count(chunks, "chunk")),
        });
    }
    terminal::print(&text)?;
    Ok(available)
}
