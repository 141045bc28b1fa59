//! From a new link to a header that is whole: who may come in, when a header is over, and what it asks for. Also how
//! clients are sent away before they were told to go ahead.

use std::net::SocketAddr;

use crate::proto::ids::LinkId;
use crate::proto::limits::{
    HEADER_LATE, HEADER_NAME_BYTES_MAX, HEADER_QUIET, HEADER_QUIET_PIECES, HEADER_SIZE_BYTES, HEADER_TIMEOUT,
    TROUBLE_LINES_PERIOD,
};
use crate::proto::machine::{CloseReason, DownReason, Effect, Os, counted_address};
use crate::proto::time::{Mono, Now};
use crate::proto::upload::dropbox::client::{Client, State, Upload, shown};
use crate::proto::upload::dropbox::quota::Next;
use crate::proto::upload::dropbox::trouble::{Refusal, Say, Trouble};
use crate::proto::upload::dropbox::{DropBox, Failure, Stage, Timer};
use crate::proto::upload::header::Header;
use crate::proto::upload::names::stored_name;

const HEADER_BYTES_MAX: usize = HEADER_SIZE_BYTES + HEADER_NAME_BYTES_MAX;

impl DropBox {
    pub(super) fn on_link_up(&mut self, link: LinkId, remote: SocketAddr, now: Now, os: &mut dyn Os) {
        if self.stage != Stage::Serving {
            os.perform(Effect::Close { link, reason: CloseReason::Shutdown });
            return;
        }
        if let Err(why) = self.make_place(remote, now, os) {
            return self.send_away(link, why, remote, "", now, os);
        }
        self.places.take(remote.ip());
        self.clients.insert(link, Client::new(remote, now.mono));
        self.waiting.insert((now.mono, link));
        self.wheel.insert(Timer::Header(link), now.mono + HEADER_TIMEOUT);
        // Its end may be that of its header, and then it has to hear what becomes of its file.
        os.perform(Effect::Hold { link });
    }

    /// Who has begun a file is never pushed out for somebody who may never begin one.
    fn make_place(&mut self, remote: SocketAddr, now: Now, os: &mut dyn Os) -> Result<(), Refusal> {
        if self.places.of_address(remote.ip()) >= self.config.clients_per_address_max {
            return Err(Refusal::TooManyOfAddress);
        }
        if self.places.total() < self.config.clients_max {
            return Ok(());
        }
        let (_, longest) = self.waiting.first().copied().ok_or(Refusal::TooManyClients)?;
        self.refuse(longest, Refusal::MadeRoom, now, os);
        Ok(())
    }

    pub(super) fn on_received(&mut self, link: LinkId, bytes: &[u8], now: Now, os: &mut dyn Os) {
        let Some(client) = self.clients.get_mut(link) else { return };
        match &mut client.state {
            State::Header { head } => {
                if head.len() + bytes.len() > HEADER_BYTES_MAX {
                    return self.refuse(link, Refusal::HeaderTooLong, now, os);
                }
                let quiet = if head.len() > HEADER_SIZE_BYTES { HEADER_QUIET_PIECES } else { HEADER_QUIET };
                head.extend_from_slice(bytes);
                if head.len() > HEADER_SIZE_BYTES {
                    self.wheel.insert(Timer::Quiet(link), now.mono + quiet);
                }
            }
            State::Counting { .. } | State::Opening { .. } => {
                self.refuse(link, Refusal::SpokeTooSoon, now, os)
            }
            State::Receiving { .. } => self.take_bytes(link, bytes, now, os),
            State::Finishing { excess_bytes, .. } => *excess_bytes += bytes.len() as u64,
        }
    }

    /// Nothing more has come for a while: the header is over.
    pub(super) fn on_quiet(&mut self, link: LinkId, due: Mono, now: Now, os: &mut dyn Os) {
        if now.mono > due + HEADER_LATE {
            self.wheel.insert(Timer::Quiet(link), now.mono + HEADER_LATE);
            return;
        }
        self.header_over(link, false, now, os);
    }

    /// All of a header is here. `ended`: its client sends nothing more.
    fn header_over(&mut self, link: LinkId, ended: bool, now: Now, os: &mut dyn Os) {
        let Some(Client { state: State::Header { head }, remote, since }) = self.clients.get_mut(link) else {
            return;
        };
        let (head, remote, since) = (std::mem::take(head), *remote, *since);
        let header = Header::parse(&head).expect("it is awaited only when there is a name");
        let (sent, bytes) = (shown(header.name), header.bytes);
        let name = match self.check(&header, ended, now) {
            Ok(name) => name.into_boxed_str(),
            Err(why) => {
                let about = format!(" name=\"{sent}\" bytes={bytes}");
                return self.refuse_saying(link, why, &about, now, os);
            }
        };
        self.waiting.remove(&(since, link));
        self.wheel.cancel(&Timer::Header(link));
        self.wheel.cancel(&Timer::Quiet(link));
        let upload = Upload { link: Some(link), remote, sent, name, bytes, since: now.mono, tries: 0 };
        if self.quota.reserve(bytes) {
            self.begin(link, upload, os);
        } else {
            self.set_state(link, State::Counting { upload: Box::new(upload) });
            self.want_count(now, os);
        }
    }

    /// Whether it can be taken as far as it says itself, and the name for it.
    fn check(&self, header: &Header<'_>, ended: bool, now: Now) -> Result<String, Refusal> {
        let name = stored_name(header.name)?;
        match header.bytes {
            1.. if ended => Err(Refusal::Cut),
            bytes if bytes > self.config.file_bytes_max => Err(Refusal::TooLarge),
            bytes if self.quota.is_beyond(bytes) => Err(Refusal::OverQuota),
            _ if self.full_names.contains(&name, now.mono) => Err(Refusal::NameFull),
            _ => Ok(name),
        }
    }

    /// An operator may have made room.
    fn want_count(&mut self, now: Now, os: &mut dyn Os) {
        match self.quota.want_count(now.mono) {
            Next::Ask => os.perform(Effect::Survey { files_max: 0 }),
            Next::At(then) => drop(self.wheel.insert(Timer::Count, then)),
            Next::Wait => {}
        }
    }

    /// The folder was counted: who waited for that hears how it stands, in the order of coming.
    pub(super) fn decide(&mut self, now: Now, os: &mut dyn Os) {
        let waits = |(link, client): (LinkId, &Client)| match &client.state {
            State::Counting { upload } => Some((upload.since, link)),
            _ => None,
        };
        let mut waiting: Vec<(Mono, LinkId)> = self.clients.iter().filter_map(waits).collect();
        waiting.sort_unstable();
        for (_, link) in waiting {
            let Some(Client { state: State::Counting { upload }, .. }) = self.clients.get(link) else {
                continue;
            };
            if self.quota.reserve(upload.bytes) {
                let upload = upload.clone();
                self.begin(link, *upload, os);
            } else {
                self.refuse(link, Refusal::OverQuota, now, os);
            }
        }
    }

    /// The link is gone.
    pub(super) fn on_link_down(&mut self, link: LinkId, reason: DownReason, now: Now, os: &mut dyn Os) {
        let Some(client) = self.clients.get(link) else { return };
        match &client.state {
            State::Header { .. } => self.cut_header(link, now),
            State::Counting { .. } | State::Opening { .. } => {
                let (client, about) = self.give_up(link, os);
                self.note_refusal(Refusal::Left, client.remote, &about, now);
            }
            State::Receiving { .. } => {
                self.forsake(link, Failure::LinkLost, &format!(" link=\"{reason}\""), now, os);
            }
            State::Finishing { .. } => self.leave_alone(link, now),
        }
    }

    /// The client sends no more: that ends a header for sure, and any file that it has not brought. A file without bytes
    /// is stored, and a client that has sent all waits for our end.
    pub(super) fn on_ended(&mut self, link: LinkId, now: Now, os: &mut dyn Os) {
        let Some(client) = self.clients.get(link) else { return };
        match &client.state {
            State::Header { head } if head.len() > HEADER_SIZE_BYTES => self.header_over(link, true, now, os),
            State::Header { .. } => {
                self.cut_header(link, now);
                os.perform(Effect::Close { link, reason: CloseReason::Refused });
            }
            State::Counting { upload } if upload.bytes > 0 => self.refuse(link, Refusal::Cut, now, os),
            State::Opening { file } if self.uploads[file].bytes > 0 => {
                self.refuse(link, Refusal::Cut, now, os)
            }
            State::Receiving { .. } => self.fail(link, Failure::Cut, "", now, os),
            State::Counting { .. } | State::Opening { .. } | State::Finishing { .. } => {}
        }
    }

    fn cut_header(&mut self, link: LinkId, now: Now) {
        let Some(Client { state: State::Header { head }, remote, .. }) = self.take_out(link) else { return };
        self.places.give_back(remote.ip());
        if head.is_empty() {
            // Who looks whether somebody listens is no news.
            self.status.refused[Refusal::HeaderCut as usize] += 1;
        } else {
            let about = format!(" bytes_of_it={}", head.len());
            self.note_refusal(Refusal::HeaderCut, remote, &about, now);
        }
    }

    pub(super) fn refuse(&mut self, link: LinkId, why: Refusal, now: Now, os: &mut dyn Os) {
        self.refuse_saying(link, why, "", now, os);
    }

    /// Sends a client away that was not told to go ahead: an orderly end says that it need not bring anything.
    pub(super) fn refuse_saying(
        &mut self,
        link: LinkId,
        why: Refusal,
        more: &str,
        now: Now,
        os: &mut dyn Os,
    ) {
        if self.clients.get(link).is_none() {
            return;
        }
        let (client, about) = self.give_up(link, os);
        self.send_away(link, why, client.remote, &format!("{about}{more}"), now, os);
    }

    /// Says so to the log, and with an orderly end to the client, of which nothing is left here.
    pub(super) fn send_away(
        &mut self,
        link: LinkId,
        why: Refusal,
        remote: SocketAddr,
        about: &str,
        now: Now,
        os: &mut dyn Os,
    ) {
        self.note_refusal(why, remote, about, now);
        let stopping = why == Refusal::Stopping;
        let reason = if stopping { CloseReason::Shutdown } else { CloseReason::Refused };
        os.perform(Effect::Close { link, reason });
    }

    /// Takes a client out with all that was begun for it; returns what its file was, for the log.
    pub(super) fn give_up(&mut self, link: LinkId, os: &mut dyn Os) -> (Client, String) {
        let client = self.take_out(link).expect("it is there");
        let upload = client.file().and_then(|file| self.uploads.remove_entry(&file));
        match &upload {
            Some((file, upload)) => {
                self.give_back(upload);
                os.perform(Effect::Release { file: *file });
            }
            None => self.places.give_back(client.remote.ip()),
        }
        let text = match (&client.state, upload) {
            (State::Counting { upload }, _) => upload.about(),
            (State::Receiving { written_bytes, .. }, Some((_, upload))) => {
                format!("{} written={written_bytes}", upload.about())
            }
            (_, upload) => upload.map_or_else(String::new, |(_, upload)| upload.about()),
        };
        (client, text)
    }

    /// Forgets a client, but not its place.
    pub(super) fn take_out(&mut self, link: LinkId) -> Option<Client> {
        let client = self.clients.remove(link)?;
        self.waiting.remove(&(client.since, link));
        for timer in [Timer::Header(link), Timer::Quiet(link), Timer::Stall(link)] {
            self.wheel.cancel(&timer);
        }
        Some(client)
    }

    pub(super) fn set_state(&mut self, link: LinkId, state: State) {
        self.clients.get_mut(link).expect("it is there").state = state;
    }

    fn note_refusal(&mut self, why: Refusal, remote: SocketAddr, about: &str, now: Now) {
        self.status.refused[why as usize] += 1;
        let level = if why.concerns_operator() { log::Level::Warn } else { log::Level::Info };
        self.say(level, Trouble::Refused(why), remote, &format!("refused why={why:?}"), about, now);
    }

    /// Logs a line about trouble, unless there were too many like it.
    pub(super) fn say(
        &mut self,
        level: log::Level,
        trouble: Trouble,
        remote: SocketAddr,
        what: &str,
        about: &str,
        now: Now,
    ) {
        match self.lines.say(counted_address(remote.ip()), trouble, now.mono) {
            Say::Yes => log::log!(level, "upload {what} from={remote}{about}"),
            Say::Last => {
                log::log!(
                    level,
                    "upload {what} from={remote}{about} then=\"the next like it are not logged\""
                )
            }
            Say::No => {
                self.status.unlogged += 1;
                if !std::mem::replace(&mut self.owes_a_sum, true) {
                    self.wheel.insert(Timer::Unlogged, now.mono + TROUBLE_LINES_PERIOD);
                }
                log::debug!("upload {what} from={remote}{about}");
            }
        }
    }
}
