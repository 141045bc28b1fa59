//! What a timer costs: the wheel beside two sorted maps that do the same. Run it with
//! `cargo bench --bench wheel`.
//!
//! `wheel` is the real one. `map` is `BTreeSet<(Mono, K)>` alone, which has to be told the
//! deadline of a key to cancel it. `maps` adds `BTreeMap<K, Mono>`, and so can do what the wheel can.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use tickmesh::proto::time::Mono;
use tickmesh::proto::wheel::Wheel;

const MILLI_NS: u64 = 1_000_000;
const SECOND_NS: u64 = 1_000 * MILLI_NS;
const COUNTS: [u32; 2] = [1_000, 100_000];

trait Timers: Default {
    const NAME: &'static str;
    fn insert(&mut self, key: u32, deadline: Mono);
    fn cancel(&mut self, key: u32, deadline: Mono);
    fn pop_due(&mut self, now: Mono) -> Option<(Mono, u32)>;
    fn next_deadline(&self) -> Option<Mono>;
}

impl Timers for Wheel<u32> {
    const NAME: &'static str = "wheel";
    fn insert(&mut self, key: u32, deadline: Mono) {
        black_box(Wheel::insert(self, key, deadline));
    }
    fn cancel(&mut self, key: u32, _: Mono) {
        black_box(Wheel::cancel(self, &key));
    }
    fn pop_due(&mut self, now: Mono) -> Option<(Mono, u32)> {
        Wheel::pop_due(self, now)
    }
    fn next_deadline(&self) -> Option<Mono> {
        Wheel::next_deadline(self)
    }
}

type Map = BTreeSet<(Mono, u32)>;

impl Timers for Map {
    const NAME: &'static str = "map";
    fn insert(&mut self, key: u32, deadline: Mono) {
        black_box(BTreeSet::insert(self, (deadline, key)));
    }
    fn cancel(&mut self, key: u32, deadline: Mono) {
        black_box(self.remove(&(deadline, key)));
    }
    fn pop_due(&mut self, now: Mono) -> Option<(Mono, u32)> {
        if self.first()?.0 > now {
            return None;
        }
        self.pop_first()
    }
    fn next_deadline(&self) -> Option<Mono> {
        Some(self.first()?.0)
    }
}

#[derive(Default)]
struct Maps {
    queue: Map,
    index: BTreeMap<u32, Mono>,
}

impl Timers for Maps {
    const NAME: &'static str = "maps";
    fn insert(&mut self, key: u32, deadline: Mono) {
        if let Some(old) = self.index.insert(key, deadline) {
            self.queue.remove(&(old, key));
        }
        self.queue.insert((deadline, key));
    }
    fn cancel(&mut self, key: u32, _: Mono) {
        if let Some(old) = self.index.remove(&key) {
            black_box(self.queue.remove(&(old, key)));
        }
    }
    fn pop_due(&mut self, now: Mono) -> Option<(Mono, u32)> {
        let popped = Timers::pop_due(&mut self.queue, now)?;
        self.index.remove(&popped.1);
        Some(popped)
    }
    fn next_deadline(&self) -> Option<Mono> {
        Timers::next_deadline(&self.queue)
    }
}

/// `count` keys in a mixed order, each with a deadline anywhere within ten seconds.
fn mixed(count: u32) -> Vec<(u32, Mono)> {
    let mut state: u64 = 1;
    let mut random = || {
        // SplitMix64.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    };
    let mut timers: Vec<(u32, Mono)> =
        (0..count).map(|key| (key, Mono(random() % (10 * SECOND_NS)))).collect();
    for index in (1..timers.len()).rev() {
        timers.swap(index, random() as usize % (index + 1));
    }
    timers
}

fn filled<T: Timers>(timers: &[(u32, Mono)]) -> T {
    let mut filled = T::default();
    for &(key, deadline) in timers {
        filled.insert(key, deadline);
    }
    filled
}

/// From empty to full, from full to empty by cancelling, and by popping.
fn whole<T: Timers>(c: &mut Criterion) {
    for count in COUNTS {
        let timers = mixed(count);
        let mut other_order = timers.clone();
        other_order.sort_by_key(|timer| timer.0.wrapping_mul(0x9E37_79B9));
        let mut bench = |what: &str, run: &dyn Fn(T) -> T, full: bool| {
            let mut group = c.benchmark_group(what);
            group.throughput(Throughput::Elements(count.into()));
            group.bench_function(BenchmarkId::new(T::NAME, count), |b| {
                let setup = || if full { filled(&timers) } else { T::default() };
                b.iter_batched(setup, run, BatchSize::LargeInput);
            });
        };
        let insert = |mut into: T| {
            for &(key, deadline) in &timers {
                into.insert(key, deadline);
            }
            into
        };
        let cancel = |mut from: T| {
            for &(key, deadline) in &other_order {
                from.cancel(key, deadline);
            }
            from
        };
        let fire = |mut from: T| {
            while let Some(next) = from.next_deadline() {
                black_box(from.pop_due(next));
            }
            from
        };
        bench("insert", &insert, false);
        bench("cancel", &cancel, true);
        bench("fire", &fire, true);
    }
}

/// Ticks: pop what is due, arm it again 10 ms later. `spread`: the keys share out the 10 ms.
/// `together`: all are due at the same nanosecond.
fn rearm<T: Timers>(c: &mut Criterion) {
    for count in COUNTS {
        for (what, step_ns) in [("rearm spread", 10 * MILLI_NS / u64::from(count)), ("rearm together", 0)] {
            let order = mixed(count);
            let timers: Vec<(u32, Mono)> =
                (0..count).map(|key| (order[key as usize].0, Mono(u64::from(key) * step_ns))).collect();
            let mut ticking: T = filled(&timers);
            let mut group: BenchmarkGroup<'_, WallTime> = c.benchmark_group(what);
            group.throughput(Throughput::Elements(1));
            group.bench_function(BenchmarkId::new(T::NAME, count), |b| {
                b.iter(|| {
                    let now = ticking.next_deadline().expect("never empty");
                    let (deadline, key) = ticking.pop_due(now).expect("due");
                    ticking.insert(key, Mono(deadline.0 + 10 * MILLI_NS));
                });
            });
        }
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    whole::<Wheel<u32>>(&mut criterion);
    whole::<Map>(&mut criterion);
    whole::<Maps>(&mut criterion);
    rearm::<Wheel<u32>>(&mut criterion);
    rearm::<Map>(&mut criterion);
    rearm::<Maps>(&mut criterion);
    criterion.final_summary();
}
