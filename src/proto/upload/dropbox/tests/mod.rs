//! The drop box with a driver by hand: a folder in memory that keeps the border's promises, and answers that can be held
//! back or turned into failures.

mod endings;
mod files;
mod headers;
mod places;
mod quotas;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::ids::{FileId, LinkId};
use crate::proto::limits::HEADER_QUIET;
use crate::proto::machine::{
    CloseReason, DownReason, Effect, FileOp, FolderFile, Input, Machine, OpenMode, Origin, Os, Stamp,
    counted_bytes, numbered_name, temp_name,
};
use crate::proto::time::{Mono, Now, Wall};
use crate::proto::upload::{DropBox, DropBoxConfig, Failure, Refusal};

/// How the machine ended a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Closed(CloseReason),
    Reset(CloseReason),
}

const REFUSED: Option<End> = Some(End::Closed(CloseReason::Refused));
const DONE: Option<End> = Some(End::Closed(CloseReason::Done));
const FAILED: Option<End> = Some(End::Reset(CloseReason::Failed));

#[derive(Debug)]
struct Opened {
    path: String,
    temp: String,
    content: Vec<u8>,
    bytes: u64,
    broken: bool,
}

/// The driver: what was sent to each link, how each was ended, what is in the folder.
#[derive(Default)]
struct Hand {
    sent: BTreeMap<LinkId, Vec<u8>>,
    ended: BTreeMap<LinkId, End>,
    held: BTreeSet<LinkId>,
    open: BTreeMap<FileId, Opened>,
    /// What is whole.
    folder: BTreeMap<String, Vec<u8>>,
    presented: Vec<String>,
    presented_as_counted: u32,
    asked: VecDeque<(FileId, FileOp)>,
    surveys: usize,
    surveys_asked: usize,
    listens: bool,
    exited: bool,
    write_fails: bool,
}

impl Os for Hand {
    fn perform(&mut self, effect: Effect<'_>) {
        assert!(!self.exited, "{effect:?} after the end");
        match effect {
            Effect::Send { link, bytes } => {
                assert!(self.held.contains(&link), "our end would follow the client's");
                self.sent.entry(link).or_default().extend_from_slice(bytes);
            }
            Effect::Hold { link } => {
                assert!(!self.sent.contains_key(&link), "held before anybody could end");
                self.held.insert(link);
            }
            Effect::Close { link, reason } => self.end(link, End::Closed(reason)),
            Effect::Reset { link, reason } => self.end(link, End::Reset(reason)),
            Effect::Open { file, path, mode: OpenMode::Fresh { bytes, tag }, aside: "" } => {
                let (path, temp, content) = (path.to_owned(), temp_name(path, tag), Vec::new());
                let older = self.open.insert(file, Opened { path, temp, content, bytes, broken: false });
                assert!(older.is_none(), "{file:?} is used again");
                self.asked.push_back((file, FileOp::Open));
            }
            Effect::WriteAt { file, offset, bytes } => {
                let opened = self.open.get_mut(&file).expect("it is open");
                assert_eq!(opened.content.len() as u64, offset);
                assert!(!bytes.is_empty() && offset + bytes.len() as u64 <= opened.bytes);
                opened.content.extend_from_slice(bytes);
                if self.write_fails {
                    opened.broken = true;
                    self.asked.push_back((file, FileOp::WriteAt));
                }
            }
            Effect::Finish { file } => self.asked.push_back((file, FileOp::Finish)),
            Effect::Release { file } => drop(self.open.remove(&file).expect("it is open")),
            Effect::Survey { .. } => {
                self.surveys += 1;
                self.surveys_asked += 1;
            }
            Effect::Present { path, stamp } => {
                self.presented_as_counted += u32::from(stamp.is_some());
                self.presented.push(path.to_owned());
            }
            Effect::Listen { .. } => self.listens = true,
            Effect::Exit => self.exited = true,
            other => panic!("{other:?}"),
        }
    }
}

impl Hand {
    fn end(&mut self, link: LinkId, how: End) {
        assert!(self.ended.insert(link, how).is_none(), "{link:?} is ended twice");
    }
}

struct Desk {
    dropbox: DropBox,
    hand: Hand,
    now: Now,
    links: u32,
    holds: [bool; 3],
    open_error: Option<ErrorKind>,
    finish_error: Option<ErrorKind>,
}

/// What the driver does not answer until it is told to.
const OPENS: usize = 0;
const FINISHES: usize = 1;
const SURVEYS: usize = 2;

const STALL: Duration = Duration::from_secs(60);

fn config() -> DropBoxConfig {
    DropBoxConfig {
        listen: "10.0.0.1:12000".parse().unwrap(),
        file_bytes_max: 100_000,
        quota_bytes: 200_000,
        clients_max: 4,
        clients_per_address_max: 3,
        stall_timeout: STALL,
        present: true,
        first_tag: 0xbad_cafe,
    }
}

fn header(bytes: u64, name: impl AsRef<[u8]>) -> Vec<u8> {
    [&bytes.to_be_bytes(), name.as_ref()].concat()
}

impl Desk {
    fn new() -> Desk {
        Desk::of(config())
    }

    fn of(config: DropBoxConfig) -> Desk {
        let mut desk = Desk::unstarted(config);
        desk.input(Input::Start);
        assert!(desk.hand.listens);
        desk.input(Input::Listening { addr: "10.0.0.1:12000".parse().unwrap() });
        desk
    }

    fn unstarted(config: DropBoxConfig) -> Desk {
        let now = Now { mono: Mono(7), wall: Wall(1_795_230_780_000_000_000) };
        let (dropbox, hand) = (DropBox::new(config), Hand::default());
        Desk { dropbox, hand, now, links: 0, holds: [false; 3], open_error: None, finish_error: None }
    }

    fn input(&mut self, input: Input<'_>) {
        self.dropbox.handle_input(input, self.now, &mut self.hand);
        self.settle();
    }

    /// Answers what is not held back.
    fn settle(&mut self) {
        self.dropbox.check_invariants();
        if self.hand.surveys > 0 && !self.holds[SURVEYS] {
            self.hand.surveys -= 1;
            self.survey();
        }
        let held = |op: &FileOp| match op {
            FileOp::Open => self.holds[OPENS],
            FileOp::Finish => self.holds[FINISHES],
            _ => false,
        };
        if let Some(place) = self.hand.asked.iter().position(|(_, op)| !held(op)) {
            let (file, op) = self.hand.asked.remove(place).expect("it is there");
            self.answer(file, op);
            self.settle();
        }
    }

    fn survey(&mut self) {
        let bytes = self.hand.folder.values().map(|content| counted_bytes(content.len() as u64)).sum();
        let found = |name: &String| FolderFile { name: name.clone(), stamp: Stamp::default() };
        let files: Vec<FolderFile> = self.hand.folder.keys().map(found).collect();
        self.input(Input::Surveyed { bytes, files: &files, removed: 0 });
    }

    fn answer(&mut self, file: FileId, op: FileOp) {
        let Some(opened) = self.hand.open.get_mut(&file) else { return };
        let error = match op {
            FileOp::Open => self.open_error,
            FileOp::WriteAt => Some(ErrorKind::StorageFull),
            _ if opened.broken => Some(ErrorKind::StorageFull),
            _ => self.finish_error,
        };
        if let Some(error) = error {
            if op == FileOp::Open {
                self.hand.open.remove(&file);
            }
            return self.input(Input::FileFailed { file, op, offset: 0, error });
        }
        if op == FileOp::Open {
            return self.input(Input::FileReady { file, bytes: 0, moved: None });
        }
        assert_eq!(opened.content.len() as u64, opened.bytes, "finished before the last byte");
        let mut names = (0..).map(|number| numbered_name(&opened.path, number));
        let name = names.find(|name| !self.hand.folder.contains_key(name)).unwrap();
        self.hand.folder.insert(name.clone(), opened.content.clone());
        self.input(Input::Finished { file, moved: Some(&name) });
    }

    /// Answers what was held back, from now on too.
    fn let_go(&mut self, what: usize) {
        self.holds[what] = false;
        self.settle();
    }

    fn elapse(&mut self, duration: Duration) {
        let end = self.now.mono + duration;
        while let Some(due) = self.dropbox.poll_timeout().filter(|due| *due <= end) {
            self.go_to(due);
            self.fire();
        }
        self.go_to(end);
    }

    fn fire(&mut self) {
        self.dropbox.handle_timeout(self.now, &mut self.hand);
        assert!(self.dropbox.poll_timeout().is_none_or(|next| next > self.now.mono));
        self.settle();
    }

    fn go_to(&mut self, mono: Mono) {
        self.now.wall.0 += mono.since_ns(self.now.mono);
        self.now.mono = self.now.mono.max(mono);
    }

    fn connect(&mut self) -> LinkId {
        self.connect_from("10.0.0.2:40000")
    }

    fn connect_from(&mut self, remote: &str) -> LinkId {
        self.links += 1;
        let link = LinkId { index: self.links, generation: 0 };
        let local: SocketAddr = "10.0.0.1:12000".parse().unwrap();
        let remote = remote.parse().unwrap();
        self.input(Input::LinkUp { link, origin: Origin::Accepted, local, remote });
        link
    }

    fn bring(&mut self, link: LinkId, bytes: impl AsRef<[u8]>) {
        let at = self.now.wall;
        self.input(Input::Received { link, bytes: bytes.as_ref(), at });
    }

    fn down(&mut self, link: LinkId, reason: DownReason) {
        match reason {
            DownReason::Eof if self.hand.held.contains(&link) => self.input(Input::Ended { link }),
            _ => self.input(Input::LinkDown { link, reason }),
        }
    }

    /// Says a header, and what an honest client does then: nothing.
    fn announce(&mut self, link: LinkId, bytes: u64, name: impl AsRef<[u8]>) {
        self.bring(link, header(bytes, name));
        self.elapse(HEADER_QUIET);
    }

    /// A client that has done so.
    fn client(&mut self, bytes: u64, name: impl AsRef<[u8]>) -> LinkId {
        let link = self.connect();
        self.announce(link, bytes, name);
        link
    }

    fn may_go_ahead(&self, link: LinkId) -> bool {
        match self.hand.sent.get(&link) {
            Some(sent) => {
                assert_eq!(sent, b"go ahead");
                true
            }
            None => false,
        }
    }

    fn ended(&self, link: LinkId) -> Option<End> {
        self.hand.ended.get(&link).copied()
    }

    fn stored(&self, name: &str) -> Option<&[u8]> {
        self.hand.folder.get(name).map(Vec::as_slice)
    }

    fn refused(&self, why: Refusal) -> u64 {
        self.dropbox.status().refused(why)
    }

    fn failed(&self, why: Failure) -> u64 {
        self.dropbox.status().failed(why)
    }

    /// Nobody is here, and nothing is left of anybody.
    #[track_caller]
    fn assert_at_rest(&self) {
        let status = self.dropbox.status();
        assert_eq!((status.clients, status.reserved_bytes, self.hand.open.len()), (0, 0, 0));
        assert_eq!(self.dropbox.poll_timeout(), None);
    }
}
