//! A file from the disk's first word to its last: opened, told to go ahead, written as it comes, brought under its name.
//! Also how files are given up after `go ahead`.

use std::io::ErrorKind;
use std::net::SocketAddr;

use crate::proto::ids::{FileId, LinkId};
use crate::proto::limits::{UPLOAD_OPEN_TRIES_MAX, UPLOAD_RATE_BYTES};
use crate::proto::machine::{CloseReason, Effect, FileOp, OpenMode, Os, Why};
use crate::proto::text::quotable;
use crate::proto::time::Now;
use crate::proto::upload::GO_AHEAD;
use crate::proto::upload::dropbox::client::{Client, State, Upload};
use crate::proto::upload::dropbox::trouble::{Failure, Refusal, Trouble};
use crate::proto::upload::dropbox::{DropBox, Timer};

impl DropBox {
    /// Has the file made for its client, under a number of its own. Its room is promised already.
    pub(super) fn begin(&mut self, link: LinkId, upload: Upload, os: &mut dyn Os) {
        let file = FileId(self.files_opened);
        self.files_opened = self.files_opened.wrapping_add(1);
        self.set_state(link, State::Opening { file });
        let tag = self.config.first_tag.wrapping_add(file.0);
        let mode = OpenMode::Fresh { bytes: upload.bytes, tag };
        os.perform(Effect::Open { file, path: &upload.name, mode, aside: "" });
        self.uploads.insert(file, upload);
    }

    /// The room is set aside, and it is the client's turn.
    pub(super) fn on_file_ready(&mut self, file: FileId, now: Now, os: &mut dyn Os) {
        let Some((link, bytes)) = self.opening(file) else { return };
        let upload = &self.uploads[&file];
        log::debug!(
            "upload accepted from={} name=\"{}\" as=\"{}\" bytes={bytes}",
            upload.remote,
            upload.sent,
            quotable(&upload.name)
        );
        os.perform(Effect::Send { link, bytes: GO_AHEAD });
        if bytes == 0 {
            os.perform(Effect::Finish { file });
            self.set_state(link, State::Finishing { file, excess_bytes: 0 });
        } else {
            let since = now.mono;
            self.set_state(link, State::Receiving { file, bytes, written_bytes: 0, since, since_bytes: 0 });
            self.wheel.insert(Timer::Stall(link), since + self.config.stall_timeout);
        }
    }

    /// Who waits for that file to be made.
    fn opening(&self, file: FileId) -> Option<(LinkId, u64)> {
        let upload = self.uploads.get(&file)?;
        let link = upload.link?;
        matches!(self.clients.get(link)?.state, State::Opening { .. }).then_some((link, upload.bytes))
    }

    /// Bytes of the file, straight from the driver to the disk.
    pub(super) fn take_bytes(&mut self, link: LinkId, came: &[u8], now: Now, os: &mut dyn Os) {
        let Some(Client { state, .. }) = self.clients.get_mut(link) else { return };
        let State::Receiving { file, bytes, written_bytes, since, since_bytes } = state else { return };
        let file = *file;
        let left_bytes = usize::try_from(*bytes - *written_bytes).unwrap_or(usize::MAX);
        let (of_it, excess) = came.split_at(came.len().min(left_bytes));
        if of_it.is_empty() {
            return;
        }
        os.perform(Effect::WriteAt { file, offset: *written_bytes, bytes: of_it });
        *written_bytes += of_it.len() as u64;
        if *written_bytes - *since_bytes >= UPLOAD_RATE_BYTES {
            (*since, *since_bytes) = (now.mono, *written_bytes);
        }
        if *written_bytes == *bytes {
            *state = State::Finishing { file, excess_bytes: excess.len() as u64 };
            self.wheel.cancel(&Timer::Stall(link));
            os.perform(Effect::Finish { file });
        }
    }

    /// Armed once a period and not with each byte. A byte now and then is no progress: otherwise a client could keep its
    /// place and its room for ever. What is left of a file may be less than the rate, and then has to come whole.
    pub(super) fn on_stall_check(&mut self, link: LinkId, now: Now, os: &mut dyn Os) {
        let Some(State::Receiving { since, .. }) = self.clients.get(link).map(|client| &client.state) else {
            return;
        };
        let stalled_at = *since + self.config.stall_timeout;
        if stalled_at > now.mono {
            self.wheel.insert(Timer::Stall(link), stalled_at);
        } else {
            self.fail(link, Failure::Stalled, "", now, os);
        }
    }

    /// The client is gone, but all of its file is here.
    pub(super) fn leave_alone(&mut self, link: LinkId, now: Now) {
        let Some(Client { state: State::Finishing { file, excess_bytes }, .. }) = self.take_out(link) else {
            return;
        };
        self.note_excess(file, excess_bytes, now);
        if let Some(upload) = self.uploads.get_mut(&file) {
            upload.link = None;
        }
    }

    /// It is on disk under its name, and the client may know.
    pub(super) fn on_finished(&mut self, file: FileId, moved: Option<&str>, now: Now, os: &mut dyn Os) {
        let Some(link) = self.uploads.get(&file).map(|upload| upload.link) else { return };
        if let Some(link) = link {
            self.answer_stored(link, now, os);
        }
        let Some(upload) = self.uploads.remove(&file) else { return };
        os.perform(Effect::Release { file });
        self.quota.store(upload.bytes);
        self.places.give_back(upload.remote.ip());
        self.status.files += 1;
        self.status.bytes += upload.bytes;
        let path = moved.unwrap_or(&upload.name);
        log::info!("{}", stored_line(&upload, path, now));
        if self.config.present {
            os.perform(Effect::Present { path, stamp: None });
        }
    }

    /// An orderly end says that exactly what was sent is stored. Who has sent more than it announced does not hear that: it
    /// may have lost the end of its header, and then the file is not what it meant.
    fn answer_stored(&mut self, link: LinkId, now: Now, os: &mut dyn Os) {
        let is_all = self
            .clients
            .get(link)
            .is_some_and(|client| matches!(client.state, State::Finishing { excess_bytes: 0, .. }));
        self.leave_alone(link, now);
        os.perform(if is_all {
            Effect::Close { link, reason: CloseReason::Done }
        } else {
            Effect::Reset { link, reason: CloseReason::Refused }
        });
    }

    pub(super) fn on_file_failed(
        &mut self,
        file: FileId,
        op: FileOp,
        error: ErrorKind,
        now: Now,
        os: &mut dyn Os,
    ) {
        let Some(link) = self.uploads.get(&file).map(|upload| upload.link) else { return };
        let about = format!(" error=\"{}\"", Why(error));
        let state = link.and_then(|link| self.clients.get(link)).map(|client| &client.state);
        match (link, state) {
            (Some(link), Some(State::Opening { .. })) => self.on_open_failed(link, file, error, now, os),
            (Some(link), Some(State::Receiving { .. })) => {
                self.fail(link, Failure::WriteFailed, &about, now, os);
            }
            // The finish fails too then, and says so.
            _ if op != FileOp::Finish => {}
            (Some(link), _) => self.fail(link, Failure::FinishFailed, &about, now, os),
            (None, _) => {
                let Some(upload) = self.uploads.remove(&file) else { return };
                os.perform(Effect::Release { file });
                self.give_back(&upload);
                let about = upload.about() + &about;
                self.note_failure(Failure::FinishFailed, upload.remote, &about, now);
            }
        }
    }

    fn on_open_failed(&mut self, link: LinkId, file: FileId, error: ErrorKind, now: Now, os: &mut dyn Os) {
        let Some(mut upload) = self.uploads.remove(&file) else { return };
        upload.tries += 1;
        if error == ErrorKind::AlreadyExists && upload.tries < UPLOAD_OPEN_TRIES_MAX {
            return self.begin(link, upload, os);
        }
        let why = match error {
            ErrorKind::StorageFull => Refusal::DiskFull,
            ErrorKind::TooManyLinks => Refusal::NameFull,
            _ => Refusal::DiskFailed,
        };
        if why == Refusal::NameFull {
            self.full_names.note(&upload.name, now.mono);
        }
        // Nothing is open that could be released.
        self.take_out(link);
        self.give_back(&upload);
        let about = format!("{} error=\"{}\"", upload.about(), Why(error));
        self.send_away(link, why, upload.remote, &about, now, os);
    }

    /// Gives back the room and the place of a file that will not be stored.
    pub(super) fn give_back(&mut self, upload: &Upload) {
        self.quota.give_back(upload.bytes);
        self.places.give_back(upload.remote.ip());
    }

    /// Gives up a file whose client was told to go ahead. It must not take our end for success, so it sees a reset.
    pub(super) fn fail(&mut self, link: LinkId, why: Failure, more: &str, now: Now, os: &mut dyn Os) {
        self.forsake(link, why, more, now, os);
        let reason = match why {
            Failure::Stalled => CloseReason::Silent,
            Failure::Stopping => CloseReason::Shutdown,
            _ => CloseReason::Failed,
        };
        os.perform(Effect::Reset { link, reason });
    }

    /// The same where nobody is left to be told.
    pub(super) fn forsake(&mut self, link: LinkId, why: Failure, more: &str, now: Now, os: &mut dyn Os) {
        let (client, about) = self.give_up(link, os);
        self.note_failure(why, client.remote, &format!("{about}{more}"), now);
    }

    fn note_failure(&mut self, why: Failure, remote: SocketAddr, about: &str, now: Now) {
        self.status.failed[why as usize] += 1;
        let level = if why.concerns_operator() { log::Level::Warn } else { log::Level::Info };
        self.say(level, Trouble::Failed(why), remote, &format!("failed why={why:?}"), about, now);
    }

    fn note_excess(&mut self, file: FileId, excess_bytes: u64, now: Now) {
        let Some(upload) = self.uploads.get(&file).filter(|_| excess_bytes > 0) else { return };
        let remote = upload.remote;
        let about = format!("{} excess={excess_bytes}", upload.about());
        self.status.excess += 1;
        self.say(log::Level::Info, Trouble::Excess, remote, "longer than announced", &about, now);
    }
}

/// What the log says of a file that is whole.
fn stored_line(upload: &Upload, path: &str, now: Now) -> String {
    let (remote, sent, bytes) = (upload.remote, &upload.sent, upload.bytes);
    let (name, seconds) = (quotable(path), (now.mono - upload.since).as_secs_f64());
    format!("upload stored from={remote} name=\"{sent}\" as=\"{name}\" bytes={bytes} seconds={seconds:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::time::{Mono, Wall};
    use crate::proto::upload::dropbox::client::shown;

    #[test]
    fn a_name_forges_no_fields_of_the_log() {
        let name = "q\" as=\"evil\" bytes=1";
        let upload = Upload {
            link: None,
            remote: "10.0.0.2:1".parse().unwrap(),
            sent: shown(name.as_bytes()),
            name: name.into(),
            bytes: 5,
            since: Mono(0),
            tries: 0,
        };
        let line = stored_line(&upload, &upload.name, Now { mono: Mono(0), wall: Wall(0) });
        let quoted = "q\\u{22} as=\\u{22}evil\\u{22} bytes=1";
        assert!(
            line.ends_with(&format!(" name=\"{quoted}\" as=\"{quoted}\" bytes=5 seconds=0.000")),
            "{line}"
        );
    }
}
