//! Each rule of the picker by itself, and a model: whatever sources do, what is on the disk is right.

use proptest::prelude::*;

use super::*;
use crate::proto::limits::HELP_AGE_MAX;
use crate::proto::swarm::Lie;

const A: SourceId = SourceId(1);
const B: SourceId = SourceId(2);
const C: SourceId = SourceId(3);
const ALL: Slice = Slice { place: 0, of: 1 };

fn at(ms: u64) -> Mono {
    Mono(ms * 1_000_000)
}

fn set(chunks: u64, held: &[u64]) -> ChunkSet {
    let mut set = ChunkSet::new(chunks);
    held.iter().for_each(|chunk| assert!(set.insert(*chunk)));
    set
}

/// A picker with sources that hold these chunks.
fn picker(chunks: u64, sources: &[(SourceId, &[u64])]) -> Picker {
    let mut picker = Picker::new(chunks, ALL, 7);
    for (source, held) in sources {
        picker.add_source(*source, &set(chunks, held), at(0));
    }
    picker.check_invariants();
    picker
}

/// Everything that can be asked of a source at that time, sorted.
fn ask_all(picker: &mut Picker, source: SourceId, now: Mono) -> Vec<u64> {
    let mut asked: Vec<u64> = std::iter::from_fn(|| picker.ask(source, 99, now)).collect();
    picker.check_invariants();
    asked.sort_unstable();
    asked
}

/// A source brings a chunk that was asked for.
fn bring(picker: &mut Picker, source: SourceId, chunk: u64, now: Mono) -> Vec<SourceId> {
    assert_eq!(picker.begin(source, chunk), Ok(Arrival::Write));
    picker.on_octets(source, now);
    let others = picker.on_stored(source, chunk, now);
    picker.check_invariants();
    others
}

#[test]
fn the_rarest_chunk_comes_first_and_each_is_asked_for_once() {
    let mut picker = picker(4, &[(A, &[0, 1, 2, 3]), (B, &[0, 1, 2]), (C, &[1])]);
    assert_eq!(picker.ask(A, 9, at(0)), Some(3));
    assert_eq!(picker.ask(A, 9, at(0)), None, "an origin; others hold the rest");
    let second = picker.ask(B, 9, at(0)).unwrap();
    assert!([0, 2].contains(&second));
    assert_eq!(picker.ask(C, 9, at(0)), Some(1), "only that");
    assert_eq!(picker.ask(C, 9, at(0)), None);
    assert_eq!(picker.ask(B, 1, at(0)), None, "one is in flight");
    assert_eq!(picker.ask(B, 9, at(0)), Some(2 - second));
    assert_eq!(picker.ask(B, 9, at(0)), None);
    assert_eq!(picker.ask(SourceId(9), 9, at(0)), None, "nobody");
    for (source, chunk) in [(A, 3), (B, second), (C, 1), (B, 2 - second)] {
        assert_eq!(bring(&mut picker, source, chunk, at(1)), []);
    }
    assert!(picker.is_whole() && picker.stored().is_full());
    assert_eq!(picker.accounts(), Accounts { asked: 4, ..Accounts::default() });
    assert_eq!(picker.progress(), Progress { stored: 4, chunks: 4, sources: 3 });
}

#[test]
fn news_change_what_is_rare() {
    let mut picker = picker(3, &[(A, &[0, 1, 2]), (B, &[])]);
    assert_eq!(picker.on_have(B, (0, 1), at(0)), Ok(2));
    assert_eq!(picker.on_have(B, (1, 1), at(0)), Ok(0), "no news");
    assert_eq!(picker.on_have(B, (1, 3), at(0)), Err(ChunkSetError::Range(1, 3, 3)));
    assert_eq!(picker.on_have(C, (0, 2), at(0)), Ok(0), "nobody");
    assert_eq!(picker.ask(A, 9, at(0)), Some(2));
    picker.check_invariants();
}

#[test]
fn equally_rare_chunks_come_from_the_own_slice_first() {
    for place in 0..4 {
        let mut picker = Picker::new(100, Slice { place, of: 4 }, 7);
        picker.add_source(A, &ChunkSet::full(100), at(0));
        let mut asked: Vec<u64> = (0..25).map(|_| picker.ask(A, 99, at(0)).unwrap()).collect();
        asked.sort_unstable();
        let first = u64::from(place) * 25;
        assert!(asked.into_iter().eq(first..first + 25));
    }
}

#[test]
fn an_own_slice_is_taken_from_the_front() {
    let mut picker = Picker::new(100, Slice { place: 2, of: 4 }, 7);
    picker.add_source(A, &ChunkSet::full(100), at(0));
    assert!((50..75).all(|chunk| picker.ask(A, 99, at(0)) == Some(chunk)));
    // Who knows of nobody else begins anywhere, and comes to everything in a row.
    let mut picker = Picker::new(100, ALL, 7);
    picker.add_source(A, &ChunkSet::full(100), at(0));
    let first = picker.ask(A, 999, at(0)).unwrap();
    assert!((1..100).all(|step| picker.ask(A, 999, at(0)) == Some((first + step) % 100)));
    picker.check_invariants();
}

#[test]
fn an_origin_is_asked_for_what_others_will_not_come_to_soon() {
    let mut picker = Picker::new(40, Slice { place: 0, of: 2 }, 7);
    picker.add_source(A, &ChunkSet::full(40), at(0));
    (0..20).for_each(|chunk| assert_eq!(picker.ask(A, 99, at(0)), Some(chunk)));
    (0..20).for_each(|chunk| drop(bring(&mut picker, A, chunk, at(10))));
    let ask = |picker: &mut Picker, now| picker.ask(A, 4, now);
    let helped: Vec<u64> = std::iter::from_fn(|| ask(&mut picker, at(10))).collect();
    assert!(
        helped.len() == 2 && helped.iter().all(|chunk| *chunk >= 24),
        "half of what one may ask: {helped:?}"
    );
    helped.iter().for_each(|chunk| drop(bring(&mut picker, A, *chunk, at(20))));
    // The other one has come to the last four.
    picker.add_source(B, &set(40, &[]), at(20));
    picker.on_have(B, (20, 35), at(20)).unwrap();
    while picker.ask(B, 99, at(20)).is_some() {}
    assert_eq!(ask(&mut picker, at(119)), None, "it will bring them");
    assert!(ask(&mut picker, at(120)).is_some_and(|chunk| chunk >= 36), "nothing new comes from it");
    assert!(ask(&mut picker, at(120)).is_some(), "another one");
    assert_eq!(ask(&mut picker, at(120)), None, "its share");
    picker.set_slice(Slice { place: 0, of: 1 });
    assert!(ask(&mut picker, at(120)).is_some(), "alone, it need not hold back");
    picker.check_invariants();
}

#[test]
fn an_origin_is_spared_as_long_as_receivers_bring_as_much() {
    let mut picker = picker(9, &[(A, &[0, 1, 2, 3, 4, 5, 6, 7, 8]), (B, &[1, 2, 3, 4, 5, 6, 7, 8])]);
    assert_eq!(ask_all(&mut picker, A, at(0)), [0], "only it holds that");
    bring(&mut picker, A, 0, at(10));
    let (first, second) = (picker.ask(B, 9, at(0)).unwrap(), picker.ask(B, 9, at(0)).unwrap());
    bring(&mut picker, B, first, at(10));
    assert_eq!(picker.ask(A, 9, at(20)), None, "ten milliseconds a chunk, as it takes itself");
    bring(&mut picker, B, second, at(2000));
    assert!(picker.ask(A, 9, at(1000)).is_some(), "much slower");
    picker.add_source(C, &set(9, &[1, 2, 3, 4, 5, 6, 7]), at(1000));
    assert_eq!(picker.ask(A, 9, at(1000)), None, "another may be quicker");
    assert!(picker.ask(B, 9, at(1000)).is_some() && picker.ask(C, 9, at(1000)).is_some());
    picker.check_invariants();
}

#[test]
fn what_an_earlier_attempt_left_is_not_asked_for() {
    let mut picker = Picker::new(3, ALL, 7);
    picker.mark_stored(1);
    picker.add_source(A, &ChunkSet::full(3), at(0));
    assert_eq!(ask_all(&mut picker, A, at(0)), [0, 2]);
    assert_eq!(picker.progress().stored, 1);
    assert!(Picker::new(0, ALL, 7).is_whole(), "an empty file");
}

#[test]
fn what_a_source_took_with_it_is_asked_of_another() {
    let mut picker = picker(3, &[(A, &[0, 1, 2]), (B, &[0, 1, 2])]);
    assert_eq!(ask_all(&mut picker, A, at(0)), [0, 1, 2]);
    assert_eq!(picker.begin(A, 1), Ok(Arrival::Write));
    picker.remove_source(A);
    picker.check_invariants();
    assert!(!picker.is_written(A, 1));
    assert_eq!(picker.begin(A, 1), Err(Lie::NotAsked(1)));
    assert_eq!(ask_all(&mut picker, B, at(1)), [0, 1, 2]);
    assert_eq!((picker.accounts().broken, picker.accounts().asked), (3, 6));
}

#[test]
fn a_liar_is_not_asked_for_the_same_chunk_again() {
    let mut picker = picker(1, &[(A, &[0]), (B, &[])]);
    assert_eq!(picker.ask(A, 9, at(0)), Some(0));
    assert_eq!(picker.begin(A, 0), Ok(Arrival::Write));
    picker.on_wrong(A, 0);
    picker.check_invariants();
    assert_eq!(picker.on_have(A, (0, 0), at(0)), Ok(0), "whatever it says");
    assert_eq!(picker.ask(A, 9, at(0)), None);
    picker.on_have(B, (0, 0), at(0)).unwrap();
    assert_eq!(picker.ask(B, 9, at(0)), Some(0));
    assert_eq!(picker.accounts().wrong, 1);
}

#[test]
fn a_chunk_that_is_denied_is_asked_of_another_until_it_is_there_again() {
    let mut picker = picker(2, &[(A, &[0, 1])]);
    assert_eq!(ask_all(&mut picker, A, at(0)), [0, 1]);
    assert!(picker.on_denied(A, 0) && !picker.on_denied(A, 0) && !picker.on_denied(B, 0));
    assert!(!picker.on_denied(A, u64::MAX));
    picker.check_invariants();
    assert_eq!(picker.ask(A, 9, at(0)), None);
    assert_eq!(picker.on_have(A, (0, 0), at(0)), Ok(1));
    assert_eq!(picker.ask(A, 9, at(0)), Some(0));
    assert_eq!(picker.accounts().denied, 1);
}

#[test]
fn what_nobody_asked_for_is_a_lie() {
    let mut picker = picker(2, &[(A, &[0, 1])]);
    assert_eq!(picker.begin(A, 0), Err(Lie::NotAsked(0)));
    assert_eq!(picker.begin(A, u64::MAX), Err(Lie::NotAsked(u64::MAX)));
    picker.ask(A, 1, at(0)).unwrap();
    assert_eq!(picker.begin(B, 0), Err(Lie::NotAsked(0)));
}

#[test]
fn a_silent_source_gives_way_and_is_taken_back() {
    let mut picker = picker(2, &[(A, &[0, 1])]);
    assert_eq!(ask_all(&mut picker, A, at(0)), [0, 1]);
    picker.add_source(B, &set(2, &[0]), at(0));
    assert_eq!(picker.lapse_at(), Some(at(3000)));
    assert_eq!(picker.lapse(at(2999)), []);
    picker.on_octets(A, at(1000));
    assert_eq!(picker.lapse(at(3999)), []);
    assert_eq!(picker.lapse(at(4000)), [A]);
    picker.check_invariants();
    assert_eq!((picker.lapse(at(9000)), picker.lapse_at()), (vec![], None), "once");
    assert_eq!(picker.ask(A, 9, at(4000)), None, "until something comes");
    assert_eq!(ask_all(&mut picker, B, at(4000)), [0]);
    // It speaks: what nobody else was asked for is its own again, and what is here first counts.
    assert_eq!(picker.begin(A, 0), Ok(Arrival::Write));
    picker.on_octets(A, at(5000));
    picker.check_invariants();
    assert_eq!(picker.ask(A, 9, at(5000)), None, "nothing is left");
    assert_eq!(picker.on_stored(A, 0, at(5000)), [B]);
    assert_eq!(picker.begin(B, 0), Ok(Arrival::ThrowAway), "it may come all the same");
    picker.on_thrown_away(B, 0);
    assert_eq!(picker.begin(B, 0), Err(Lie::NotAsked(0)), "but not twice");
    bring(&mut picker, A, 1, at(5001));
    let expected = Accounts { asked: 3, silent: 1, thrown_away: 1, ..Accounts::default() };
    assert_eq!(picker.accounts(), expected);
}

#[test]
fn at_the_end_a_slow_source_is_overtaken_and_only_the_faster_is_written() {
    let mut picker = picker(3, &[(A, &[0, 1, 2]), (B, &[0, 1, 2])]);
    let chunk = picker.ask(B, 1, at(0)).unwrap();
    let others: Vec<u64> = std::iter::from_fn(|| picker.ask(A, 9, at(0))).collect();
    assert_eq!(picker.begin(B, chunk), Ok(Arrival::Write), "it trickles");
    for other in others {
        bring(&mut picker, A, other, at(80));
    }
    assert_eq!(picker.ask(A, 9, at(150)), None, "not much slower than the others yet");
    assert_eq!(picker.ask(A, 9, at(161)), Some(chunk));
    assert_eq!(picker.ask(A, 9, at(999)), None, "once");
    picker.check_invariants();
    assert!(picker.is_written(B, chunk));
    assert_eq!(picker.begin(A, chunk), Ok(Arrival::Write));
    assert!(picker.is_written(A, chunk) && !picker.is_written(B, chunk));
    assert_eq!(picker.on_stored(A, chunk, at(170)), [B]);
    picker.on_thrown_away(B, chunk);
    picker.check_invariants();
    assert!(picker.is_whole());
    let expected = Accounts { asked: 4, end_game: 1, thrown_away: 1, ..Accounts::default() };
    assert_eq!(picker.accounts(), expected);
}

#[test]
fn a_late_first_source_does_not_write_into_what_the_second_brings() {
    let mut picker = picker(1, &[(A, &[0]), (B, &[0])]);
    assert_eq!(picker.ask(A, 1, at(0)), Some(0));
    assert_eq!(picker.ask(B, 1, at(5999)), None);
    assert_eq!(picker.ask(B, 1, at(6000)), Some(0), "nothing came yet: patience is the measure");
    assert_eq!(picker.ask(C, 1, at(60_000)), None);
    assert_eq!(picker.begin(B, 0), Ok(Arrival::Write));
    assert_eq!(picker.begin(A, 0), Ok(Arrival::ThrowAway));
    picker.on_wrong(B, 0);
    picker.check_invariants();
    assert!(!picker.is_written(A, 0), "its beginning is missing");
    picker.on_thrown_away(A, 0);
    assert_eq!(picker.ask(A, 1, at(6100)), Some(0));
    bring(&mut picker, A, 0, at(6200));
    let accounts = picker.accounts();
    assert_eq!((accounts.asked, accounts.end_game, accounts.wrong, accounts.thrown_away), (3, 1, 1, 1));
}

/// Sources, and a disk that remembers who wrote each half of a chunk.
struct Model {
    picker: Picker,
    disk: Vec<[Option<SourceId>; 2]>,
    /// What each source is in the middle of.
    coming: BTreeMap<SourceId, u64>,
    now: Mono,
}

const CHUNKS: u64 = 12;
/// The last of the sources lies about every chunk.
const SOURCES: u32 = 5;
const LIAR: SourceId = SourceId(SOURCES - 1);

impl Model {
    fn act(&mut self, act: u8, source: SourceId, chunk: u64) {
        let picker = &mut self.picker;
        match act {
            0 => {
                self.coming.remove(&source);
                picker.remove_source(source);
            }
            1 => {
                self.coming.remove(&source);
                let mut held = ChunkSet::full(CHUNKS);
                held.remove(chunk);
                picker.add_source(source, &held, self.now);
            }
            2 => drop(picker.on_have(source, (chunk, CHUNKS - 1), self.now)),
            3 if self.coming.get(&source) != Some(&chunk) => drop(picker.on_denied(source, chunk)),
            4..=9 => drop(picker.ask(source, 4, self.now)),
            10..=13 if !self.coming.contains_key(&source) => self.begin(source, chunk),
            14.. => self.end(source),
            _ => {}
        }
    }

    fn begin(&mut self, source: SourceId, chunk: u64) {
        // The first chunk from there on that may come.
        let mut may_come = (0..CHUNKS).map(|more| (chunk + more) % CHUNKS);
        let Some(chunk) = may_come.find(|chunk| self.picker.begin(source, *chunk).is_ok()) else { return };
        self.coming.insert(source, chunk);
        self.write(source, chunk, 0);
    }

    fn write(&mut self, source: SourceId, chunk: u64, half: usize) {
        self.picker.on_octets(source, self.now);
        if self.picker.is_written(source, chunk) {
            self.disk[chunk as usize][half] = Some(source);
        }
    }

    fn end(&mut self, source: SourceId) {
        let Some(chunk) = self.coming.remove(&source) else { return };
        self.write(source, chunk, 1);
        if !self.picker.is_written(source, chunk) {
            self.picker.on_thrown_away(source, chunk);
        } else if source == LIAR {
            self.picker.on_wrong(source, chunk);
        } else {
            self.picker.on_stored(source, chunk, self.now);
        }
    }

    fn check(&self) {
        self.picker.check_invariants();
        for chunk in self.picker.stored().iter() {
            let [first, second] = self.disk[chunk as usize];
            assert!(first.is_some() && first == second && first != Some(LIAR), "chunk {chunk} is spoilt");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn what_is_stored_is_right_whatever_sources_do(
        seed in any::<u64>(),
        acts in prop::collection::vec((0u8..18, 0..SOURCES, 0..CHUNKS, 0u64..400), 0..300),
    ) {
        let picker = Picker::new(CHUNKS, Slice { place: (seed % 3) as u32, of: 3 }, seed);
        let mut model = Model { picker, disk: vec![[None; 2]; CHUNKS as usize], coming: BTreeMap::new(), now: at(0) };
        for (act, source, chunk, ms) in acts {
            // Mostly fast, sometimes slow enough to lapse.
            model.now = model.now + std::time::Duration::from_millis(if ms < 390 { ms / 10 } else { 2000 });
            model.picker.lapse(model.now);
            model.act(act, SourceId(source), chunk);
            model.check();
        }
        (0..SOURCES).for_each(|source| model.picker.remove_source(SourceId(source)));
        model.picker.add_source(A, &ChunkSet::full(CHUNKS), model.now);
        model.now = model.now + HELP_AGE_MAX;
        while let Some(chunk) = model.picker.ask(A, 4, model.now) {
            model.begin(A, chunk);
            model.end(A);
            model.check();
        }
        prop_assert!(model.picker.is_whole());
    }
}
