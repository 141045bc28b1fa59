//! A drop box steered by bytes: clients that say anything, a disk that answers in any order or fails, and time. What a
//! driver promises is kept here, and what the machine promises is checked after each step.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;

use tickmesh::proto::ids::{FileId, LinkId};
use tickmesh::proto::limits::{COUNTED_BYTES_MIN, STORED_NAME_BYTES_MAX};
use tickmesh::proto::machine::{
    CloseReason, DownReason, Effect, FileOp, Input, Machine, OpenMode, Origin, Os, counted_bytes, is_temp_name,
    temp_name,
};
use tickmesh::proto::time::{Mono, Now, Wall};
use tickmesh::proto::upload::{DropBox, DropBoxConfig};

/// Links that are up at once; more than the drop box has places for.
const LINKS: usize = 7;
const QUOTA_BYTES: u64 = 3 * COUNTED_BYTES_MIN;
/// After this with nothing else happening a machine that was asked to has ended.
const END_TIMEOUT: Duration = Duration::from_secs(1000);

#[derive(Debug)]
struct Link {
    id: LinkId,
    is_held: bool,
    has_ended: bool,
    /// The file for which it was told to go ahead, and all that came since.
    file: Option<FileId>,
    came: Vec<u8>,
}

#[derive(Debug)]
struct File {
    temp: String,
    bytes: u64,
    content: Vec<u8>,
    stage: Stage,
    is_broken: bool,
    is_released: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Opening,
    Open,
    Finishing,
    Finished,
}

/// Something that the disk has to answer.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Disk(FileId, FileOp, u64),
    Survey,
    Listen,
}

#[derive(Default)]
struct Hand {
    links: [Option<Link>; LINKS],
    files: BTreeMap<FileId, File>,
    asked: Vec<Asked>,
    /// The file that the machine hears of just now.
    ready: Option<FileId>,
    write_fails: bool,
    exited: bool,
}

impl Os for Hand {
    fn perform(&mut self, effect: Effect<'_>) {
        assert!(!self.exited, "{effect:?} after the end");
        match effect {
            Effect::Send { link, bytes } => {
                assert_eq!(bytes, b"go ahead");
                let ready = self.ready.take().expect("said when a file is ready");
                let link = self.link(link);
                assert!(link.is_held && link.file.is_none());
                link.file = Some(ready);
            }
            Effect::Hold { link } => self.link(link).is_held = true,
            Effect::Close { link, reason } => {
                let file = self.end(link).file;
                let is_stored = file.is_some_and(|file| self.files[&file].stage == Stage::Finished);
                match reason {
                    CloseReason::Done => assert!(is_stored, "a receipt for what is not stored"),
                    CloseReason::Refused | CloseReason::Shutdown => assert_eq!(file, None),
                    other => panic!("{other}"),
                }
            }
            Effect::Reset { link, .. } => assert!(self.end(link).file.is_some()),
            Effect::Open { file, path, mode: OpenMode::Fresh { bytes, tag }, .. } => self.open(file, path, bytes, tag),
            Effect::WriteAt { file, offset, bytes } => {
                let file_state = self.files.get_mut(&file).expect("it was opened");
                assert!(file_state.stage == Stage::Open && !file_state.is_released);
                assert_eq!(offset, file_state.content.len() as u64);
                file_state.content.extend_from_slice(bytes);
                assert!(!bytes.is_empty() && file_state.content.len() as u64 <= file_state.bytes);
                if self.write_fails {
                    file_state.is_broken = true;
                    self.asked.push(Asked::Disk(file, FileOp::WriteAt, offset));
                }
            }
            Effect::Finish { file } => {
                let opened = self.files.get_mut(&file).expect("it was opened");
                assert!(opened.stage == Stage::Open && !opened.is_released);
                assert_eq!(opened.content.len() as u64, opened.bytes, "finished before the last byte");
                opened.stage = Stage::Finishing;
                self.asked.push(Asked::Disk(file, FileOp::Finish, 0));
            }
            Effect::Release { file } => {
                let opened = self.files.get_mut(&file).expect("it was opened");
                assert!(!std::mem::replace(&mut opened.is_released, true), "released twice");
                assert_ne!(opened.stage, Stage::Finishing, "nobody hears how it ends");
            }
            Effect::Survey { .. } => self.asked.push(Asked::Survey),
            Effect::Listen { .. } => self.asked.push(Asked::Listen),
            Effect::Present { .. } => {}
            Effect::Exit => self.exited = true,
            other => panic!("{other:?}"),
        }
    }
}

impl Hand {
    fn link(&mut self, id: LinkId) -> &mut Link {
        let link = self.links[id.index as usize].as_mut();
        link.filter(|link| link.id == id).expect("the link is up")
    }

    fn end(&mut self, id: LinkId) -> Link {
        self.link(id);
        self.links[id.index as usize].take().expect("the link is up")
    }

    fn open(&mut self, file: FileId, path: &str, bytes: u64, tag: u32) {
        let mut parts = std::path::Path::new(path).components();
        assert!(matches!(parts.next(), Some(std::path::Component::Normal(_))) && parts.next().is_none());
        assert!(path.len() <= STORED_NAME_BYTES_MAX && !is_temp_name(path) && !path.contains(['\\', '\0', '\n']));
        let temp = temp_name(path, tag);
        let is_live = |file: &&File| !file.is_released && file.stage != Stage::Finished;
        assert!(self.files.values().filter(is_live).all(|file| file.temp != temp), "two files in one place");
        let promised: u64 = self.files.values().filter(is_live).map(|file| counted_bytes(file.bytes)).sum();
        assert!(promised + counted_bytes(bytes) <= QUOTA_BYTES);
        let (content, stage) = (Vec::new(), Stage::Opening);
        let new = File { temp, bytes, content, stage, is_broken: false, is_released: false };
        assert!(self.files.insert(file, new).is_none(), "{file:?} is used again");
        self.asked.push(Asked::Disk(file, FileOp::Open, 0));
    }

    /// What is in each file is what its client has sent.
    fn check(&self) {
        for link in self.links.iter().flatten() {
            if let Some(file) = link.file.map(|file| &self.files[&file]) {
                let len = link.came.len().min(file.bytes as usize);
                assert!(file.is_broken || file.content == link.came[..len]);
            }
        }
    }
}

struct Driver {
    dropbox: DropBox,
    hand: Hand,
    now: Now,
    links_made: u32,
}

/// Runs a drop box as `data` says, and then to its end.
pub fn play(mut data: &[u8]) {
    let config = DropBoxConfig {
        listen: "10.0.0.1:12000".parse().expect("an address"),
        file_bytes_max: 400,
        quota_bytes: QUOTA_BYTES,
        clients_max: 5,
        clients_per_address_max: 3,
        stall_timeout: Duration::from_secs(5),
        present: true,
        first_tag: 1,
    };
    let now = Now { mono: Mono(0), wall: Wall(1_795_230_780_000_000_000) };
    let mut driver = Driver { dropbox: DropBox::new(config), hand: Hand::default(), now, links_made: 0 };
    driver.input(Input::Start);
    while let [what, more, len, rest @ ..] = data {
        let (payload, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        data = rest;
        driver.step(*what, *more, payload);
        if driver.hand.exited {
            return driver.check_end();
        }
    }
    driver.input(Input::Shutdown);
    while !driver.hand.asked.is_empty() && !driver.hand.exited {
        driver.answer(0, true, 0);
    }
    if !driver.hand.exited {
        driver.elapse(END_TIMEOUT);
    }
    assert!(driver.hand.exited, "it never ends");
    driver.check_end();
}

impl Driver {
    fn check_end(&self) {
        let status = self.dropbox.status();
        assert_eq!((status.clients, status.reserved_bytes), (0, 0));
        assert!(self.hand.links.iter().flatten().all(|link| link.file.is_none()), "an end that nobody says");
        for file in self.hand.files.values() {
            assert!(file.is_released || file.stage == Stage::Opening, "{file:?} is left");
        }
    }

    fn step(&mut self, what: u8, more: u8, payload: &[u8]) {
        let place = usize::from(what / 16) % LINKS;
        match what % 16 {
            0..=4 => self.receive(place, more, payload),
            5..=7 => {
                let size = u64::from(more) * if payload.first() == Some(&b'>') { 1 << 56 } else { 1 };
                self.receive(place, more, &[&size.to_be_bytes(), payload].concat());
            }
            8 => self.end(place),
            9 => self.down(place, DownReason::Reset),
            10 => self.elapse(Duration::from_millis(u64::from(more) * 4)),
            11 => self.elapse(Duration::from_secs(u64::from(more))),
            12 => self.answer(usize::from(more), true, u64::from(payload.first().copied().unwrap_or(0))),
            13 => self.answer(usize::from(more), false, 0),
            14 => self.hand.write_fails ^= true,
            _ if more == 15 => self.input(Input::Shutdown),
            // The loop is held up.
            _ => {
                self.go_to(self.now.mono + Duration::from_millis(u64::from(more) * 4));
                if self.dropbox.poll_timeout().is_some_and(|due| due <= self.now.mono) {
                    self.fire();
                }
            }
        }
    }

    fn receive(&mut self, place: usize, more: u8, bytes: &[u8]) {
        if self.hand.links[place].is_none() {
            self.links_made += 1;
            let id = LinkId { index: place as u32, generation: self.links_made };
            let link = Link { id, is_held: false, has_ended: false, file: None, came: Vec::new() };
            self.hand.links[place] = Some(link);
            let local = "10.0.0.1:12000".parse().expect("an address");
            let remote = ([10, 0, 1, more % 4], 40000).into();
            self.input(Input::LinkUp { link: id, origin: Origin::Accepted, local, remote });
        }
        let Some(link) = &mut self.hand.links[place] else { return };
        if !link.has_ended && !bytes.is_empty() && !self.hand.exited {
            if link.file.is_some() {
                link.came.extend_from_slice(bytes);
            }
            let link = link.id;
            self.input(Input::Received { link, bytes, at: self.now.wall });
        }
    }

    fn end(&mut self, place: usize) {
        let Some(link) = &mut self.hand.links[place] else { return };
        if !link.is_held {
            return self.down(place, DownReason::Eof);
        }
        if !std::mem::replace(&mut link.has_ended, true) {
            let link = link.id;
            self.input(Input::Ended { link });
        }
    }

    fn down(&mut self, place: usize, reason: DownReason) {
        if let Some(Link { id, .. }) = self.hand.links[place].take() {
            self.input(Input::LinkDown { link: id, reason });
        }
    }

    /// Answers something that was asked, whichever; the disk works, or does not.
    fn answer(&mut self, number: usize, works: bool, bytes: u64) {
        if self.hand.asked.is_empty() || self.hand.exited {
            return;
        }
        let error = [ErrorKind::StorageFull, ErrorKind::AlreadyExists, ErrorKind::NotFound][number % 3];
        match self.hand.asked.remove(number % self.hand.asked.len()) {
            Asked::Survey if works => self.input(Input::Surveyed { bytes: bytes * 64, files: &[], removed: 0 }),
            Asked::Survey => self.input(Input::SurveyFailed { error }),
            Asked::Listen => {
                let addr = "10.0.0.1:12000".parse().expect("an address");
                self.input(if works { Input::Listening { addr } } else { Input::ListenFailed { addr, error } });
            }
            Asked::Disk(file, op, offset) => {
                let opened = self.hand.files.get_mut(&file).expect("it was opened");
                if opened.is_released && op != FileOp::Finish {
                    return;
                }
                if op == FileOp::WriteAt || !works || op == FileOp::Finish && opened.is_broken {
                    match op {
                        FileOp::Open => opened.is_released = true,
                        FileOp::Finish => opened.stage = Stage::Open,
                        _ => {}
                    }
                    return self.input(Input::FileFailed { file, op, offset, error });
                }
                if op == FileOp::Open {
                    opened.stage = Stage::Open;
                    self.hand.ready = Some(file);
                    self.input(Input::FileReady { file, bytes: 0, moved: None });
                    assert_eq!(self.hand.ready, None, "somebody waits for it");
                } else {
                    opened.stage = Stage::Finished;
                    self.input(Input::Finished { file, moved: Some("x") });
                }
            }
        }
    }

    fn input(&mut self, input: Input<'_>) {
        if !self.hand.exited {
            self.dropbox.handle_input(input, self.now, &mut self.hand);
            self.dropbox.check_invariants();
            self.hand.check();
        }
    }

    fn elapse(&mut self, time: Duration) {
        let end = self.now.mono + time;
        while let Some(due) = self.dropbox.poll_timeout().filter(|due| *due <= end && !self.hand.exited) {
            self.go_to(due);
            self.fire();
        }
        self.go_to(end);
    }

    fn fire(&mut self) {
        self.dropbox.handle_timeout(self.now, &mut self.hand);
        assert!(self.dropbox.poll_timeout().is_none_or(|next| next > self.now.mono));
        self.dropbox.check_invariants();
        self.hand.check();
    }

    fn go_to(&mut self, mono: Mono) {
        self.now.wall.0 += mono.since_ns(self.now.mono);
        self.now.mono = self.now.mono.max(mono);
    }
}
