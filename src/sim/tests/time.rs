//! Clocks and deadlines: never early, as late as the node is, and stalls.

use std::time::Duration;

use crate::proto::machine::{Input, Machine, Os};
use crate::proto::time::{Mono, Now};
use crate::sim::tests::toys::{Pair, Puppet};
use crate::sim::{Lateness, NodeConfig, World};

const PROMPT: Lateness = Lateness { usual: Duration::ZERO, oversleep_chance: 0.0, oversleep: Duration::ZERO };

fn set_deadline(world: &mut World, puppet: crate::sim::MachineId, ahead: Duration) -> Mono {
    let set = |puppet: &mut Puppet, now: Now, _: &mut dyn Os| {
        puppet.deadline = Some(now.mono + ahead);
        now.mono + ahead
    };
    world.act(puppet, set).unwrap()
}

#[test]
fn a_deadline_is_met_to_the_nanosecond_by_a_prompt_node() {
    for drift_ppb in [0, 80_000, -80_000, 300_000_000] {
        let mut world = World::new(1);
        let config = NodeConfig { drift_ppb, lateness: PROMPT, ..NodeConfig::new([10, 0, 0, 1]) };
        let node = world.add_node(&config);
        let puppet = world.start(node, Box::new(Puppet::default()));
        let deadline = set_deadline(&mut world, puppet, Duration::from_secs(100));
        world.run_for(Duration::from_secs(200));
        let fired = &world.machine::<Puppet>(puppet).unwrap().fired;
        assert_eq!(fired.len(), 1);
        let late_ns = fired[0].1.mono.since_ns(deadline);
        assert!(late_ns <= 1, "{late_ns}"); // a fast clock skips numbers
    }
}

#[test]
fn lateness_is_bounded_and_random() {
    let mut world = World::new(2);
    let node = world.add_node(&NodeConfig::new([10, 0, 0, 1]));
    let puppet = world.start(node, Box::new(Puppet::default()));
    for _ in 0..100 {
        set_deadline(&mut world, puppet, Duration::from_millis(3));
        world.run_for(Duration::from_millis(10));
    }
    let fired = &world.machine::<Puppet>(puppet).unwrap().fired;
    let late_ns: Vec<u64> = fired.iter().map(|(deadline, now)| now.mono.since_ns(*deadline)).collect();
    assert_eq!(late_ns.len(), 100);
    assert!(late_ns.iter().all(|late_ns| *late_ns <= 50_000));
    assert!(late_ns.iter().any(|late_ns| *late_ns > 30_000));
}

#[test]
fn an_earlier_deadline_replaces_a_later_one_and_the_other_way_round() {
    let mut world = World::new(3);
    let node = world.add_node(&NodeConfig::new([10, 0, 0, 1]));
    let puppet = world.start(node, Box::new(Puppet::default()));
    set_deadline(&mut world, puppet, Duration::from_secs(10));
    let first = set_deadline(&mut world, puppet, Duration::from_secs(1));
    world.run_for(Duration::from_secs(2));
    set_deadline(&mut world, puppet, Duration::from_secs(1));
    let second = set_deadline(&mut world, puppet, Duration::from_secs(5));
    world.run_for(Duration::from_secs(20));
    let fired = &world.machine::<Puppet>(puppet).unwrap().fired;
    assert_eq!(fired.iter().map(|fired| fired.0).collect::<Vec<_>>(), [first, second]);
    assert!(world.stats().events < 10, "stale wake-ups are few");
}

#[test]
fn a_stalled_node_serves_nothing_and_then_deadlines_first() {
    let mut pair = Pair::new(4);
    let deadline = set_deadline(&mut pair.world, pair.puppets[1], Duration::from_millis(5));
    pair.world.stall(pair.nodes[1], Duration::from_millis(100));
    pair.send(0, b"hello");
    pair.run_ms(99);
    assert!(pair.puppet(1).fired.is_empty() && pair.puppet(1).pieces.is_empty());
    pair.run_ms(2);
    let (due, fired_at) = pair.puppet(1).fired[0];
    let (_, arrived_at, read_at) = pair.puppet(1).pieces[0];
    assert_eq!(due, deadline);
    assert!(fired_at.mono.since_ns(deadline) > 90_000_000);
    assert_eq!(read_at, fired_at);
    assert!(read_at.wall.0 - arrived_at.0 > 90_000_000, "the kernel has stamped it before");
}

#[test]
fn a_node_can_oversleep() {
    let mut world = World::new(5);
    let mut config = NodeConfig::new([10, 0, 0, 1]);
    config.lateness.oversleep_chance = 0.05;
    let node = world.add_node(&config);
    let puppet = world.start(node, Box::new(Puppet::default()));
    for _ in 0..500 {
        set_deadline(&mut world, puppet, Duration::from_millis(3));
        world.run_for(Duration::from_millis(100));
    }
    let fired = &world.machine::<Puppet>(puppet).unwrap().fired;
    let very_late = fired.iter().filter(|(deadline, now)| now.mono.since_ns(*deadline) > 1_000_000);
    let very_late = very_late.count();
    assert_eq!(fired.len(), 500);
    assert!((5..60).contains(&very_late), "{very_late}");
}

#[test]
fn clocks_differ_by_offset_and_drift_and_steps_move_only_the_wall() {
    let mut world = World::new(6);
    let good = world.add_node(&NodeConfig::new([10, 0, 0, 1]));
    let odd = NodeConfig { wall_offset_ns: -5_000, drift_ppb: 1_000, ..NodeConfig::new([10, 0, 0, 2]) };
    let odd = world.add_node(&odd);
    assert_eq!(world.clocks(good).wall.0 - world.clocks(odd).wall.0, 5_000);
    assert_ne!(world.clocks(good).mono, world.clocks(odd).mono);
    let before = world.clocks(odd);
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.clocks(odd).mono.since_ns(before.mono), 10_000_010_000);
    assert_eq!(world.clocks(odd).wall.0 - world.clocks(good).wall.0, 5_000);
    let before = world.clocks(odd);
    world.step_wall(odd, -1_000_000);
    assert_eq!(world.clocks(odd).mono, before.mono);
    assert_eq!(before.wall.0 - world.clocks(odd).wall.0, 1_000_000);
}

#[test]
fn a_new_drift_moves_a_deadline_that_is_pending() {
    let mut world = World::new(7);
    let node = world.add_node(&NodeConfig { lateness: PROMPT, ..NodeConfig::new([10, 0, 0, 1]) });
    let puppet = world.start(node, Box::new(Puppet::default()));
    set_deadline(&mut world, puppet, Duration::from_secs(10));
    world.set_drift(node, 250_000_000);
    world.run_for(Duration::from_millis(7_999));
    assert!(world.machine::<Puppet>(puppet).unwrap().fired.is_empty());
    world.run_for(Duration::from_millis(2));
    assert_eq!(world.machine::<Puppet>(puppet).unwrap().fired.len(), 1);
}

/// Breaks the contract: its deadline stays due.
struct Stubborn(Mono);

impl Machine for Stubborn {
    fn handle_input(&mut self, _input: Input<'_>, now: Now, _os: &mut dyn Os) {
        self.0 = now.mono;
    }
    fn handle_timeout(&mut self, _now: Now, _os: &mut dyn Os) {}
    fn poll_timeout(&self) -> Option<Mono> {
        Some(self.0)
    }
}

#[test]
#[should_panic(expected = "due at")]
fn a_machine_that_leaves_something_due_is_found_out() {
    let mut world = World::new(8);
    let node = world.add_node(&NodeConfig::new([10, 0, 0, 1]));
    world.start(node, Box::new(Stubborn(Mono(0))));
    world.run_for(Duration::from_secs(1));
}
