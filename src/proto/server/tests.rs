//! The server spoken to by hand: the sample session of the protocol's documentation, strangers,
//! and members that break.

mod comings;
mod files;
mod guests;
mod readers;
mod runs;
mod withdrawn;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::ids::{FileId, LinkId};
use crate::proto::limits::{ERRORS_MAX, GREET_TIMEOUT, MEMBERS_MAX, RETURN_GRACE, TICK_SILENCE_TIMEOUT};
use crate::proto::machine::{CloseReason, DownReason, Effect, Input, Machine, Origin, Os};
use crate::proto::record::read_table;
use crate::proto::server::{Server, ServerConfig, TalkConfig};
use crate::proto::time::{Mono, Now, Wall};

/// A driver by hand: what was sent to each link, which links were closed, what is in the files.
#[derive(Default)]
struct Hand {
    sent: BTreeMap<u32, String>,
    closed: BTreeMap<u32, CloseReason>,
    paused: BTreeSet<u32>,
    files: BTreeMap<FileId, Vec<u8>>,
    answers: Vec<(FileId, u8)>,
    exited: bool,
}

impl Os for Hand {
    fn perform(&mut self, effect: Effect<'_>) {
        match effect {
            Effect::Send { link, bytes } => {
                self.sent.entry(link.index).or_default().push_str(std::str::from_utf8(bytes).unwrap());
            }
            Effect::PauseReading { link } => drop(self.paused.insert(link.index)),
            Effect::ResumeReading { link } => drop(self.paused.remove(&link.index)),
            Effect::Close { link, reason } => drop(self.closed.insert(link.index, reason)),
            Effect::Open { file, .. } => {
                self.files.insert(file, Vec::new());
                self.answers.push((file, 0));
            }
            Effect::Append { file, bytes } => {
                self.files.get_mut(&file).unwrap().extend_from_slice(bytes);
                self.answers.push((file, 1));
            }
            Effect::Finish { file } => self.answers.push((file, 2)),
            Effect::Exit => self.exited = true,
            Effect::Release { .. } | Effect::Listen { .. } | Effect::Load { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

struct Desk {
    server: Server,
    hand: Hand,
    now: Now,
}

impl Desk {
    fn new() -> Desk {
        let listen = vec!["10.0.0.1:5555".parse().unwrap()];
        let (interval, duration) = (Duration::from_millis(10), Duration::from_secs(1));
        let server = Server::new(ServerConfig {
            listen,
            interval,
            duration,
            secret: [7; 32],
            talk: TalkConfig::default(),
        });
        let now = Now { mono: Mono(0), wall: Wall(1_795_230_780_000_000_000) };
        let mut desk = Desk { server, hand: Hand::default(), now };
        desk.input(Input::Start);
        desk
    }

    fn input(&mut self, input: Input<'_>) {
        self.server.handle_input(input, self.now, &mut self.hand);
        self.settle();
    }

    fn settle(&mut self) {
        while !self.hand.answers.is_empty() {
            let (file, kind) = self.hand.answers.remove(0);
            let input = match kind {
                0 => Input::FileReady { file, bytes: 0, moved: None },
                1 => Input::Appended { file },
                _ => Input::Finished { file, moved: None },
            };
            self.server.handle_input(input, self.now, &mut self.hand);
        }
        self.server.check_invariants();
    }

    fn elapse(&mut self, duration: Duration) {
        let end = self.now.mono + duration;
        while let Some(due) = self.server.poll_timeout().filter(|due| *due <= end) {
            self.go_to(due);
            self.server.handle_timeout(self.now, &mut self.hand);
            self.settle();
        }
        self.go_to(end);
    }

    fn go_to(&mut self, mono: Mono) {
        self.now.wall.0 += mono.since_ns(self.now.mono);
        self.now.mono = self.now.mono.max(mono);
    }

    fn connect(&mut self, index: u32) -> LinkId {
        let link = LinkId { index, generation: 0 };
        let local: SocketAddr = "10.0.0.1:5555".parse().unwrap();
        let remote: SocketAddr = format!("10.0.0.{}:40000", index + 2).parse().unwrap();
        self.input(Input::LinkUp { link, origin: Origin::Accepted, local, remote });
        link
    }

    /// Says something and returns what is answered.
    fn say(&mut self, link: LinkId, text: &str) -> String {
        self.hand.sent.remove(&link.index);
        let at = self.now.wall;
        self.input(Input::Received { link, bytes: text.as_bytes(), at });
        self.hand.sent.remove(&link.index).unwrap_or_default()
    }

    fn heard(&mut self, link: LinkId) -> String {
        self.hand.sent.remove(&link.index).unwrap_or_default()
    }
}

/// Whether a line is as expected, where `~` stands for any word or end of a word.
fn matches(line: &str, expected: &str) -> bool {
    let (found, wanted): (Vec<&str>, Vec<&str>) = (line.split(' ').collect(), expected.split(' ').collect());
    found.len() == wanted.len()
        && found.iter().zip(wanted).all(|(word, wanted)| match wanted.strip_suffix('~') {
            Some(beginning) => word.starts_with(beginning),
            None => *word == wanted,
        })
}

#[test]
fn the_documented_session_is_what_happens() {
    let mut desk = Desk::new();
    let link = desk.connect(0);
    let mut heard = desk.heard(link);
    for line in include_str!("../wire/session.txt").lines() {
        let (who, text) = line.split_once(": ").unwrap();
        if who == "C" {
            assert_eq!(heard, "", "said but not documented");
            desk.elapse(Duration::from_millis(1));
            heard = desk.say(link, &format!("{text}\n"));
        } else {
            let (first, rest) = heard.split_once('\n').unwrap_or_else(|| panic!("silence instead of {text}"));
            assert!(matches(first, text), "{first}\nexpected {text}");
            heard = rest.to_owned();
        }
    }
    assert_eq!(desk.hand.closed[&0], CloseReason::Farewell);
    let table = read_table(&desk.hand.files[&FileId(0)]).unwrap();
    assert_eq!(table.rows, 2);
    assert_eq!(table.complete.unwrap().cause, None);
}

#[test]
fn a_split_at_every_byte_gives_the_same_answers() {
    let text = "JOIN lab a 0 * *\nTICK 0 5\nTICK 1 6\nnoise\nDONE 2 2\n";
    let mut desk = Desk::new();
    let link = desk.connect(0);
    let whole = desk.say(link, text);
    assert_eq!(whole.lines().count(), 5);
    for cut in 1..text.len() {
        let mut desk = Desk::new();
        let link = desk.connect(0);
        let mut answer = desk.say(link, &text[..cut]);
        answer += &desk.say(link, &text[cut..]);
        assert_eq!(answer, whole, "cut at {cut}");
    }
}

#[test]
fn rows_have_sender_and_receiver_the_right_way_round() {
    let mut desk = Desk::new();
    let link = desk.connect(5);
    desk.say(link, "JOIN lab a 0 * *\nTICK 0 1795230780000000000\nDONE 1 1\n");
    let table = String::from_utf8(desk.hand.files[&FileId(0)].clone()).unwrap();
    let rows: Vec<&str> =
        table.lines().filter(|line| line.starts_with("| 1 ") || line.starts_with("| 2 ")).collect();
    assert!(rows[0].starts_with("| 1 | 10.0.0.7 | 10.0.0.1 | 2026-11-21 |"), "{table}");
    assert!(rows[1].starts_with("| 2 | 10.0.0.1 | 10.0.0.7 | 2026-11-21 |"), "{table}");
}

#[test]
fn members_hear_of_each_other_and_nobody_leaves_a_newcomer_behind() {
    let mut desk = Desk::new();
    let (a, b) = (desk.connect(0), desk.connect(1));
    desk.say(a, "JOIN lab * 1000 * 10000000\nDONE 1 1\n");
    let list = desk.say(b, "JOIN lab * 2000 * *\n");
    assert!(list.starts_with("* PEER 2 0 10.0.0.2:1000 ") && list.contains(" done 0\nOK JOIN 1 "), "{list}");
    let told = desk.heard(a);
    assert!(told.contains("PEER 2 1 10.0.0.3:2000 ") && told.contains(" running "), "{told}");
    assert!(desk.say(a, "LEAVE 1\n").starts_with("ERR directory-moved "));
    assert_eq!(desk.say(a, "LEAVE 2\n"), "OK LEAVE\n");
    assert_eq!(desk.heard(b), "GONE 0 complete\n");
}

#[test]
fn who_does_not_share_hears_of_nobody() {
    let mut desk = Desk::new();
    let (a, b) = (desk.connect(0), desk.connect(1));
    desk.say(a, "JOIN lab * 0 * *\n");
    assert_eq!(desk.say(b, "JOIN lab * 2000 * *\n").lines().count(), 1);
    assert_eq!(desk.heard(a), "");
}

#[test]
fn a_lost_member_comes_back_with_its_key_and_its_accounts() {
    let mut desk = Desk::new();
    let (a, b) = (desk.connect(0), desk.connect(1));
    let joined = desk.say(a, "JOIN lab a 1000 * *\n");
    let key = joined.split(' ').nth(3).unwrap().to_owned();
    desk.say(b, "JOIN lab b 1000 * *\n");
    desk.say(a, "TICK 0 5\n");
    desk.input(Input::LinkDown { link: a, reason: DownReason::Reset });
    assert!(desk.heard(b).contains(" lost "));
    let again = desk.connect(2);
    assert!(desk.say(again, &format!("JOIN lab a 1000 * * {key}\n")).contains("OK JOIN a "));
    assert!(desk.heard(b).contains(" running "));
    assert!(desk.say(again, "TICK 1 6\nDONE 2 2\n").ends_with("OK DONE 2 2\n"));
    assert_eq!(desk.server.status().members_joined, 2);
}

#[test]
fn a_member_that_comes_back_before_it_was_missed_displaces_itself() {
    let mut desk = Desk::new();
    let a = desk.connect(0);
    let joined = desk.say(a, "JOIN lab a 1000 * *\nTICK 0 5\n");
    let key = joined.split(' ').nth(3).unwrap().to_owned();
    let again = desk.connect(1);
    assert!(desk.say(again, &format!("JOIN lab a 1000 * * {key}\n")).contains("OK JOIN a "));
    assert_eq!(desk.hand.closed[&0], CloseReason::Replaced);
    assert!(desk.say(again, "DONE 1 1\n").ends_with("OK DONE 1 1\n"));
}

#[test]
fn the_table_ends_when_the_last_run_does_or_could_have() {
    let mut desk = Desk::new();
    let (a, b) = (desk.connect(0), desk.connect(1));
    desk.say(a, "JOIN lab a 1000 * *\n");
    desk.say(b, "JOIN lab b 1000 * 3000000000\nTICK 0 5\n");
    desk.elapse(Duration::from_secs(1));
    desk.say(a, "DONE 0 0\n");
    let complete = |desk: &Desk| read_table(&desk.hand.files[&FileId(0)]).unwrap().complete;
    assert_eq!(complete(&desk), None, "the run of b is still on");
    desk.input(Input::LinkDown { link: b, reason: DownReason::Reset });
    desk.elapse(Duration::from_secs(1));
    assert_eq!(complete(&desk), None, "b may come back");
    desk.elapse(Duration::from_millis(1500) + RETURN_GRACE);
    let end = complete(&desk).unwrap();
    assert_eq!((end.elapsed.as_str(), end.cause.as_deref()), ("8 seconds", Some("interrupted")));
    let c = desk.connect(2);
    desk.say(c, "JOIN lab c 1000 * *\n");
    assert_eq!(desk.hand.files.len(), 2, "the next run has its own table");
}

#[test]
fn who_comes_back_with_its_run_over_ends_what_waited_for_it() {
    let mut desk = Desk::new();
    let a = desk.connect(0);
    desk.say(a, "JOIN lab * 1000 * *\nTICK 0 5\n");
    let older = desk.connect(1);
    let back = format!("JOIN lab 0 2000 * 0 {}\n", "0".repeat(32));
    assert!(desk.say(older, &back).contains("OK JOIN 0 "));
    assert!(desk.heard(a).contains("ERR id-taken 0 belongs to a member that came back; join again in 5 s\n"));
    assert_eq!(desk.hand.closed[&0], CloseReason::Replaced);
    let end = read_table(&desk.hand.files[&FileId(0)]).unwrap().complete.unwrap();
    assert_eq!(end.cause.as_deref(), Some("interrupted"));

    let b = desk.connect(2);
    let joined = desk.say(b, "JOIN lab b 1000 * *\nTICK 0 5\n");
    let key = joined.split("OK JOIN ").nth(1).unwrap().split(' ').nth(1).unwrap().to_owned();
    desk.input(Input::LinkDown { link: b, reason: DownReason::Reset });
    let again = desk.connect(3);
    desk.say(again, &format!("JOIN lab b 1000 * 0 {key}\n"));
    assert_eq!(read_table(&desk.hand.files[&FileId(1)]).unwrap().complete.unwrap().cause, None);
}

#[test]
fn strangers_and_cheats_are_shown_the_door() {
    let mut desk = Desk::new();
    let noise = desk.connect(0);
    let answers = desk.say(noise, &"\u{1}\u{2}\n".repeat(ERRORS_MAX as usize + 1));
    assert_eq!(answers.matches("ERR bad-text").count(), ERRORS_MAX as usize);
    assert!(answers.ends_with("ERR too-many-errors too many errors\n"));
    assert_eq!(desk.hand.closed[&0], CloseReason::Misbehaved);

    let moaner = desk.connect(9);
    assert!(
        desk.say(moaner, &"ERR bad-text x\n".repeat(ERRORS_MAX as usize + 1))
            .starts_with("ERR too-many-errors")
    );

    let long = desk.connect(1);
    assert!(desk.say(long, &"x".repeat(5000)).starts_with("ERR line-too-long"));

    let silent = desk.connect(2);
    desk.elapse(GREET_TIMEOUT / 2);
    desk.say(silent, "J");
    desk.elapse(GREET_TIMEOUT / 2);
    assert_eq!(desk.hand.closed[&2], CloseReason::Silent, "a byte now and then does not help");

    let fast = desk.connect(3);
    desk.say(fast, "JOIN lab * 0 * *\n");
    assert!(
        desk.say(fast, &"TICK 0 1\n".repeat(1000)).ends_with("ERR too-fast ticks come faster than agreed\n")
    );

    let mute = desk.connect(4);
    desk.say(mute, "JOIN lab * 0 * 600000000000\n");
    desk.elapse(GREET_TIMEOUT - Duration::from_millis(1));
    assert!(!desk.hand.closed.contains_key(&4), "people type");
    desk.say(mute, "TICK 0 1\n");
    desk.elapse(TICK_SILENCE_TIMEOUT - Duration::from_millis(1));
    desk.say(mute, "\n");
    desk.elapse(TICK_SILENCE_TIMEOUT - Duration::from_millis(1));
    assert!(!desk.hand.closed.contains_key(&4), "an empty line is a sign of life");
    desk.elapse(Duration::from_millis(1));
    assert_eq!(desk.hand.closed[&4], CloseReason::Silent);

    let dumb = desk.connect(5);
    desk.say(dumb, "JOIN lab * 0 * 60000000000\n");
    desk.elapse(GREET_TIMEOUT);
    assert_eq!(desk.hand.closed[&5], CloseReason::Silent);

    for wrong in [
        "JOIN ../x * 0 * *",
        "JOIN lab * 0 1 *",
        "JOIN lab * 0 * 99999999999999999",
        "GET / HTTP/1.1",
        "LINK lab a b 0",
        "OK JOIN",
        "TICK 0 1",
    ] {
        let link = desk.connect(10);
        assert!(desk.say(link, &format!("{wrong}\n")).starts_with("ERR "), "{wrong}");
        desk.input(Input::LinkDown { link, reason: DownReason::Eof });
    }
}

#[test]
fn who_joins_and_runs_away_takes_nobodys_place() {
    let mut desk = Desk::new();
    let honest = desk.connect(0);
    desk.say(honest, "JOIN lab honest 1000 * *\n");
    for _ in 0..2 * MEMBERS_MAX {
        let stranger = desk.connect(1);
        desk.say(stranger, "JOIN lab * 9 * *\n");
        desk.input(Input::LinkDown { link: stranger, reason: DownReason::Eof });
    }
    let late = desk.connect(2);
    assert!(desk.say(late, "JOIN lab * 0 * *\n").contains("OK JOIN "));
}

#[test]
fn a_run_cannot_be_kept_open_beyond_what_was_agreed() {
    let mut desk = Desk::new();
    let a = desk.connect(0);
    desk.say(a, "JOIN lab a 0 * *\n");
    for second in 0..40 {
        desk.elapse(Duration::from_secs(1));
        desk.say(a, &format!("TICK {second} 1\n"));
    }
    assert_eq!(desk.hand.closed[&0], CloseReason::Misbehaved);
}

#[test]
fn stopping_writes_the_last_line_and_says_goodbye() {
    let mut desk = Desk::new();
    let a = desk.connect(0);
    desk.say(a, "JOIN lab a 0 * *\nTICK 0 5\n");
    desk.elapse(Duration::from_millis(400));
    desk.input(Input::Shutdown);
    assert_eq!(desk.heard(a).lines().last(), Some("BYE the server stops"));
    assert!(desk.hand.exited);
    let table = read_table(&desk.hand.files[&FileId(0)]).unwrap();
    assert_eq!(table.complete.unwrap().cause.as_deref(), Some("interrupted"));
    assert_eq!(table.rows, 2);
}
