//! Accounts that add up, answers that fit, and a record file on a bad disk.

use std::io::ErrorKind;
use std::time::Duration;

use proptest::prelude::*;

use crate::proto::cadence::Cadence;
use crate::proto::exchange::{Answerer, News, Recorder, Road, Ticker};
use crate::proto::ids::FileId;
use crate::proto::limits::{CHUNK_BYTES, CLOSE_TRIES_MAX, UNWRITTEN_BYTES_MAX};
use crate::proto::machine::{Effect, FileOp, Os};
use crate::proto::time::{Mono, Now, Wall};

const MS: u64 = 1_000_000;

fn at(ns: u64) -> Now {
    Now { mono: Mono(ns), wall: Wall(1_000_000 * MS + ns) }
}

fn ticker(ticks: u64) -> Ticker {
    Ticker::new(Cadence::new(Mono(100 * MS), Duration::from_millis(10), ticks))
}

#[test]
fn a_tick_is_sent_and_answered() {
    let mut ticker = ticker(2);
    assert_eq!(ticker.take(at(99 * MS), Road::Open), None);
    let sent = at(100 * MS + 7);
    assert_eq!(ticker.take(sent, Road::Open), Some(0));
    assert_eq!(ticker.due_at(), Some(Mono(110 * MS)));
    let (t1, back) = (sent.wall, at(101 * MS));
    let (t2, t3) = (Wall(t1.0 + 5000 * MS + 300_000), Wall(t1.0 + 5000 * MS + 310_000));
    let stamp = Wall(back.wall.0 - 20_000);
    let sample = ticker.answer(0, t1, t2, t3, stamp, back).unwrap();
    assert_eq!((sample.seq, sample.lateness_ns, sample.t4), (0, 7, stamp));
    assert_eq!(ticker.answer(0, t1, t2, t3, stamp, back), None, "a second answer");
    assert_eq!(ticker.accounts().stray, 1);
    let rtt = ticker.rtt().percentiles().unwrap();
    assert_eq!(rtt.max, MS - 7 - 20_000 - 10_000, "without the server's time and our own queue");
    let offset = ticker.offset().unwrap();
    assert!((offset.offset_ns - 5000 * MS as i64).unsigned_abs() <= offset.bound_ns);
    ticker.check_invariants();
}

#[test]
fn an_answer_that_was_not_asked_for_is_stray() {
    let mut ticker = ticker(2);
    let sent = at(100 * MS);
    ticker.take(sent, Road::Open);
    let now = at(101 * MS);
    assert_eq!(ticker.answer(1, sent.wall, now.wall, now.wall, now.wall, now), None, "another number");
    assert_eq!(ticker.answer(0, Wall(1), now.wall, now.wall, now.wall, now), None, "another stamp");
    assert_eq!(ticker.answer(u64::MAX, Wall(1), now.wall, now.wall, now.wall, now), None);
    assert_eq!((ticker.accounts().stray, ticker.accounts().answered), (3, 0));
}

#[test]
fn lies_about_time_do_no_harm() {
    let mut ticker = ticker(1);
    let sent = at(100 * MS);
    ticker.take(sent, Road::Open);
    let sample = ticker.answer(0, sent.wall, Wall(u64::MAX), Wall(0), Wall(0), at(101 * MS));
    assert!(sample.is_some());
    assert_eq!(ticker.offset(), None);
    ticker.check_invariants();
}

#[test]
fn a_stepping_clock_is_counted_and_starts_the_offset_anew() {
    let mut ticker = ticker(3);
    let sent = at(100 * MS);
    ticker.take(sent, Road::Open);
    ticker.answer(0, sent.wall, sent.wall, sent.wall, at(101 * MS).wall, at(101 * MS));
    assert!(ticker.offset().is_some());
    let stepped = Now { wall: Wall(at(110 * MS).wall.0 + 500 * MS), ..at(110 * MS) };
    assert_eq!(ticker.take(stepped, Road::Open), Some(1));
    assert_eq!(ticker.accounts().clock_steps, 1);
    assert_eq!(ticker.offset(), None);
}

proptest! {
    /// However late the loop comes and whatever the road, each slot has one account.
    #[test]
    fn every_slot_is_accounted_for_once(
        ticks in 1u64..200,
        wakes in prop::collection::vec((0u64..40_000_000, 0u8..3), 0..100),
        cut in any::<bool>(),
    ) {
        let mut ticker = ticker(ticks);
        let mut now = 90 * MS;
        for (step, road) in wakes {
            now += step;
            ticker.take(at(now), [Road::Open, Road::Blocked, Road::Offline][usize::from(road)]);
            ticker.check_invariants();
            prop_assert!(ticker.due_at().is_none_or(|due| due > Mono(now)));
        }
        if cut {
            ticker.cut(Mono(now));
            let due = (now + 10 * MS).saturating_sub(100 * MS) / (10 * MS);
            prop_assert_eq!(ticker.accounts().due, due.min(ticks));
        } else {
            ticker.take(at(10_000 * MS), Road::Open);
            prop_assert_eq!(ticker.accounts().due, ticks);
        }
        ticker.check_invariants();
    }
}

#[test]
fn a_member_may_be_bursty_but_not_faster_than_agreed() {
    let mut answerer = Answerer::new(Mono(0), Duration::from_millis(10));
    // Five seconds of silence, then all of it at once: a path that stalled.
    assert!((0..500).all(|_| answerer.admit(Mono(5_000 * MS))));
    assert!(!(0..500).all(|_| answerer.admit(Mono(5_000 * MS))));
    // An hour of silence saves up no more than that.
    assert!(!(0..1000).all(|_| answerer.admit(Mono(3_600_000 * MS))));
    // As agreed, for ever, with a clock that is 1 % fast.
    let mut steady = Answerer::new(Mono(0), Duration::from_millis(10));
    assert!((1..100_000).all(|tick| steady.admit(Mono(tick * 9_900_000))));
    let mut resumed = Answerer::new(Mono(0), Duration::from_millis(10));
    (0..100).for_each(|_| assert!(resumed.admit(Mono(1000 * MS))));
    resumed.resume(Mono(5000 * MS), Duration::from_millis(10));
    assert!((0..150).all(|_| resumed.admit(Mono(5000 * MS))));
    assert!(!(0..100).all(|_| resumed.admit(Mono(5000 * MS))));
}

/// What was done to the disk, in words.
#[derive(Default)]
struct Disk(Vec<String>);

impl Os for Disk {
    fn perform(&mut self, effect: Effect<'_>) {
        self.0.push(match effect {
            Effect::Append { bytes, .. } => format!("append {}", String::from_utf8_lossy(bytes)),
            Effect::Open { path, .. } => format!("open {path}"),
            Effect::Finish { .. } => "finish".to_owned(),
            Effect::Release { .. } => "release".to_owned(),
            other => panic!("{other:?}"),
        });
    }
}

#[test]
fn rows_wait_for_the_file_and_the_end_comes_last() {
    let mut disk = Disk::default();
    let mut recorder = Recorder::open(FileId(0), "f", "f.old", CHUNK_BYTES, &mut disk);
    recorder.row().unwrap().extend_from_slice(b"one");
    recorder.flush(&mut disk);
    recorder.on_ready(&mut disk);
    recorder.row().unwrap().extend_from_slice(b"two");
    recorder.flush(&mut disk);
    recorder.on_appended(&mut disk);
    recorder.close(&mut disk, |out| out.extend_from_slice(b"end"));
    assert!(recorder.row().is_none(), "closed");
    recorder.on_appended(&mut disk);
    assert!(!recorder.is_closed());
    recorder.on_finished();
    assert_eq!(disk.0, ["open f", "append one", "append twoend", "finish"]);
    assert_eq!(recorder.take_hashes(), (9, vec![blake3::hash(b"onetwoend")]));
}

#[test]
fn a_file_that_is_closed_before_it_is_open_still_gets_its_end() {
    let mut disk = Disk::default();
    let mut recorder = Recorder::open(FileId(0), "f", "f.old", CHUNK_BYTES, &mut disk);
    recorder.row().unwrap().extend_from_slice(b"one");
    recorder.close(&mut disk, |out| out.extend_from_slice(b"end"));
    recorder.on_ready(&mut disk);
    recorder.on_appended(&mut disk);
    assert_eq!(disk.0, ["open f", "append oneend", "finish"]);
}

#[test]
fn a_full_disk_loses_nothing_when_there_is_room_again() {
    let mut disk = Disk::default();
    let mut recorder = Recorder::open(FileId(0), "f", "f.old", CHUNK_BYTES, &mut disk);
    recorder.on_ready(&mut disk);
    recorder.row().unwrap().extend_from_slice(b"one");
    recorder.flush(&mut disk);
    assert!(recorder.on_failed(FileOp::Append, ErrorKind::StorageFull, &mut disk), "news");
    recorder.row().unwrap().extend_from_slice(b"two");
    recorder.flush(&mut disk);
    assert!(!recorder.on_failed(FileOp::Append, ErrorKind::StorageFull, &mut disk), "no news");
    recorder.flush(&mut disk);
    recorder.on_appended(&mut disk);
    assert_eq!(disk.0[1..], ["append one", "append onetwo", "append onetwo"]);
    assert_eq!((recorder.take_news(), recorder.take_news()), (Some(News::WrittenAgain), None));
    recorder.row().unwrap().extend_from_slice(b"three");
    recorder.flush(&mut disk);
    assert!(recorder.on_failed(FileOp::Append, ErrorKind::StorageFull, &mut disk), "news again");
    assert_eq!(recorder.lost_rows(), 0);
}

#[test]
fn a_disk_that_stays_full_costs_only_the_end_and_is_given_up_in_time() {
    let mut disk = Disk::default();
    let mut recorder = Recorder::open(FileId(0), "f", "f.old", CHUNK_BYTES, &mut disk);
    recorder.on_ready(&mut disk);
    while let Some(out) = recorder.row() {
        out.extend_from_slice(&[b'x'; 1000]);
        assert!(out.len() < UNWRITTEN_BYTES_MAX + 2000);
    }
    assert!(recorder.row().is_none());
    assert_eq!(recorder.lost_rows(), 2);
    assert_eq!((recorder.take_news(), recorder.take_news()), (Some(News::RowsLost), None));
    recorder.close(&mut disk, |out| out.extend_from_slice(b"end"));
    for _ in 0..=CLOSE_TRIES_MAX {
        assert!(!recorder.is_closed());
        recorder.on_failed(FileOp::Append, ErrorKind::StorageFull, &mut disk);
        recorder.flush(&mut disk);
    }
    assert!(recorder.is_closed() && !recorder.is_complete());
    assert_eq!(disk.0.last().unwrap(), "release");
    assert_eq!(recorder.failure().unwrap().error, ErrorKind::StorageFull);
}

/// Otherwise whoever is at the same loop would wait for all of them.
#[test]
fn many_last_rows_go_out_part_by_part() {
    let mut disk = Disk::default();
    let mut recorder = Recorder::open(FileId(0), "f", "f.old", CHUNK_BYTES, &mut disk);
    recorder.on_ready(&mut disk);
    recorder.row().unwrap().push(b'x');
    recorder.flush(&mut disk);
    recorder.on_failed(FileOp::Append, ErrorKind::StorageFull, &mut disk);
    while let Some(out) = recorder.row() {
        out.extend_from_slice(&[b'x'; 1000]);
    }
    recorder.close(&mut disk, |out| out.extend_from_slice(b"end"));
    let mut parts = 0;
    while recorder.is_behind() {
        let before = disk.0.len();
        recorder.on_appended(&mut disk);
        assert_eq!((disk.0.len() - before, recorder.is_ending()), (0, true), "not in the same turn");
        recorder.flush(&mut disk);
        assert_eq!(disk.0.len() - before, 1);
        parts += 1;
    }
    assert!(parts > 1, "{parts}");
    recorder.on_appended(&mut disk);
    recorder.on_appended(&mut disk);
    assert!(disk.0.iter().rev().nth(1).unwrap().ends_with("end") && disk.0.last().unwrap() == "finish");
}
