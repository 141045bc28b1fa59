//! What a test can break: crashes, power losses, partitions, resets, half-closes.

use std::io::ErrorKind;
use std::time::Duration;

use crate::proto::ids::DialId;
use crate::proto::limits::{
    DIAL_TIMEOUT, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, UNACKED_TIMEOUT,
};
use crate::proto::machine::{DownReason, Effect};
use crate::sim::ReadRate;
use crate::sim::tests::toys::{PORT, Pair, Puppet, Seen, up};

fn keepalive() -> Duration {
    KEEPALIVE_IDLE + KEEPALIVE_PROBES * KEEPALIVE_INTERVAL
}

const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn a_crash_ends_links_at_once_and_dials_are_refused() {
    let mut pair = Pair::new(1);
    pair.send(1, b"last words");
    pair.world.crash(pair.nodes[1]);
    assert!(!pair.world.is_running(pair.puppets[1]));
    assert!(pair.world.machines_on(pair.nodes[1]).is_empty());
    assert_eq!(pair.down(0), None);
    pair.run_ms(10);
    assert_eq!(pair.bytes(0), b"last words");
    assert_eq!(pair.down(0), Some(DownReason::Eof));
    let addr = pair.world.addr(pair.nodes[1], PORT);
    pair.perform(0, Effect::Dial { dial: DialId(2), addr });
    pair.run_ms(10);
    assert!(pair.has_seen(0, &Seen::DialFailed(DialId(2), ErrorKind::ConnectionRefused)));
}

#[test]
fn a_crash_with_something_unread_resets() {
    let mut pair = Pair::new(2);
    pair.world.slow_reader(pair.nodes[1], ReadRate::Nothing);
    pair.send(0, b"unread");
    pair.run_ms(10);
    pair.world.crash(pair.nodes[1]);
    pair.run_ms(10);
    assert_eq!(pair.down(0), Some(DownReason::Reset));
}

#[test]
fn a_crashed_node_starts_again() {
    let mut pair = Pair::new(3);
    pair.world.crash(pair.nodes[1]);
    pair.puppets[1] = pair.world.start(pair.nodes[1], Box::new(Puppet::default()));
    let addr = pair.world.addr(pair.nodes[1], PORT);
    pair.perform(1, Effect::Listen { addr });
    pair.perform(0, Effect::Dial { dial: DialId(2), addr });
    pair.run_ms(10);
    pair.links = [0, 1].map(|side| up(&pair.world, pair.puppets[side]));
    pair.send(0, b"hello again");
    pair.run_ms(10);
    assert_eq!(pair.bytes(1), b"hello again");
    assert_eq!(pair.puppet(1).seen.iter().filter(|seen| matches!(seen, Seen::Down(..))).count(), 0);
}

#[test]
fn a_node_without_power_says_nothing_until_it_is_back() {
    let mut pair = Pair::new(4);
    pair.world.power_loss(pair.nodes[1]);
    pair.world.run_for(KEEPALIVE_IDLE);
    assert_eq!(pair.down(0), None);
    pair.world.start(pair.nodes[1], Box::new(Puppet::default()));
    pair.run_ms(300);
    assert_eq!(pair.down(0), Some(DownReason::Reset));

    let mut pair = Pair::new(5);
    pair.world.power_loss(pair.nodes[1]);
    let addr = pair.world.addr(pair.nodes[1], PORT);
    pair.perform(0, Effect::Dial { dial: DialId(2), addr });
    pair.world.run_for(keepalive() - MOMENT);
    assert_eq!(pair.down(0), None);
    pair.world.run_for(2 * MOMENT);
    assert_eq!(pair.down(0), Some(DownReason::TimedOut));
    assert!(pair.has_seen(0, &Seen::DialFailed(DialId(2), ErrorKind::TimedOut)));
    pair.world.start(pair.nodes[1], Box::new(Puppet::default()));
    pair.run_ms(1000);
    assert_eq!(pair.world.kernel.conns_free.len(), pair.world.kernel.conns.len());
}

#[test]
fn a_partition_holds_bytes_and_a_heal_delivers_them() {
    let mut pair = Pair::new(6);
    let [a, b] = pair.nodes;
    pair.send(0, b"on its way, ");
    pair.world.partition(a, b);
    pair.send(0, b"held");
    pair.send(0, &vec![0; 100_000]);
    assert_eq!(pair.puppet(0).seen.last(), Some(&Seen::Blocked(pair.links[0])));
    pair.run_ms(19_000);
    assert_eq!(pair.bytes(1), b"");
    pair.world.heal(a, b);
    pair.run_ms(1000);
    assert_eq!(pair.bytes(1).len(), 100_016);
    assert!(pair.bytes(1).starts_with(b"on its way, held"));
    pair.run_ms(60_000);
    assert_eq!((pair.down(0), pair.down(1)), (None, None));
}

#[test]
fn a_long_partition_times_out_at_both_ends_sooner_for_who_waits_for_an_answer() {
    let mut pair = Pair::new(7);
    let [a, b] = pair.nodes;
    pair.world.partition(a, b);
    pair.run_ms(1000);
    pair.send(0, b"anybody?");
    pair.world.run_for(UNACKED_TIMEOUT - MOMENT);
    assert_eq!((pair.down(0), pair.down(1)), (None, None));
    pair.world.run_for(2 * MOMENT);
    assert_eq!((pair.down(0), pair.down(1)), (Some(DownReason::TimedOut), None));
    pair.world.run_for(keepalive() - UNACKED_TIMEOUT - Duration::from_secs(1));
    assert_eq!(pair.down(1), Some(DownReason::TimedOut));
}

#[test]
fn who_hears_nothing_of_a_timeout_is_reset_after_the_heal() {
    let mut pair = Pair::new(8);
    let [a, b] = pair.nodes;
    pair.world.partition(a, b);
    pair.send(0, b"anybody?");
    pair.world.run_for(UNACKED_TIMEOUT + MOMENT);
    assert_eq!(pair.down(0), Some(DownReason::TimedOut));
    pair.world.heal(a, b);
    pair.run_ms(1000);
    assert_eq!(pair.down(1), Some(DownReason::Reset));
    assert_eq!(pair.bytes(1), b"");
}

#[test]
fn dials_through_a_partition_time_out_or_succeed_after_a_heal() {
    let mut pair = Pair::new(9);
    let [a, b] = pair.nodes;
    let addr = pair.world.addr(b, PORT);
    pair.world.partition(b, a);
    pair.perform(0, Effect::Dial { dial: DialId(2), addr });
    pair.world.run_for(DIAL_TIMEOUT);
    assert!(pair.has_seen(0, &Seen::DialFailed(DialId(2), ErrorKind::TimedOut)));
    pair.perform(0, Effect::Dial { dial: DialId(3), addr });
    pair.run_ms(2500);
    pair.world.heal(a, b);
    pair.run_ms(2000);
    let dialed = up(&pair.world, pair.puppets[0]);
    assert_ne!(dialed, pair.links[0]);
}

#[test]
fn a_reset_loses_what_is_on_its_way() {
    let mut pair = Pair::new(10);
    let [a, b] = pair.nodes;
    pair.send(0, &vec![1; 100_000]);
    pair.world.reset_links(b, a);
    pair.run_ms(10);
    assert_eq!((pair.down(0), pair.down(1)), (Some(DownReason::Reset), Some(DownReason::Reset)));
    assert_eq!(pair.bytes(1), b"");
    assert_eq!(pair.world.stats().faults, 1);
    assert_eq!(pair.world.kernel.conns_free.len(), 1);
}

#[test]
fn nothing_comes_behind_what_a_reset_has_lost() {
    let mut pair = Pair::new(10);
    let [a, b] = pair.nodes;
    pair.world.partition(a, b);
    pair.send(0, b"lost");
    pair.world.reset_links(a, b);
    pair.send(0, b"behind it");
    pair.world.heal(a, b);
    pair.run_ms(2000);
    assert_eq!((pair.down(0), pair.down(1)), (Some(DownReason::Reset), Some(DownReason::Reset)));
    assert_eq!(pair.bytes(1), b"");
}

#[test]
fn a_half_close_is_an_end_for_the_reader_first() {
    let mut pair = Pair::new(11);
    let [a, b] = pair.nodes;
    pair.send(0, b"before");
    pair.world.half_close(a, b);
    pair.send(0, b"after");
    pair.send(1, b"answer");
    pair.run_ms(10);
    assert_eq!(pair.bytes(1), b"before");
    assert_eq!(pair.bytes(0), b"answer");
    assert_eq!((pair.down(0), pair.down(1)), (Some(DownReason::Eof), Some(DownReason::Eof)));
}

#[test]
fn a_partition_in_the_middle_of_a_handshake_leaves_nothing_behind() {
    for micros in (0..2000).step_by(50) {
        let mut pair = Pair::new(12);
        pair.close(0);
        pair.run_ms(100);
        let [a, b] = pair.nodes;
        let addr = pair.world.addr(b, PORT);
        pair.perform(0, Effect::Dial { dial: DialId(2), addr });
        pair.world.run_for(Duration::from_micros(micros));
        pair.world.partition(a, b);
        pair.world.run_for(keepalive() + DIAL_TIMEOUT);
        let downs: Vec<&Seen> = [0, 1]
            .into_iter()
            .flat_map(|side| &pair.puppet(side).seen[2..])
            .filter(|seen| matches!(seen, Seen::Down(_, DownReason::TimedOut) | Seen::DialFailed(..)))
            .collect();
        assert!((1..=2).contains(&downs.len()), "{micros}: {downs:?}");
        assert_eq!(pair.world.kernel.conns_free.len(), pair.world.kernel.conns.len(), "{micros}");
    }
}
