//! What a guest and the server say to each other about files: what is offered, who has what, which
//! chunks have come. Decides nothing about them.

use std::net::SocketAddr;

use crate::proto::ids::{Key, LinkId, Name};
use crate::proto::limits::{NEWS_LINES_MAX, NEWS_PERIOD};
use crate::proto::machine::{CloseReason, Os};
use crate::proto::peer::common::{Common, Listener};
use crate::proto::peer::guest::{Asked, Holder};
use crate::proto::peer::library::{ItemId, Told};
use crate::proto::peer::member::Member;
use crate::proto::peer::other::OtherState;

use crate::proto::swarm::Manifest;
use crate::proto::time::Now;
use crate::proto::wire::{Availability, ErrorCode, Message, Numbers};

impl Member {
    // --- What we say --------------------------------------------------------------------------

    pub(super) fn say_hello(
        &mut self,
        link: LinkId,
        (id, key): (Option<Name>, Option<Key>),
        port: u16,
        common: &mut Common,
        os: &mut dyn Os,
    ) {
        let (port, group) = (Some(port), Some(common.config.group));
        common.send(link, &Message::Hello { id, port, group, key }, os);
    }

    /// The server does not take us back. It may have started anew, and have given our name away: one that
    /// it chose itself does not matter. Others go on with what they have over the links that are there.
    pub(super) fn on_guest_refused(
        &mut self,
        link: LinkId,
        code: ErrorCode,
        text: &str,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let chosen = common.config.ids[self.index as usize].is_some();
        if let (ErrorCode::IdTaken, false, Listener::Ready(port)) = (code, chosen, common.listener) {
            return self.say_hello(link, (None, None), port, common, os);
        }
        if self.stays() {
            return self.stay(text, common, now, os);
        }
        log::warn!(
            "server does not take a guest back id={} why=\"{text}\" then=\"it is tried again\"",
            self.label()
        );
        common.close(link, CloseReason::Unwanted, os);
        self.on_server_down(text, common, now, os);
    }

    pub(super) fn search(&mut self, common: &mut Common, os: &mut dyn Os) {
        let (Some(link), Some(guest)) = (self.contact.joined(), &mut self.guest) else { return };
        let Some(find) = guest.orders.find.as_ref().filter(|_| guest.available.is_none()) else { return };
        guest.found.clear();
        let file = find.name.as_str();
        let list = find.chunks.iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
        let message = match Numbers::parse(&list) {
            Some(chunks) => Message::SearchChunk { file, chunks },
            None => Message::SearchFile { file },
        };
        common.send(link, &message, os);
        guest.asked.push_back(Asked::Search);
    }

    /// Tells the server what has come since it was told last: not too often, and at once when a file is whole.
    pub(super) fn report_news(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        let (Some(link), Some(guest)) = (self.contact.joined(), &mut self.guest) else { return };
        let due = guest.next_news <= now.mono;
        let mut lines = 0;
        for item in self.library.iter_mut().filter(|item| !item.unreported.is_empty()) {
            let file = item.name.as_str();
            if let (true, Some(manifest)) = (item.is_whole(), &item.manifest) {
                let last = manifest.chunks() - 1;
                common.send(link, &Message::Have { file, first: 0, last }, os);
                item.unreported.clear();
            } else if due {
                let mut news = std::mem::take(&mut item.unreported);
                news.sort_unstable();
                for range in news.chunk_by(|one, next| one + 1 == *next) {
                    if lines == NEWS_LINES_MAX {
                        item.unreported.extend_from_slice(range);
                        continue;
                    }
                    let (first, last) = (range[0], range[range.len() - 1]);
                    common.send(link, &Message::Have { file, first, last }, os);
                    lines += 1;
                }
            }
        }
        if lines > 0 {
            guest.next_news = now.mono + NEWS_PERIOD;
        }
    }

    /// Tells the server that a holder's chunk was wrong.
    pub(super) fn report_wrong(
        &self,
        item: ItemId,
        chunk: u64,
        id: Name,
        common: &mut Common,
        os: &mut dyn Os,
    ) {
        if let (Some(link), Some(_)) = (self.contact.joined(), &self.guest) {
            let file = self.library.at(item).name.as_str();
            common.send(link, &Message::Report { file, id, chunk }, os);
        }
    }

    // --- What the server says -----------------------------------------------------------------

    /// Somebody takes part in the swarm of a file.
    pub(super) fn on_source(
        &mut self,
        file: &str,
        (id, addr, ticket): (Name, SocketAddr, Key),
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        if self.contact.joined().is_none() {
            return;
        }
        let Some(item) = self.library.find(file).or_else(|| self.wanted_item(file)) else { return };
        let Some(place) = self.others.place(id, addr, ticket, OtherState::Guest, &mut self.library) else {
            return;
        };
        if self.others.at(place).ticket != ticket {
            if self.others.at(place).private.is_closed() {
                self.drop_pair(place, common, now, os);
                self.others.at_mut(place).renew(ticket, OtherState::Guest);
            }
            // Users who talk are who they were; the server has started anew.
            self.others.at_mut(place).ticket = ticket;
        }
        let other = self.others.at_mut(place);
        other.addr = addr;
        if !other.takes_part.contains(&item) {
            other.takes_part.push(item);
        }
        self.set_slice(item);
        self.want(place, item, common, os);
        self.drive(common, now, os);
    }

    /// Begins with the hashes of the wanted file; returns how many octets are to come.
    pub(super) fn on_download(&mut self, file: &str, bytes: u64, chunk_bytes: u64, octets: u64) -> u64 {
        self.hashes = None;
        let (Some(guest), Some(_)) = (&mut self.guest, self.contact.joined()) else { return octets };
        if matches!(guest.asked.front(), Some(Asked::Download(name)) if name.as_str() == file) {
            guest.asked.pop_front();
        }
        if Manifest::check_offer(bytes, chunk_bytes, octets).is_err() {
            log::error!(
                "the server describes a file that cannot be file={file} bytes={bytes} chunk_bytes={chunk_bytes}"
            );
            return octets;
        }
        if let Some(item) = self.wanted_item(file) {
            self.library.at_mut(item).told = Told::Taken;
            self.hashes = Some((item, bytes, chunk_bytes, Vec::new()));
        }
        octets
    }

    /// Octets of the hashes.
    pub(super) fn on_server_octets(
        &mut self,
        bytes: &[u8],
        last: bool,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let Some((.., octets)) = &mut self.hashes else { return };
        octets.extend_from_slice(bytes);
        if last {
            self.on_hashes_end(common, now, os);
        }
    }

    pub(super) fn on_hashes_end(&mut self, common: &mut Common, now: Now, os: &mut dyn Os) {
        let Some((item, bytes, chunk_bytes, octets)) = self.hashes.take() else { return };
        let only = self.only_chunks(item);
        let wanted = self.library.at_mut(item);
        match Manifest::from_offer(wanted.name.clone(), bytes, chunk_bytes, &octets) {
            Ok(manifest) if wanted.manifest.is_none() => {
                let beyond = |chunk: &u64| *chunk >= manifest.chunks();
                if let Some(chunk) = only.into_iter().flatten().find(beyond) {
                    let has = match manifest.chunks() {
                        0 => "is empty, and has".to_owned(),
                        1 => "has 1 chunk,".to_owned(),
                        chunks => format!("has {chunks} chunks,"),
                    };
                    let why = format!("{} {has} no chunk {}", wanted.name, chunk + 1);
                    return self.fail_file(item, ErrorCode::UnknownChunk, &why, common, now, os);
                }
                wanted.manifest = Some(manifest);
                self.on_typed_begun(item);
                self.look_for_file(item, common, now, os);
            }
            Ok(manifest) if wanted.manifest.as_ref() == Some(&manifest) => self.on_typed_begun(item),
            Ok(_) => {
                let why = format!("{} is another file than it was a moment ago", wanted.name);
                self.fail_file(item, ErrorCode::FileDiffers, &why, common, now, os);
            }
            Err(error) => log::error!("the server's hashes are none file={} error=\"{error}\"", wanted.name),
        }
    }

    pub(super) fn on_holder(&mut self, id: Name, chunks_held: u64, chunks: u64) {
        if let Some(guest) = &mut self.guest {
            guest.found.push(Holder { id: id.to_string(), chunks_held, chunks });
        }
    }

    pub(super) fn on_searched(
        &mut self,
        found: Availability,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        if let Some(guest) = &mut self.guest {
            guest.asked.pop_front();
            guest.available = Some(found == Availability::Available);
        }
        self.drive(common, now, os);
    }

    /// An error is the answer to the oldest command.
    pub(super) fn on_guest_error(
        &mut self,
        code: ErrorCode,
        text: &str,
        common: &mut Common,
        now: Now,
        os: &mut dyn Os,
    ) {
        let Some(guest) = &mut self.guest else { return };
        // HAVE and REPORT are answered only if something is wrong with them, and with one of these.
        let of_note =
            matches!(code, ErrorCode::OutOfPlace | ErrorCode::UnknownMember | ErrorCode::UnknownChunk);
        let asked = guest.asked.front().cloned();
        let is_stray = self.is_stray(code);
        let Some(guest) = &mut self.guest else { return };
        match asked {
            Some(Asked::Command) if is_stray => {
                return log::warn!("server takes no notice code={} text=\"{text}\"", code.as_str());
            }
            Some(Asked::Register(_) | Asked::Withdraw(_) | Asked::Download(_)) if of_note => {
                return log::warn!("server takes no notice code={} text=\"{text}\"", code.as_str());
            }
            _ => drop(guest.asked.pop_front()),
        };
        match asked {
            Some(Asked::Register(item)) => {
                self.on_register_refused(item, (code, text), common, now, os);
                self.register_more(common, os);
            }
            Some(Asked::Command) => self.on_command_refused(code, text),
            // The server has it as ours until it forgets us.
            Some(Asked::Withdraw(item)) => {
                self.library.at_mut(item).told = Told::Taken;
                log::warn!("server does not let go of a file code={} text=\"{text}\"", code.as_str());
                self.register_more(common, os);
            }
            Some(Asked::Farewell) => {}
            Some(Asked::Download(file)) if self.refuse_download(&file, code, text, common, now, os) => {}
            // Nobody has it, yet.
            Some(Asked::Download(_)) if code == ErrorCode::UnknownFile => {}
            // It may have been a matter of the moment; it is asked again.
            Some(Asked::Download(file)) => {
                log::warn!("server refuses a download code={} text=\"{text}\"", code.as_str());
                if let Some(guest) = &mut self.guest {
                    guest.note_refusal(&file, text);
                }
            }
            Some(Asked::Search) => self.fail(&format!("the server refused: {text}"), common, now, os),
            None => log::warn!("server reports an error code={} text=\"{text}\"", code.as_str()),
        }
    }
}
