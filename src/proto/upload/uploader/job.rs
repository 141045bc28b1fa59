//! One file on its way: what the other end is asked, what it says, and how long it may take. Decides nothing about
//! which file is next.

use std::time::Duration;

use crate::proto::ids::{FileId, LinkId};
use crate::proto::limits::{HEADER_SIZE_BYTES, UPLOAD_END_PATIENCE, UPLOAD_SLICE_BYTES, WRITE_BUDGET_BYTES};
use crate::proto::machine::{CloseReason, Effect, Os};
use crate::proto::time::{Mono, Now};
use crate::proto::upload::GO_AHEAD;
use crate::proto::upload::uploader::trouble::quote;
use crate::proto::upload::uploader::{UploadState, UploadTrouble, Uploader};

/// A file that is under way.
#[derive(Debug)]
pub(super) struct Job {
    /// When its turn came.
    pub(super) began: Mono,
    pub(super) stage: Stage,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Stage {
    /// The disk looks for it.
    Opening,
    /// The connection is being made.
    Dialing,
    /// The header is out, and so many bytes of `go ahead` have come. Of an empty file that is all: it may be stored
    /// without another word.
    Asking { link: LinkId, heard: usize },
    /// So many bytes were given to the driver, which has not got rid of the last of them.
    Sending { link: LinkId, given: u64 },
    /// All of it has gone, `since` then; `shut`: our own end too.
    Ending { link: LinkId, since: Mono, shut: bool },
}

impl Stage {
    /// The connection, once there is one.
    pub(super) fn link(&self) -> Option<LinkId> {
        match self {
            Stage::Opening | Stage::Dialing => None,
            Stage::Asking { link, .. } | Stage::Sending { link, .. } | Stage::Ending { link, .. } => {
                Some(*link)
            }
        }
    }

    /// What people are told of it.
    pub(super) fn state(&self) -> UploadState {
        match self {
            Stage::Opening | Stage::Dialing | Stage::Asking { .. } => UploadState::Asking,
            Stage::Sending { .. } => UploadState::Sending,
            Stage::Ending { .. } => UploadState::Closing,
        }
    }
}

impl Uploader {
    /// Whether that is the whole file.
    pub(super) fn is_all(&self, place: u32, bytes: u64) -> bool {
        self.files[place as usize].bytes == Some(bytes)
    }

    pub(super) fn on_up(&mut self, place: u32, link: LinkId, now: Now, os: &mut dyn Os) {
        if !self.jobs.contains_key(&place) {
            return os.perform(Effect::Close { link, reason: CloseReason::Unwanted });
        }
        self.links.insert(link, place);
        let status = &self.files[place as usize];
        let mut header = Vec::with_capacity(HEADER_SIZE_BYTES + status.name.len());
        header.extend_from_slice(&status.bytes.unwrap_or(0).to_be_bytes());
        header.extend_from_slice(status.name.as_bytes());
        os.perform(Effect::Send { link, bytes: &header });
        self.enter(place, Stage::Asking { link, heard: 0 });
        self.timers.insert(place, now.mono + self.config.timeout);
    }

    pub(super) fn on_received(&mut self, link: LinkId, bytes: &[u8], now: Now, os: &mut dyn Os) {
        let Some(place) = self.links.get(link).copied() else { return };
        let Some(job) = self.jobs.get_mut(&place) else { return };
        let trouble = match &mut job.stage {
            Stage::Asking { heard, .. } => {
                let before = *heard;
                let missing = &GO_AHEAD[before..];
                let same = missing.iter().zip(bytes).take_while(|(one, other)| one == other).count();
                *heard += same;
                match (*heard == GO_AHEAD.len(), &bytes[same..]) {
                    (true, []) => return self.send_slice(place, link, 0, now, os),
                    (true, more) => UploadTrouble::ServerSaidMore(quote(&[], more)),
                    (false, []) => return,
                    (false, _) => UploadTrouble::ServerAnswered(quote(&GO_AHEAD[..before], bytes)),
                }
            }
            Stage::Sending { .. } => UploadTrouble::ServerSaidMore(quote(&[], bytes)),
            Stage::Ending { .. } => UploadTrouble::ServerSpokeAtEnd(quote(&[], bytes)),
            Stage::Opening | Stage::Dialing => return,
        };
        self.give_up(place, (trouble, CloseReason::Misbehaved), now, os);
    }

    /// A last slice is too short for the driver to promise word of it: it counts as gone unless it is blocked.
    pub(super) fn on_blocked(&mut self, link: LinkId, now: Now) {
        let Some(place) = self.links.get(link).copied() else { return };
        let Some(Stage::Ending { shut: false, .. }) = self.jobs.get(&place).map(|job| &job.stage) else {
            return;
        };
        let status = &mut self.files[place as usize];
        let given = status.bytes.unwrap_or(0);
        status.bytes_sent = given / UPLOAD_SLICE_BYTES * UPLOAD_SLICE_BYTES;
        self.enter(place, Stage::Sending { link, given });
        self.timers.insert(place, now.mono + self.config.timeout);
    }

    pub(super) fn on_drained(&mut self, link: LinkId, now: Now, os: &mut dyn Os) {
        let Some(place) = self.links.get(link).copied() else { return };
        if let Some(Stage::Sending { given, .. }) = self.jobs.get(&place).map(|job| &job.stage) {
            let given = *given;
            self.files[place as usize].bytes_sent = given;
            self.send_slice(place, link, given, now, os);
        }
    }

    /// All before `given` has gone: what comes next goes out, or the end is waited for.
    fn send_slice(&mut self, place: u32, link: LinkId, given: u64, now: Now, os: &mut dyn Os) {
        let left = self.files[place as usize].bytes.unwrap_or(0) - given;
        let len = left.min(UPLOAD_SLICE_BYTES);
        if len > 0 {
            os.perform(Effect::SendFile { link, file: FileId(place), offset: given, len });
        }
        if len > WRITE_BUDGET_BYTES as u64 {
            self.enter(place, Stage::Sending { link, given: given + len });
            self.timers.insert(place, now.mono + self.config.timeout);
            return;
        }
        self.files[place as usize].bytes_sent = given + len;
        self.enter(place, Stage::Ending { link, since: now.mono, shut: false });
        self.timers.insert(place, now.mono + patience(self.config.timeout));
    }

    /// The other end has taken too long.
    pub(super) fn on_time(&mut self, place: u32, now: Now, os: &mut dyn Os) {
        let (timeout, is_empty) = (self.config.timeout, self.is_all(place, 0));
        let Some(job) = self.jobs.get_mut(&place) else { return };
        let trouble = match &mut job.stage {
            Stage::Opening | Stage::Dialing => return,
            Stage::Asking { .. } if is_empty => UploadTrouble::ServerSilentAtEnd(timeout),
            Stage::Asking { .. } => UploadTrouble::ServerSilent(timeout),
            Stage::Sending { .. } => UploadTrouble::ServerStalled(timeout),
            Stage::Ending { link, since, shut: shut @ false } => {
                *shut = true;
                os.perform(Effect::Shut { link: *link });
                self.timers.insert(place, *since + timeout);
                return;
            }
            Stage::Ending { .. } => UploadTrouble::ServerSilentAtEnd(timeout),
        };
        self.give_up(place, (trouble, CloseReason::Silent), now, os);
    }

    fn enter(&mut self, place: u32, stage: Stage) {
        self.files[place as usize].state = stage.state();
        if let Some(job) = self.jobs.get_mut(&place) {
            job.stage = stage;
        }
    }
}

/// How long the other end is waited for before it hears ours.
fn patience(timeout: Duration) -> Duration {
    UPLOAD_END_PATIENCE.min(timeout / 2)
}
