//! The sending end: brings files to a drop box, ours or another, and finds out whether they arrived. Reads no file, and
//! never tries again: a file whose end nobody knows would be stored twice.
//!
//! For each file: open it, connect, send the header, wait for `go ahead`, send exactly as many bytes as were announced, wait
//! for the other end's end. An orderly end after the last byte, when the other side has taken all of it, means that it
//! arrived; everything else is a failure with its own [`UploadTrouble`]. A receiver that reads until the sender's end hears
//! that end after [`UPLOAD_END_PATIENCE`](crate::proto::limits::UPLOAD_END_PATIENCE).

mod job;
#[cfg(test)]
mod tests;
mod trouble;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::ids::{DialId, FileId, LinkId};
use crate::proto::machine::{
    CloseReason, DownReason, Effect, FileOp, Input, LinkMap, Machine, OpenMode, Origin, Os,
};
use crate::proto::time::{Mono, Now};
use crate::proto::wheel::Wheel;

use job::{Job, Stage};

pub use trouble::UploadTrouble;

/// What a user sets.
#[derive(Clone, Debug)]
pub struct UploadConfig {
    /// The drop box.
    pub to: SocketAddr,
    /// What to bring there, in this order.
    pub files: Vec<UploadFile>,
    /// How many at once.
    pub jobs: usize,
    /// How long the other end may neither take nor say anything.
    pub timeout: Duration,
}

/// A file to bring.
#[derive(Clone, Debug)]
pub struct UploadFile {
    /// Where it lies, below the machine's folder.
    pub path: String,
    /// What it is called there.
    pub name: String,
}

/// How far a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadState {
    /// Its turn has not come.
    Waiting,
    /// It is being opened, or the other end has not said to go ahead.
    Asking,
    /// Its bytes are on their way.
    Sending,
    /// All of it has gone; the other end has not said its end.
    Closing,
    /// The other end has taken all of it.
    Done,
    /// It has not, or nobody knows; why.
    Failed(UploadTrouble),
}

/// How a file stands.
#[derive(Clone, Debug)]
pub struct UploadStatus {
    /// What it is called there.
    pub name: String,
    /// Its size in bytes, once it is known.
    pub bytes: Option<u64>,
    /// Bytes that the kernel has taken.
    pub bytes_sent: u64,
    /// How far it is.
    pub state: UploadState,
    /// How long it took, once it has come to its end.
    pub took: Duration,
}

/// The sender's machine. It ends when every file is done or has failed.
#[derive(Debug)]
pub struct Uploader {
    config: UploadConfig,
    files: Vec<UploadStatus>,
    /// What is under way, by the place of its file, which is also the number of the file and of the dial.
    jobs: BTreeMap<u32, Job>,
    links: LinkMap<u32>,
    /// How long the other end of a job may go on as it does.
    timers: Wheel<u32>,
    /// The first file whose turn has not come.
    next: u32,
    has_exited: bool,
}

impl Uploader {
    /// A sender that has not started.
    pub fn new(config: UploadConfig) -> Uploader {
        let waiting = |file: &UploadFile| UploadStatus {
            name: file.name.clone(),
            bytes: None,
            bytes_sent: 0,
            state: UploadState::Waiting,
            took: Duration::ZERO,
        };
        Uploader {
            files: config.files.iter().map(waiting).collect(),
            config,
            jobs: BTreeMap::new(),
            links: LinkMap::default(),
            timers: Wheel::new(),
            next: 0,
            has_exited: false,
        }
    }

    /// How each file stands, in the order of the config.
    pub fn files(&self) -> &[UploadStatus] {
        &self.files
    }

    /// Begins what may begin, and ends when nothing is left.
    fn go_on(&mut self, now: Now, os: &mut dyn Os) {
        while self.jobs.len() < self.config.jobs && (self.next as usize) < self.files.len() {
            let place = self.next;
            self.next += 1;
            self.files[place as usize].state = UploadState::Asking;
            self.jobs.insert(place, Job { began: now.mono, stage: Stage::Opening });
            let path = &self.config.files[place as usize].path;
            os.perform(Effect::Open { file: FileId(place), path, mode: OpenMode::Existing, aside: "" });
        }
        if self.jobs.is_empty() && !self.has_exited {
            self.has_exited = true;
            os.perform(Effect::Exit);
        }
    }

    fn on_opened(&mut self, place: u32, bytes: u64, os: &mut dyn Os) {
        let Some(job) = self.jobs.get_mut(&place) else { return };
        job.stage = Stage::Dialing;
        self.files[place as usize].bytes = Some(bytes);
        os.perform(Effect::Dial { dial: DialId(place), addr: self.config.to });
    }

    fn on_down(&mut self, link: LinkId, reason: DownReason, now: Now, os: &mut dyn Os) {
        let Some(place) = self.links.remove(link) else { return };
        let Some(job) = self.jobs.get(&place) else { return };
        let ended = match (&job.stage, reason) {
            (_, DownReason::FileFailed) => Err(UploadTrouble::FileChanged),
            (Stage::Opening | Stage::Dialing, _) => return,
            (Stage::Asking { .. }, DownReason::Eof | DownReason::Unread) => Err(UploadTrouble::ServerRefused),
            (Stage::Asking { .. }, _) if self.is_all(place, 0) => Err(UploadTrouble::LinkBrokeAtEnd(reason)),
            (Stage::Asking { .. }, _) => Err(UploadTrouble::LinkBrokeEarly(reason)),
            // The other side has taken everything that was sent.
            (Stage::Sending { given, .. }, DownReason::Eof) if self.is_all(place, *given) => Ok(()),
            (Stage::Ending { .. }, DownReason::Eof) => Ok(()),
            (_, DownReason::Eof | DownReason::Unread) => Err(UploadTrouble::ServerClosed),
            (Stage::Sending { .. }, _) => Err(UploadTrouble::LinkBroke(reason)),
            (Stage::Ending { .. }, _) => Err(UploadTrouble::LinkBrokeAtEnd(reason)),
        };
        self.conclude(place, ended, now, os);
    }

    /// A file has come to its end. Its link is gone already.
    fn conclude(&mut self, place: u32, ended: Result<(), UploadTrouble>, now: Now, os: &mut dyn Os) {
        let Some(job) = self.jobs.remove(&place) else { return };
        self.timers.cancel(&place);
        if !matches!(job.stage, Stage::Opening) {
            os.perform(Effect::Release { file: FileId(place) });
        }
        let status = &mut self.files[place as usize];
        status.took = now.mono - job.began;
        log::debug!("upload ended file={:?} result={ended:?}", status.name);
        status.state = match ended {
            Ok(()) => {
                status.bytes_sent = status.bytes.unwrap_or(0);
                UploadState::Done
            }
            Err(trouble) => UploadState::Failed(trouble),
        };
    }

    /// The same by our own decision: the other end must not take it for an orderly one.
    fn give_up(
        &mut self,
        place: u32,
        (trouble, reason): (UploadTrouble, CloseReason),
        now: Now,
        os: &mut dyn Os,
    ) {
        if let Some(link) = self.jobs.get(&place).and_then(|job| job.stage.link()) {
            self.links.remove(link);
            os.perform(Effect::Reset { link, reason });
        }
        self.conclude(place, Err(trouble), now, os);
    }

    /// The user wants no more of it.
    fn interrupt(&mut self, now: Now, os: &mut dyn Os) {
        let running: Vec<u32> = self.jobs.keys().copied().collect();
        for place in running {
            let trouble = match &self.jobs[&place].stage {
                Stage::Ending { .. } => UploadTrouble::InterruptedAtEnd,
                Stage::Asking { .. } if self.is_all(place, 0) => UploadTrouble::InterruptedAtEnd,
                _ => UploadTrouble::Interrupted,
            };
            self.give_up(place, (trouble, CloseReason::Shutdown), now, os);
        }
        for file in &mut self.files[self.next as usize..] {
            file.state = UploadState::Failed(UploadTrouble::Interrupted);
        }
        self.next = self.files.len() as u32;
    }
}

impl Machine for Uploader {
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os) {
        match input {
            Input::FileReady { file, bytes, .. } => self.on_opened(file.0, bytes, os),
            Input::FileFailed { file, op: FileOp::Open, error, .. } => {
                self.conclude(file.0, Err(UploadTrouble::FileNotOpened(error)), now, os);
            }
            Input::LinkUp { link, origin: Origin::Dialed(dial), .. } => self.on_up(dial.0, link, now, os),
            Input::DialFailed { dial, error } => {
                let to = self.config.to;
                self.conclude(dial.0, Err(UploadTrouble::ServerUnreachable { to, error }), now, os);
            }
            Input::Received { link, bytes, .. } => self.on_received(link, bytes, now, os),
            Input::Blocked { link } => self.on_blocked(link, now),
            Input::Drained { link } => self.on_drained(link, now, os),
            Input::LinkDown { link, reason } => self.on_down(link, reason, now, os),
            Input::Shutdown => self.interrupt(now, os),
            // Nothing else is ever asked for.
            _ => {}
        }
        self.go_on(now, os);
    }

    fn handle_timeout(&mut self, now: Now, os: &mut dyn Os) {
        while let Some((_, place)) = self.timers.pop_due(now.mono) {
            self.on_time(place, now, os);
        }
        self.go_on(now, os);
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.timers.next_deadline()
    }

    fn check_invariants(&self) {
        assert!(self.jobs.len() <= self.config.jobs);
        assert!(self.links.iter().all(|(_, place)| self.jobs.contains_key(place)), "a link without a job");
        for (place, job) in &self.jobs {
            let status = &self.files[*place as usize];
            assert_eq!(status.state, job.stage.state(), "file {place}");
            if let Some(link) = job.stage.link() {
                assert_eq!(self.links.get(link), Some(place));
                assert!(self.timers.deadline(place).is_some(), "somebody is waited for without end");
            }
            assert!(status.bytes_sent <= status.bytes.unwrap_or(0));
        }
        let running = |file: &UploadStatus| {
            !matches!(file.state, UploadState::Waiting | UploadState::Done | UploadState::Failed(_))
        };
        assert_eq!(self.files.iter().filter(|file| running(file)).count(), self.jobs.len());
        assert!(!self.has_exited || self.jobs.is_empty());
    }
}
