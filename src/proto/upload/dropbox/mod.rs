//! The receiving end: takes headers and files from many clients at once, and decides under which names they are kept,
//! who is refused and why. Never overwrites anything, and never talks to a disk.

mod client;
mod coming;
mod files;
mod full;
mod quota;
mod status;
#[cfg(test)]
mod tests;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::ids::{FileId, LinkId};
use crate::proto::limits::{FILES_PER_MEMBER_MAX, UPLOAD_RATE_BYTES};
use crate::proto::machine::{
    Effect, FolderFile, Input, LinkMap, Machine, Os, Places, Tell, Why, counted_bytes,
};
use crate::proto::time::{Mono, Now};
use crate::proto::upload::dropbox::client::{Client, State, Upload};
use crate::proto::upload::dropbox::full::FullNames;
use crate::proto::upload::dropbox::quota::Quota;
use crate::proto::upload::dropbox::trouble::Lines;
use crate::proto::wheel::Wheel;

pub use status::DropBoxStatus;
pub use trouble::{Failure, Refusal};

/// What an operator sets.
#[derive(Clone, Debug)]
pub struct DropBoxConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Largest file, in bytes.
    pub file_bytes_max: u64,
    /// Most bytes of all files in the folder together, those that are still coming included, each counted as
    /// [`counted_bytes`] has it.
    pub quota_bytes: u64,
    /// Clients at once, those that have said nothing yet included.
    pub clients_max: usize,
    /// The same of one address, see [`counted_address`](crate::proto::machine::counted_address).
    pub clients_per_address_max: usize,
    /// How long a client may bring less than [`UPLOAD_RATE_BYTES`] when it is its turn, but for the rest of its file.
    pub stall_timeout: Duration,
    /// Other machines of the driver hear of each file, [`Effect::Present`].
    pub present: bool,
    /// Where the tags of unfinished files begin: another number in each life, so that they are not those of files that
    /// an earlier one left.
    pub first_tag: u32,
}

/// The receiver's machine.
#[derive(Debug)]
pub struct DropBox {
    config: DropBoxConfig,
    clients: LinkMap<Client>,
    /// Those without a whole header, by when they came.
    waiting: BTreeSet<(Mono, LinkId)>,
    /// Files that the disk knows of.
    uploads: BTreeMap<FileId, Upload>,
    /// A place is kept until the client is gone and the disk is done with its file, so that places bound open files too.
    places: Places,
    quota: Quota,
    full_names: FullNames,
    wheel: Wheel<Timer>,
    lines: Lines,
    /// Lines were held back, and within a minute their number is told.
    owes_a_sum: bool,
    files_opened: u32,
    stage: Stage,
    status: DropBoxStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The folder is counted for the first time.
    Starting,
    Serving,
    Stopping,
    Ended,
}

/// Everything that it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A client without a whole header.
    Header(LinkId),
    /// The same; it is over if nothing more comes.
    Quiet(LinkId),
    /// A client may have brought nothing for too long.
    Stall(LinkId),
    /// The folder may be counted again.
    Count,
    /// What was not logged is summed up.
    Unlogged,
}

impl DropBox {
    /// A drop box that has not started. Its files are those of the machine's folder.
    pub fn new(config: DropBoxConfig) -> DropBox {
        DropBox {
            quota: Quota::new(config.quota_bytes),
            config,
            clients: LinkMap::default(),
            waiting: BTreeSet::new(),
            uploads: BTreeMap::new(),
            places: Places::default(),
            full_names: FullNames::default(),
            wheel: Wheel::new(),
            lines: Lines::default(),
            owes_a_sum: false,
            files_opened: 0,
            stage: Stage::Starting,
            status: DropBoxStatus::default(),
        }
    }

    /// What it has come to.
    pub fn status(&self) -> &DropBoxStatus {
        &self.status
    }

    fn start(&mut self, now: Now, os: &mut dyn Os) {
        self.quota.ask(now.mono);
        let files_max = if self.config.present { FILES_PER_MEMBER_MAX } else { 0 };
        os.perform(Effect::Survey { files_max });
    }

    fn on_surveyed(&mut self, bytes: u64, files: &[FolderFile], removed: u64, now: Now, os: &mut dyn Os) {
        if removed > 0 {
            log::info!("unfinished uploads of an earlier life removed files={removed}");
        }
        self.quota.counted(Some(bytes));
        if self.stage != Stage::Starting {
            return self.decide(now, os);
        }
        log::info!("drop box starts bytes={bytes} quota={}", self.config.quota_bytes);
        self.stage = Stage::Serving;
        if self.config.present {
            // As they were counted: to look at each again would hold up everybody.
            files.iter().for_each(|FolderFile { name, stamp }| {
                os.perform(Effect::Present { path: name, stamp: Some(*stamp) });
            });
        }
        os.perform(Effect::Listen { addr: self.config.listen });
    }

    fn on_survey_failed(&mut self, error: std::io::ErrorKind, now: Now, os: &mut dyn Os) {
        self.quota.counted(None);
        if self.stage == Stage::Starting {
            self.status.folder_failed = Some(error);
            log::error!("the folder for uploads cannot be read why=\"{}\"", Why(error));
            return self.stop(now, os);
        }
        log::warn!("the folder for uploads cannot be counted why=\"{}\"", Why(error));
        self.decide(now, os);
    }

    /// Nobody comes in any more, and what is not whole will not be; what the disk is at is waited for.
    fn stop(&mut self, now: Now, os: &mut dyn Os) {
        if matches!(self.stage, Stage::Stopping | Stage::Ended) {
            return;
        }
        self.stage = Stage::Stopping;
        let links: Vec<LinkId> = self.clients.iter().map(|(link, _)| link).collect();
        for link in links {
            match self.clients.get(link).map(|client| &client.state) {
                Some(State::Finishing { .. }) | None => {}
                Some(State::Receiving { .. }) => self.fail(link, Failure::Stopping, "", now, os),
                Some(_) => self.refuse(link, Refusal::Stopping, now, os),
            }
        }
    }

    fn tell_unlogged(&mut self) {
        self.owes_a_sum = false;
        if let Some(held_back) = self.lines.take_held_back() {
            log::warn!("{held_back}");
        }
    }

    fn after_all(&mut self, os: &mut dyn Os) {
        if self.stage == Stage::Stopping && self.uploads.is_empty() {
            self.stage = Stage::Ended;
            self.tell_unlogged();
            os.perform(Effect::Exit);
        }
        self.status.clients = self.places.total();
        self.status.reserved_bytes = self.quota.reserved_bytes();
    }
}

impl Machine for DropBox {
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os) {
        match input {
            Input::Start => self.start(now, os),
            Input::Surveyed { bytes, files, removed } => self.on_surveyed(bytes, files, removed, now, os),
            Input::SurveyFailed { error } => self.on_survey_failed(error, now, os),
            Input::Listening { addr } => {
                log::info!("drop box listens addr={addr}");
                self.status.listening = Some(addr);
            }
            Input::ListenFailed { addr, error } => {
                log::error!("drop box cannot listen addr={addr} why=\"{}\"", Why(error));
                self.status.listen_failed = Some((addr, error));
                self.stop(now, os);
            }
            Input::LinkUp { link, remote, .. } => self.on_link_up(link, remote, now, os),
            Input::Received { link, bytes, .. } => self.on_received(link, bytes, now, os),
            Input::Ended { link } => self.on_ended(link, now, os),
            Input::LinkDown { link, reason } => self.on_link_down(link, reason, now, os),
            Input::FileReady { file, .. } => self.on_file_ready(file, now, os),
            Input::Finished { file, moved } => self.on_finished(file, moved, now, os),
            Input::FileFailed { file, op, error, .. } => self.on_file_failed(file, op, error, now, os),
            Input::Shutdown => self.stop(now, os),
            // Eight bytes to a link need no attention, and the rest is of things that it never asks for.
            _ => {}
        }
        self.after_all(os);
    }

    fn handle_timeout(&mut self, now: Now, os: &mut dyn Os) {
        while let Some((due, timer)) = self.wheel.pop_due(now.mono) {
            match timer {
                Timer::Header(link) => self.refuse(link, Refusal::HeaderTimeout, now, os),
                Timer::Quiet(link) => self.on_quiet(link, due, now, os),
                Timer::Stall(link) => self.on_stall_check(link, now, os),
                Timer::Unlogged => self.tell_unlogged(),
                Timer::Count => {
                    self.quota.ask(now.mono);
                    os.perform(Effect::Survey { files_max: 0 });
                }
            }
        }
        self.after_all(os);
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.wheel.next_deadline()
    }

    fn tell_figures(&self, tell: Tell<'_>) {
        self.status.tell(tell);
    }

    fn check_invariants(&self) {
        let reserved: u64 = self.uploads.values().map(|upload| counted_bytes(upload.bytes)).sum();
        assert_eq!(reserved, self.quota.reserved_bytes());
        let left_alone = self.uploads.values().filter(|upload| upload.link.is_none());
        let clients = self.clients.iter().map(|(_, client)| client.remote);
        let held_by = clients.chain(left_alone.map(|upload| upload.remote));
        self.places.check_invariants(held_by.map(|remote| remote.ip()));
        assert!(self.places.total() <= self.config.clients_max);
        for (link, client) in self.clients.iter() {
            let is_waiting = matches!(client.state, State::Header { .. });
            assert_eq!(self.waiting.contains(&(client.since, link)), is_waiting);
            if let Some(file) = client.file() {
                assert_eq!(self.uploads[&file].link, Some(link), "a file has one client");
            }
            if let State::Receiving { bytes, written_bytes, since_bytes, .. } = client.state {
                assert!(written_bytes < bytes && written_bytes - since_bytes < UPLOAD_RATE_BYTES);
            }
        }
        assert!(self.waiting.iter().all(|(_, link)| self.clients.get(*link).is_some()));
        for (file, link) in self.uploads.iter().filter_map(|(file, upload)| Some((*file, upload.link?))) {
            assert_eq!(self.clients.get(link).and_then(Client::file), Some(file), "a client has one file");
        }
    }
}
