//! Clients driven by hand.

use std::io::ErrorKind;
use std::time::Duration;

use crate::proto::limits::LINGER_TIMEOUT;
use crate::proto::machine::{CloseReason, DownReason, Effect};
use crate::sim::tests::toys::{Echo, PORT, Pair, Puppet, perform, up};
use crate::sim::{NodeConfig, NodeId, ReadRate, StrangerId, StrangerState, World};

fn echo_world() -> (World, NodeId, StrangerId) {
    let mut world = World::new(1);
    let [server, client] = [1, 2].map(|last| world.add_node(&NodeConfig::new([10, 0, 0, last])));
    let addr = world.addr(server, PORT);
    world.start(server, Box::new(Echo { addr }));
    let stranger = world.connect(client, addr);
    (world, server, stranger)
}

fn run_ms(world: &mut World, millis: u64) {
    world.run_for(Duration::from_millis(millis));
}

#[test]
fn what_is_written_comes_back() {
    let (mut world, _, stranger) = echo_world();
    assert_eq!(world.stranger_state(stranger), StrangerState::Connecting);
    world.write(stranger, b"hello "); // waits for the connection
    run_ms(&mut world, 2);
    assert_eq!(world.stranger_state(stranger), StrangerState::Open);
    world.write(stranger, b"there\n");
    run_ms(&mut world, 2);
    assert_eq!(world.peek(stranger), b"hello there\n");
    assert_eq!(world.read(stranger), b"hello there\n");
    assert_eq!(world.read(stranger), b"");
}

#[test]
fn a_stranger_is_refused_like_anybody() {
    let (mut world, server, _) = echo_world();
    let addr = world.addr(server, 1);
    let stranger = world.connect(server, addr);
    world.write(stranger, b"lost");
    run_ms(&mut world, 2);
    assert_eq!(world.stranger_state(stranger), StrangerState::Refused(ErrorKind::ConnectionRefused));
    assert!(world.is_closed(stranger));
    world.write(stranger, b"lost");
    world.close(stranger);
}

#[test]
fn a_half_close_is_answered_with_what_was_still_to_come() {
    let (mut world, _, stranger) = echo_world();
    let text = vec![b'x'; 200_000];
    world.write(stranger, &text);
    world.finish_writing(stranger);
    world.write(stranger, b"too late");
    run_ms(&mut world, 100);
    assert_eq!(world.read(stranger), text);
    assert_eq!(world.stranger_state(stranger), StrangerState::Ended(DownReason::Eof));
    assert_eq!(world.stats().downs[&DownReason::Unread], 1);
}

#[test]
fn closing_delivers_and_resetting_does_not() {
    for (reset, reason) in [(false, DownReason::Eof), (true, DownReason::Reset)] {
        let mut pair = Pair::new(2);
        let addr = pair.world.addr(pair.nodes[1], PORT);
        let stranger = pair.world.connect(pair.nodes[0], addr);
        pair.run_ms(10);
        pair.links[1] = up(&pair.world, pair.puppets[1]);
        pair.world.slow_reader(pair.nodes[1], ReadRate::Nothing);
        pair.world.write(stranger, &[1; 100_000]);
        if reset {
            pair.world.reset(stranger);
        } else {
            pair.world.close(stranger);
        }
        assert_eq!(pair.world.stranger_state(stranger), StrangerState::Closed);
        pair.world.slow_reader(pair.nodes[1], ReadRate::Full);
        pair.run_ms(100);
        assert_eq!(pair.down(1), Some(reason));
        assert_eq!(pair.bytes(1).len() == 100_000, !reset);
    }
}

#[test]
fn one_who_never_reads_fills_its_window_and_no_more() {
    let (mut world, _, stranger) = echo_world();
    run_ms(&mut world, 2);
    world.set_reading(stranger, ReadRate::Nothing);
    for _ in 0..30 {
        world.write(stranger, &[b'x'; 50_000]);
        run_ms(&mut world, 20);
    }
    assert_eq!(world.stats().downs[&DownReason::QueueFull], 1);
    assert_eq!(world.peek(stranger), b"");
    world.set_reading(stranger, ReadRate::Full);
    run_ms(&mut world, 20);
    assert_eq!(world.read(stranger).len(), 64 << 10);
    assert!(world.is_closed(stranger));
}

#[test]
fn writing_to_one_who_has_gone_is_answered_by_a_reset() {
    let mut pair = Pair::new(3);
    let addr = pair.world.addr(pair.nodes[1], PORT);
    let stranger = pair.world.connect(pair.nodes[0], addr);
    pair.run_ms(10);
    let link = up(&pair.world, pair.puppets[1]);
    pair.perform(1, Effect::Close { link, reason: CloseReason::Misbehaved });
    pair.run_ms(10);
    assert_eq!(pair.world.stranger_state(stranger), StrangerState::Ended(DownReason::Eof));
    pair.world.write(stranger, b"still here");
    pair.world.run_for(LINGER_TIMEOUT);
    assert_eq!(pair.world.stranger_state(stranger), StrangerState::Ended(DownReason::Eof));
    pair.world.write(stranger, b"still here");
    pair.run_ms(10);
    assert_eq!(pair.world.stranger_state(stranger), StrangerState::Ended(DownReason::Reset));
}

#[test]
fn a_stranger_that_leaves_before_it_is_there_is_no_trouble() {
    let (mut world, server, stranger) = echo_world();
    world.close(stranger);
    let addr = world.addr(server, PORT);
    let hasty = world.connect(server, addr);
    assert!(world.run_until(|world| !world.is_closed(hasty), Duration::from_secs(1)));
    run_ms(&mut world, 1);
    world.write(hasty, b"and away");
    world.close(hasty);
    run_ms(&mut world, 3000);
    assert_eq!(world.kernel.conns_free.len(), world.kernel.conns.len());
}

#[test]
fn a_listener_that_exits_takes_its_backlog_along() {
    let mut world = World::new(4);
    let node = world.add_node(&NodeConfig::new([10, 0, 0, 1]));
    let puppet = world.start(node, Box::new(Puppet::default()));
    let addr = world.addr(node, PORT);
    perform(&mut world, puppet, Effect::Listen { addr });
    let stranger = world.connect(node, addr);
    let up = |world: &World| world.stranger_state(stranger) == StrangerState::Open;
    assert!(world.run_until(up, Duration::from_secs(1)));
    perform(&mut world, puppet, Effect::Exit);
    run_ms(&mut world, 10);
    assert_eq!(world.stranger_state(stranger), StrangerState::Ended(DownReason::Reset));
    assert_eq!(world.stats().links, 0);
}
