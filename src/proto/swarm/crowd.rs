//! A whole swarm of pickers and servings, without links, wire or disk: time goes in steps, a chunk
//! takes one, each member sends so many in a step, and everybody hears at once who has what. Shows what
//! the rules of one receiver amount to together.

use std::time::Duration;

use crate::proto::ids::LinkId;
use crate::proto::limits::{CHUNKS_IN_FLIGHT_MAX, LIES_MAX};
use crate::proto::swarm::{Accounts, Arrival, ChunkSet, Picker, Request, Serving, Slice, SourceId};
use crate::proto::time::Mono;

const STEP: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    Honest,
    /// Every chunk that it sends is wrong, and it claims to hold everything.
    Lies,
    /// Takes requests and sends nothing after so many chunks.
    Stalls(u64),
}

struct Member {
    online: bool,
    manner: Manner,
    serving: Serving,
    /// By file; `None` for a file of its own.
    pickers: Vec<Option<Picker>>,
    /// Chunks sent, by file.
    sent: Vec<u64>,
    /// How often each other lied to it.
    lies: Vec<u32>,
}

/// Members, and files of so many chunks; file `n` is of member `n` in the beginning.
struct Crowd {
    chunks: u64,
    members: Vec<Member>,
    now: Mono,
    steps: u64,
    delivered: u64,
    /// Everything that was sent, in order: from, to, file, chunk.
    trace: Vec<(usize, usize, u32, u64)>,
}

fn source(member: usize) -> SourceId {
    SourceId(member as u32)
}

fn link(member: usize) -> LinkId {
    LinkId { index: member as u32, generation: 0 }
}

impl Crowd {
    /// `slices`: whether receivers know how many they are.
    fn new(members: usize, files: usize, chunks: u64, slices: bool, seed: u64) -> Crowd {
        let member = |at: usize| {
            let picker = |file: usize| {
                // The place among those that do not own the file.
                let place = if at > file { at - 1 } else { at } as u32;
                let slice =
                    if slices { Slice { place, of: members as u32 - 1 } } else { Slice { place: 0, of: 1 } };
                (file != at).then(|| Picker::new(chunks, slice, seed * 1000 + at as u64))
            };
            let (serving, lies) = (Serving::new(None), vec![0; members]);
            let pickers = (0..files).map(picker).collect();
            Member { online: false, manner: Manner::Honest, serving, pickers, sent: vec![0; files], lies }
        };
        let members: Vec<Member> = (0..members).map(member).collect();
        let mut crowd = Crowd { chunks, members, now: Mono(0), steps: 0, delivered: 0, trace: Vec::new() };
        (0..crowd.members.len()).for_each(|at| crowd.come(at));
        crowd
    }

    /// What a member says that it holds of a file.
    fn held(&self, member: usize, file: usize) -> ChunkSet {
        match &self.members[member].pickers[file] {
            Some(picker) if self.members[member].manner != Manner::Lies => picker.stored().clone(),
            _ => ChunkSet::full(self.chunks),
        }
    }

    fn introduce(&mut self, member: usize, to: usize) {
        for file in 0..self.members[to].pickers.len() {
            let (held, now) = (self.held(member, file), self.now);
            if let Some(picker) = &mut self.members[to].pickers[file] {
                picker.add_source(source(member), &held, now);
            }
        }
    }

    fn part(&mut self, member: usize, from: usize) {
        self.members[from].serving.drop_link(link(member));
        for picker in self.members[from].pickers.iter_mut().flatten() {
            picker.remove_source(source(member));
        }
    }

    fn come(&mut self, at: usize) {
        assert!(!std::mem::replace(&mut self.members[at].online, true));
        for other in (0..self.members.len()).filter(|other| *other != at) {
            if self.members[other].online {
                self.introduce(at, other);
                self.introduce(other, at);
            }
        }
    }

    fn go(&mut self, at: usize) {
        self.members[at].online = false;
        for other in (0..self.members.len()).filter(|other| *other != at) {
            self.part(at, other);
            self.part(other, at);
        }
    }

    /// A member asks each other for as much as a link may have in flight, each beginning with another.
    fn ask(&mut self, at: usize) {
        let (members, files) = (self.members.len(), self.members[at].pickers.len());
        for other in (1..members).map(|step| (at + step) % members) {
            let pickers = &mut self.members[at].pickers;
            let mut asked = Vec::new();
            let mut in_flight: usize =
                pickers.iter().flatten().map(|picker| picker.in_flight(source(other))).sum();
            for file in (0..files).map(|step| (at + step) % files) {
                let Some(picker) = &mut pickers[file] else { continue };
                while in_flight < CHUNKS_IN_FLIGHT_MAX
                    && let Some(chunk) = picker.ask(source(other), CHUNKS_IN_FLIGHT_MAX, self.now)
                {
                    asked.push(Request { file: file as u32, chunk, len: 1 });
                    in_flight += 1;
                }
            }
            for request in asked {
                self.members[other].serving.push(link(at), request).unwrap();
            }
        }
    }

    fn deliver(&mut self, from: usize, to: usize, file: usize, chunk: u64) {
        self.members[from].sent[file] += 1;
        let (now, is_lie) = (self.now, self.members[from].manner == Manner::Lies);
        let receiver = &mut self.members[to];
        let pickers = receiver.pickers.iter_mut().flatten();
        pickers.for_each(|picker| picker.on_octets(source(from), now));
        let picker = receiver.pickers[file].as_mut().unwrap();
        if is_lie && receiver.lies[from] >= LIES_MAX {
            return; // the link was closed in this very step
        }
        self.delivered += 1;
        self.trace.push((from, to, file as u32, chunk));
        let arrival = picker.begin(source(from), chunk).unwrap();
        match arrival {
            Arrival::ThrowAway => picker.on_thrown_away(source(from), chunk),
            Arrival::Write if is_lie => {
                picker.on_wrong(source(from), chunk);
                receiver.lies[from] += 1;
                if receiver.lies[from] >= LIES_MAX {
                    self.part(from, to);
                    self.part(to, from);
                }
            }
            Arrival::Write => {
                let others = picker.on_stored(source(from), chunk, now);
                for other in others {
                    let cancelled = &mut self.members[other.0 as usize].serving;
                    cancelled.cancel(link(to), file as u32, chunk);
                }
                for other in self.members.iter_mut().filter(|other| other.online) {
                    if let Some(picker) = &mut other.pickers[file] {
                        picker.on_have(source(to), (chunk, chunk), now).unwrap();
                    }
                }
            }
        }
    }

    /// Everybody asks, then everybody that has to sends up to so many chunks.
    fn step(&mut self, uplink: impl Fn(usize) -> u64) {
        let members = self.members.len();
        let online: Vec<usize> = (0..members).filter(|at| self.members[*at].online).collect();
        let mut sent = Vec::new();
        online.iter().for_each(|at| self.ask(*at));
        for from in online {
            let member = &mut self.members[from];
            for _ in 0..uplink(from) {
                let stalled = matches!(member.manner, Manner::Stalls(after) if member.sent.iter().sum::<u64>() >= after);
                match member.serving.pop(self.now) {
                    Some((link, request)) if !stalled => sent.push((from, link.index as usize, request)),
                    _ => break,
                }
            }
        }
        for (from, to, request) in sent {
            self.deliver(from, to, request.file as usize, request.chunk);
        }
        self.now = self.now + STEP;
        self.steps += 1;
        for picker in self.members.iter_mut().flat_map(|member| member.pickers.iter_mut().flatten()) {
            picker.lapse(self.now);
        }
        if self.steps.is_multiple_of(16) {
            self.pickers().for_each(Picker::check_invariants);
        }
    }

    fn pickers(&self) -> impl Iterator<Item = &Picker> {
        self.members.iter().flat_map(|member| member.pickers.iter().flatten())
    }

    fn accounts(&self) -> Accounts {
        self.pickers().map(Picker::accounts).fold(Accounts::default(), |sum, more| Accounts {
            asked: sum.asked + more.asked,
            end_game: sum.end_game + more.end_game,
            silent: sum.silent + more.silent,
            wrong: sum.wrong + more.wrong,
            denied: sum.denied + more.denied,
            broken: sum.broken + more.broken,
            thrown_away: sum.thrown_away + more.thrown_away,
        })
    }

    /// Until every honest member has everything; a bug is one that takes more steps than that.
    fn run(&mut self, steps_max: u64, uplink: impl Fn(usize) -> u64 + Copy) {
        let needs = |member: &Member| {
            member.manner == Manner::Honest
                && member.pickers.iter().flatten().any(|picker| !picker.is_whole())
        };
        while self.members.iter().any(needs) {
            assert!(self.steps < steps_max, "not whole after {steps_max} steps");
            self.step(uplink);
        }
        let accounts = self.accounts();
        let stored: u64 = self.pickers().map(|picker| picker.stored().count()).sum();
        assert_eq!(self.delivered, stored + accounts.wrong + accounts.thrown_away, "nothing without a cause");
    }

    /// How often the owner of a file sent it.
    fn origin_factor(&self, file: usize) -> f64 {
        self.members[file].sent[file] as f64 / self.chunks as f64
    }
}

/// One origin and ten receivers that know their slices; each sends a chunk a step.
fn eleven(seed: u64) -> Crowd {
    Crowd::new(11, 1, 200, true, seed)
}

#[test]
fn an_origin_sends_each_chunk_about_once_and_the_receivers_do_the_rest() {
    for seed in 0..20 {
        let mut crowd = eleven(seed);
        // At best, 200 for the origin to send all, and one more.
        crowd.run(220, |_| 1);
        assert!(crowd.origin_factor(0) <= 1.02, "seed {seed}: {}", crowd.origin_factor(0));
        let accounts = crowd.accounts();
        assert!(accounts.repeated() <= 10, "seed {seed}: {accounts:?}");
    }
}

#[test]
fn receivers_that_hear_of_each_other_late_get_in_each_others_way_only_so_long() {
    for seed in 0..5 {
        let mut crowd = Crowd::new(11, 1, 200, false, seed);
        (0..20).for_each(|_| crowd.step(|_| 1));
        for (at, member) in crowd.members.iter_mut().enumerate().skip(1) {
            let picker = member.pickers[0].as_mut().unwrap();
            picker.set_slice(Slice { place: at as u32 - 1, of: 10 });
        }
        crowd.run(300, |_| 1);
        assert!(crowd.origin_factor(0) < 1.4, "seed {seed}: {}", crowd.origin_factor(0));
    }
}

#[test]
fn twenty_that_all_have_a_file_for_the_others_use_their_links_to_the_full() {
    for seed in 0..2 {
        let mut crowd = Crowd::new(20, 20, 20, true, seed);
        // At best, each sends in each step something new to somebody: 19 files for 20 members each.
        crowd.run(19 * 20 * 5 / 4, |_| 1);
        let factors: f64 = (0..20).map(|file| crowd.origin_factor(file)).sum();
        assert!(factors / 20.0 < 19.0 / 2.0, "seed {seed}: {}", factors / 20.0);
    }
}

#[test]
fn a_file_of_one_chunk_and_an_empty_one_come_too() {
    for chunks in 0..3 {
        Crowd::new(11, 1, chunks, true, 1).run(100, |_| 1);
    }
}

#[test]
fn a_liar_is_found_out_and_everybody_ends_whole() {
    for seed in 0..10 {
        let mut crowd = eleven(seed);
        crowd.go(5);
        crowd.members[5].manner = Manner::Lies;
        crowd.come(5);
        crowd.run(400, |_| 1);
        let accounts = crowd.accounts();
        let found_out = crowd.members.iter().map(|member| u64::from(member.lies[5])).sum::<u64>();
        assert!(found_out > 0 && found_out <= 9 * u64::from(LIES_MAX), "seed {seed}");
        assert!(accounts.wrong <= found_out, "seed {seed}: {accounts:?}");
    }
}

#[test]
fn sources_that_stall_are_done_without() {
    for seed in 0..10 {
        let mut crowd = eleven(seed);
        crowd.members[3].manner = Manner::Stalls(20);
        crowd.members[7].manner = Manner::Stalls(0);
        crowd.run(600, |_| 1);
        assert!(crowd.accounts().silent > 0, "seed {seed}");
    }
}

#[test]
fn a_swarm_outlives_its_origin() {
    for seed in 0..10 {
        let mut crowd = eleven(seed);
        let is_out = |crowd: &Crowd, chunk| crowd.pickers().any(|picker| picker.stored().contains(chunk));
        while !(0..crowd.chunks).all(|chunk| is_out(&crowd, chunk)) {
            crowd.step(|_| 1);
        }
        crowd.go(0);
        let more = crowd.steps + 100;
        crowd.run(more, |_| 1);
    }
}

#[test]
fn members_that_come_and_go_end_whole() {
    for seed in 0..10 {
        let mut crowd = eleven(seed);
        let needs = |crowd: &Crowd| crowd.pickers().any(|picker| !picker.is_whole());
        while needs(&crowd) && crowd.steps < 2000 {
            // Two of the receivers are away at any time, each for 14 steps; sometimes the origin is.
            let turn = crowd.steps / 7;
            if crowd.steps.is_multiple_of(7) {
                crowd.go((turn + seed) as usize % 11);
                let back = (turn + seed + 9) as usize % 11;
                if !crowd.members[back].online {
                    crowd.come(back);
                }
            }
            crowd.step(|_| 1);
        }
        assert!(!needs(&crowd), "seed {seed}");
        assert!(crowd.accounts().broken > 0, "seed {seed}");
    }
}

#[test]
fn the_fast_do_not_wait_for_the_slow() {
    for seed in 0..5 {
        let mut crowd = eleven(seed);
        // The origin is fast; three receivers send nothing to speak of. With the origin at full speed, it would be
        // 134 steps.
        crowd.run(240, |at| [8, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0][at]);
    }
}

#[test]
fn a_seed_replays() {
    let run = |seed| {
        let mut crowd = eleven(seed);
        crowd.members[3].manner = Manner::Stalls(20);
        crowd.run(600, |_| 1);
        crowd.trace
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
