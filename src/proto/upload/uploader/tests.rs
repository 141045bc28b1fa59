//! The sender's machine played by hand: every answer that a receiver may give, and every way in which a file, a link or
//! a user may end.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::proto::limits::{UPLOAD_END_PATIENCE, UPLOAD_SLICE_BYTES};
use crate::proto::machine::{Secret, Stamp};
use crate::proto::time::Wall;

const SLICE: u64 = UPLOAD_SLICE_BYTES;
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the machine has asked for, one word an effect.
#[derive(Default)]
struct Recorder {
    done: Vec<String>,
    sent: Vec<u8>,
}

impl Os for Recorder {
    fn perform(&mut self, effect: Effect<'_>) {
        self.done.push(match effect {
            Effect::Open { file, path, mode: OpenMode::Existing, .. } => format!("open {} {path}", file.0),
            Effect::Dial { dial, addr } => format!("dial {} {addr}", dial.0),
            Effect::Send { link, bytes } => {
                self.sent = bytes.to_owned();
                format!("send {}", link.index)
            }
            Effect::SendFile { link, file, offset, len } => {
                format!("send-file {} {} {offset}+{len}", link.index, file.0)
            }
            Effect::Shut { link } => format!("shut {}", link.index),
            Effect::Reset { link, reason } => format!("reset {} {reason}", link.index),
            Effect::Close { link, reason } => format!("close {} {reason}", link.index),
            Effect::Release { file } => format!("release {}", file.0),
            Effect::Exit => "exit".to_owned(),
            other => panic!("{other:?}"),
        });
    }
}

/// An uploader with files `a`, `b`, ... and the clock.
struct Desk {
    uploader: Uploader,
    os: Recorder,
    now: Now,
}

fn link(place: u32) -> LinkId {
    LinkId { index: place, generation: 0 }
}

fn addr() -> SocketAddr {
    "10.0.0.1:12000".parse().unwrap()
}

impl Desk {
    fn new(files: usize, jobs: usize) -> Desk {
        let file = |place: usize| {
            let name = char::from(b'a' + place as u8).to_string();
            UploadFile { path: format!("in/{name}"), name }
        };
        let files = (0..files).map(file).collect();
        let uploader = Uploader::new(UploadConfig { to: addr(), files, jobs, timeout: TIMEOUT });
        let mut desk = Desk { uploader, os: Recorder::default(), now: Now { mono: Mono(5), wall: Wall(7) } };
        desk.input(Input::Start);
        desk
    }

    /// One file of so many bytes, and a receiver that has its header.
    fn asked(bytes: u64) -> Desk {
        let mut desk = Desk::new(1, 1);
        desk.open(0, bytes);
        desk.up(0);
        desk.take();
        desk
    }

    /// The same, and the receiver has said to go ahead.
    fn going(bytes: u64) -> Desk {
        let mut desk = Desk::asked(bytes);
        desk.hear(b"go ahead");
        desk
    }

    fn input(&mut self, input: Input<'_>) {
        self.uploader.handle_input(input, self.now, &mut self.os);
        self.uploader.check_invariants();
    }

    fn open(&mut self, place: u32, bytes: u64) {
        self.input(Input::FileReady { file: FileId(place), bytes, moved: None });
    }

    fn up(&mut self, place: u32) {
        let (local, remote) = ("10.0.0.2:40000".parse().unwrap(), addr());
        let origin = Origin::Dialed(DialId(place));
        self.input(Input::LinkUp { link: link(place), origin, local, remote });
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.input(Input::Received { link: link(0), bytes, at: self.now.wall });
    }

    fn drain(&mut self) {
        self.input(Input::Drained { link: link(0) });
    }

    fn down(&mut self, place: u32, reason: DownReason) {
        self.input(Input::LinkDown { link: link(place), reason });
    }

    fn elapse(&mut self, duration: Duration) {
        let end = self.now.mono + duration;
        while let Some(due) = self.uploader.poll_timeout().filter(|due| *due <= end) {
            self.now.mono = self.now.mono.max(due);
            self.uploader.handle_timeout(self.now, &mut self.os);
            self.uploader.check_invariants();
        }
        self.now.mono = end;
    }

    /// What was asked for since the last time.
    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.os.done)
    }

    fn state(&self, place: usize) -> &UploadState {
        &self.uploader.files()[place].state
    }

    fn trouble(&self, place: usize) -> &UploadTrouble {
        match self.state(place) {
            UploadState::Failed(trouble) => trouble,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_file_goes_in_slices_and_is_done_at_the_receivers_end() {
    let mut desk = Desk::new(1, 1);
    assert_eq!(desk.take(), ["open 0 in/a"]);
    let size = 2 * SLICE + 5;
    desk.open(0, size);
    assert_eq!(desk.take(), ["dial 0 10.0.0.1:12000"]);
    desk.up(0);
    assert_eq!(desk.take(), ["send 0"]);
    assert_eq!(desk.os.sent, [&size.to_be_bytes()[..], b"a"].concat());
    desk.hear(b"go ah");
    assert_eq!((desk.take(), desk.state(0)), (vec![], &UploadState::Asking));
    desk.hear(b"ead");
    assert_eq!(desk.take(), [format!("send-file 0 0 0+{SLICE}")]);
    desk.input(Input::Blocked { link: link(0) });
    desk.drain();
    assert_eq!(desk.take(), [format!("send-file 0 0 {SLICE}+{SLICE}")]);
    assert_eq!(desk.uploader.files()[0].bytes_sent, SLICE);
    desk.elapse(TIMEOUT - Duration::from_millis(1));
    desk.drain();
    assert_eq!(desk.take(), [format!("send-file 0 0 {}+5", 2 * SLICE)]);
    assert_eq!((desk.uploader.files()[0].bytes_sent, desk.state(0)), (size, &UploadState::Closing));
    desk.elapse(UPLOAD_END_PATIENCE / 2);
    desk.down(0, DownReason::Eof);
    assert_eq!(desk.take(), ["release 0", "exit"]);
    assert_eq!(desk.state(0), &UploadState::Done);
    let took = TIMEOUT - Duration::from_millis(1) + UPLOAD_END_PATIENCE / 2;
    assert_eq!(desk.uploader.files()[0].took, took);
}

#[test]
fn an_empty_file_needs_the_word_and_the_end_too() {
    let mut desk = Desk::asked(0);
    assert_eq!(desk.os.sent, b"\0\0\0\0\0\0\0\0a");
    desk.hear(b"go ahead");
    assert_eq!((desk.take(), desk.state(0)), (vec![], &UploadState::Closing));
    desk.down(0, DownReason::Eof);
    assert_eq!(desk.state(0), &UploadState::Done);
    let mut refused = Desk::asked(0);
    refused.down(0, DownReason::Eof);
    assert_eq!(refused.trouble(0), &UploadTrouble::ServerRefused);
}

#[test]
fn an_empty_file_may_be_stored_without_a_word() {
    let ends: [fn(&mut Desk); 3] = [
        |desk| desk.down(0, DownReason::Reset),
        |desk| desk.elapse(TIMEOUT),
        |desk| desk.input(Input::Shutdown),
    ];
    for end in ends {
        for (bytes, may_be_stored) in [(0, true), (1, false)] {
            let mut desk = Desk::asked(bytes);
            end(&mut desk);
            assert_eq!(desk.trouble(0).may_be_stored(), may_be_stored, "{:?}", desk.trouble(0));
        }
    }
}

#[test]
fn a_receiver_that_reads_until_our_end_hears_it() {
    let mut desk = Desk::going(5);
    desk.take();
    desk.elapse(UPLOAD_END_PATIENCE - Duration::from_nanos(1));
    assert_eq!(desk.take(), [""; 0]);
    desk.elapse(Duration::from_nanos(1));
    assert_eq!(desk.take(), ["shut 0"]);
    desk.down(0, DownReason::Eof);
    assert_eq!(desk.take(), ["release 0", "exit"]);
    assert_eq!(desk.state(0), &UploadState::Done);
}

#[test]
fn a_receiver_that_never_ends_is_given_up() {
    let mut desk = Desk::going(5);
    desk.take();
    desk.elapse(TIMEOUT);
    assert_eq!(desk.take(), ["shut 0", "reset 0 Silent", "release 0", "exit"]);
    assert_eq!(desk.trouble(0), &UploadTrouble::ServerSilentAtEnd(TIMEOUT));
    assert!(desk.trouble(0).may_be_stored());
}

#[test]
fn a_short_last_slice_that_waits_has_not_gone() {
    let mut desk = Desk::going(SLICE + 5);
    desk.drain();
    assert_eq!(desk.state(0), &UploadState::Closing);
    desk.input(Input::Blocked { link: link(0) });
    assert_eq!((desk.state(0), desk.uploader.files()[0].bytes_sent), (&UploadState::Sending, SLICE));
    desk.elapse(TIMEOUT - Duration::from_millis(1));
    desk.take();
    desk.drain();
    assert_eq!(desk.take(), [""; 0]);
    assert_eq!(desk.state(0), &UploadState::Closing);
    desk.down(0, DownReason::Eof);
    assert_eq!(desk.state(0), &UploadState::Done);
}

#[test]
fn time_counts_from_the_last_progress() {
    let mut desk = Desk::going(10 * SLICE);
    for _ in 0..5 {
        desk.elapse(TIMEOUT - Duration::from_millis(1));
        assert_eq!(desk.state(0), &UploadState::Sending);
        desk.drain();
    }
    desk.take();
    desk.elapse(TIMEOUT);
    assert_eq!(desk.take(), ["reset 0 Silent", "release 0", "exit"]);
    assert_eq!(desk.trouble(0), &UploadTrouble::ServerStalled(TIMEOUT));
    let mut silent = Desk::asked(1);
    silent.hear(b"go ");
    silent.elapse(TIMEOUT);
    assert_eq!(silent.take(), ["reset 0 Silent", "release 0", "exit"]);
    assert_eq!(silent.trouble(0), &UploadTrouble::ServerSilent(TIMEOUT));
}

#[test]
fn only_go_ahead_is_an_answer() {
    for (pieces, expected) in [
        (vec!["HTTP/1.1 400 Bad Request\r\n\r\n"], "\"HTTP/1.1 400 Bad Request…\" and not `go ahead`"),
        (vec!["go", " away\x1b[2J"], "\"go away\\u{1b}[2J\" and not"),
        (vec!["GO AHEAD"], "\"GO AHEAD\" and not"),
        (vec!["go ahead\n"], "more than `go ahead`: \"…\""),
        (vec!["go ahead", "!"], "more than `go ahead`: \"!\""),
    ] {
        let mut desk = Desk::asked(2 * SLICE);
        pieces.iter().for_each(|piece| desk.hear(piece.as_bytes()));
        let why = desk.trouble(0).to_string();
        assert!(why.contains(expected), "{why}");
        assert!(!desk.trouble(0).may_be_stored());
        let done = desk.take();
        assert!(
            done.ends_with(&["reset 0 Misbehaved".into(), "release 0".into(), "exit".into()]),
            "{done:?}"
        );
    }
    let mut desk = Desk::going(5);
    desk.hear(b"disk full");
    assert_eq!(desk.trouble(0), &UploadTrouble::ServerSpokeAtEnd("disk full".into()));
    assert!(desk.trouble(0).may_be_stored());
}

#[test]
fn each_end_of_a_link_has_its_meaning() {
    use DownReason::{Eof, FileFailed, Reset, TimedOut, Unread};
    use UploadTrouble::{
        FileChanged, LinkBroke, LinkBrokeAtEnd, LinkBrokeEarly, ServerClosed, ServerRefused,
    };
    type Case = (fn() -> Desk, DownReason, Option<UploadTrouble>);
    let asked = || Desk::asked(5);
    let middle = || Desk::going(2 * SLICE);
    let given = || Desk::going(SLICE);
    let end = || Desk::going(5);
    let cases: [Case; 16] = [
        (asked, Eof, Some(ServerRefused)),
        (asked, Unread, Some(ServerRefused)),
        (asked, Reset, Some(LinkBrokeEarly(Reset))),
        (middle, Eof, Some(ServerClosed)),
        (middle, Unread, Some(ServerClosed)),
        (middle, Reset, Some(LinkBroke(Reset))),
        (middle, TimedOut, Some(LinkBroke(TimedOut))),
        (middle, FileFailed, Some(FileChanged)),
        // All was given to the driver, which has not told yet what became of it.
        (given, Eof, None),
        (given, Unread, Some(ServerClosed)),
        (given, Reset, Some(LinkBroke(Reset))),
        (end, Eof, None),
        (end, Unread, Some(ServerClosed)),
        (end, Reset, Some(LinkBrokeAtEnd(Reset))),
        (end, TimedOut, Some(LinkBrokeAtEnd(TimedOut))),
        (end, FileFailed, Some(FileChanged)),
    ];
    for (desk, reason, expected) in cases {
        let mut desk = desk();
        desk.take();
        desk.down(0, reason);
        assert_eq!(desk.take(), ["release 0", "exit"], "no word to a link that is gone");
        let state = expected.map_or(UploadState::Done, UploadState::Failed);
        assert_eq!(desk.state(0), &state, "{reason:?}");
        assert_eq!(desk.uploader.poll_timeout(), None);
    }
}

#[test]
fn what_cannot_begin_says_why() {
    let mut desk = Desk::new(3, 1);
    let (op, error) = (FileOp::Open, ErrorKind::NotFound);
    desk.input(Input::FileFailed { file: FileId(0), op, offset: 0, error });
    assert_eq!(desk.trouble(0).to_string(), "it cannot be opened: the file or its folder is gone");
    assert_eq!(desk.take(), ["open 0 in/a", "open 1 in/b"], "the next one begins");
    desk.open(1, 5);
    desk.input(Input::DialFailed { dial: DialId(1), error: ErrorKind::ConnectionRefused });
    assert_eq!(desk.trouble(1).to_string(), "10.0.0.1:12000 cannot be reached: connection refused");
    assert_eq!(desk.take(), ["dial 1 10.0.0.1:12000", "release 1", "open 2 in/c"]);
    desk.open(2, 5);
    desk.input(Input::DialFailed { dial: DialId(2), error: ErrorKind::TimedOut });
    assert_eq!(desk.trouble(2).to_string(), "10.0.0.1:12000 cannot be reached: no answer in time");
    assert_eq!(desk.take(), ["dial 2 10.0.0.1:12000", "release 2", "exit"]);
}

#[test]
fn so_many_at_once_and_one_that_fails_stops_no_other() {
    let mut desk = Desk::new(5, 2);
    assert_eq!(desk.take(), ["open 0 in/a", "open 1 in/b"]);
    for place in 0..2 {
        desk.open(place, 5);
        desk.up(place);
    }
    desk.take();
    desk.down(1, DownReason::Reset);
    assert_eq!(desk.take(), ["release 1", "open 2 in/c"]);
    desk.hear(b"go ahead");
    desk.down(0, DownReason::Eof);
    desk.take();
    for place in 2..5 {
        desk.open(place, 0);
        desk.up(place);
        desk.input(Input::Received { link: link(place), bytes: b"go ahead", at: Wall(0) });
        desk.down(place, DownReason::Eof);
    }
    assert_eq!(desk.take().last().unwrap(), "exit");
    let done = |place: usize| desk.state(place) == &UploadState::Done;
    assert_eq!([0, 1, 2, 3, 4].map(done), [true, false, true, true, true]);
    assert_eq!(Desk::new(0, 1).take(), ["exit"]);
}

#[test]
fn an_interrupt_resets_what_is_under_way_and_names_the_rest() {
    let mut desk = Desk::new(5, 4);
    for place in [0, 1, 2] {
        desk.open(place, 5);
    }
    desk.up(0);
    desk.up(1);
    desk.hear(b"go ahead");
    desk.take();
    desk.input(Input::Shutdown);
    assert_eq!(
        desk.take(),
        ["reset 0 Shutdown", "release 0", "reset 1 Shutdown", "release 1", "release 2", "exit"]
    );
    assert_eq!(desk.trouble(0), &UploadTrouble::InterruptedAtEnd);
    assert!((1..5).all(|place| desk.trouble(place) == &UploadTrouble::Interrupted));
}

#[test]
fn what_nobody_asked_for_changes_nothing() {
    let mut desk = Desk::going(2 * SLICE);
    desk.take();
    desk.input(Input::Derived { job: 1, key: Secret([0; 32]) });
    desk.input(Input::Presented { path: "x", stamp: Stamp::default() });
    desk.down(7, DownReason::Eof);
    desk.input(Input::Drained { link: link(7) });
    desk.input(Input::Received { link: link(7), bytes: b"x", at: Wall(0) });
    assert_eq!((desk.take(), desk.state(0)), (vec![], &UploadState::Sending));
}
