//! Links between machines: dials, delivery in order, windows, back-pressure, closing.

use std::io::ErrorKind;
use std::time::Duration;

use crate::proto::ids::DialId;
use crate::proto::limits::{DIAL_TIMEOUT, LINGER_TIMEOUT, LINK_QUEUE_BYTES_MAX, READ_BUDGET_BYTES};
use crate::proto::machine::{CloseReason, DownReason, Effect, Origin};
use crate::sim::tests::toys::{PORT, Pair, Puppet, Seen, perform, up};
use crate::sim::{NetConfig, NodeConfig, ReadRate, World};

#[test]
fn a_dial_brings_a_link_up_at_both_ends() {
    let pair = Pair::new(1);
    let [dialed, accepted] = pair.links;
    assert_eq!(pair.puppet(0).seen, [Seen::Start, Seen::Up(dialed, Origin::Dialed(DialId(1)))]);
    let addr = pair.world.addr(pair.nodes[1], PORT);
    assert_eq!(
        pair.puppet(1).seen,
        [Seen::Start, Seen::Listening(addr), Seen::Up(accepted, Origin::Accepted)]
    );
    assert_eq!(pair.world.listeners(pair.nodes[1]).collect::<Vec<_>>(), [addr]);
}

#[test]
fn listening_fails_as_it_does_on_a_real_host() {
    let mut pair = Pair::new(2);
    let taken = pair.world.addr(pair.nodes[1], PORT);
    pair.perform(1, Effect::Listen { addr: taken });
    pair.perform(1, Effect::Listen { addr: "0.0.0.0:5555".parse().unwrap() });
    pair.perform(1, Effect::Listen { addr: "10.9.9.9:1".parse().unwrap() });
    pair.perform(1, Effect::Listen { addr: "127.0.0.1:5555".parse().unwrap() });
    pair.perform(1, Effect::Listen { addr: "0.0.0.0:0".parse().unwrap() });
    let seen = &pair.puppet(1).seen[3..];
    assert_eq!(seen[0], Seen::ListenFailed(ErrorKind::AddrInUse));
    assert_eq!(seen[1], Seen::ListenFailed(ErrorKind::AddrInUse));
    assert_eq!(seen[2], Seen::ListenFailed(ErrorKind::AddrNotAvailable));
    assert_eq!(seen[3], Seen::Listening("127.0.0.1:5555".parse().unwrap()));
    assert!(matches!(seen[4], Seen::Listening(addr) if addr.port() != 0));
}

#[test]
fn a_dial_to_nobody_is_refused_and_one_to_nowhere_times_out() {
    let mut pair = Pair::new(3);
    let started = pair.world.now();
    let nobody = pair.world.addr(pair.nodes[1], 1);
    let loopback = "127.0.0.1:5555".parse().unwrap();
    pair.perform(0, Effect::Dial { dial: DialId(2), addr: nobody });
    pair.perform(0, Effect::Dial { dial: DialId(3), addr: "10.9.9.9:1".parse().unwrap() });
    pair.perform(0, Effect::Dial { dial: DialId(4), addr: loopback });
    assert!(pair.world.run_until(|world| world.stats().dials_failed == 2, Duration::from_secs(1)));
    assert!(pair.world.now() > started);
    assert!(pair.has_seen(0, &Seen::DialFailed(DialId(2), ErrorKind::ConnectionRefused)));
    assert!(pair.has_seen(0, &Seen::DialFailed(DialId(4), ErrorKind::ConnectionRefused)));
    assert!(pair.world.run_until(|world| world.stats().dials_failed == 3, DIAL_TIMEOUT));
    assert!(pair.has_seen(0, &Seen::DialFailed(DialId(3), ErrorKind::TimedOut)));
    assert_eq!(pair.world.now() - started, DIAL_TIMEOUT);
}

#[test]
fn a_machine_can_dial_itself_and_has_two_names_for_the_link() {
    let mut world = World::new(4);
    let node = world.add_node(&NodeConfig::new([10, 0, 0, 1]));
    let puppet = world.start(node, Box::new(Puppet::default()));
    let addr = "127.0.0.1:7".parse().unwrap();
    perform(&mut world, puppet, Effect::Listen { addr });
    perform(&mut world, puppet, Effect::Dial { dial: DialId(1), addr });
    world.run_for(Duration::from_millis(1));
    let accepted = up(&world, puppet);
    let dialed = crate::proto::ids::LinkId { index: 0, generation: 0 };
    assert_ne!(accepted, dialed);
    perform(&mut world, puppet, Effect::Send { link: dialed, bytes: b"ping" });
    perform(&mut world, puppet, Effect::Send { link: accepted, bytes: b"pong" });
    world.run_for(Duration::from_millis(1));
    let bytes = &world.machine::<Puppet>(puppet).unwrap().bytes;
    assert_eq!(bytes[&accepted], b"ping");
    assert_eq!(bytes[&dialed], b"pong");
}

#[test]
fn bytes_arrive_in_order_after_the_latency_and_with_their_time() {
    let mut pair = Pair::new(5);
    let [a, b] = pair.nodes;
    let latency = Duration::from_millis(30);
    pair.world.set_latency(a, b, latency..=latency);
    let sent = pair.world.now();
    pair.send(0, b"one ");
    pair.send(0, b"two");
    pair.run_ms(29);
    assert_eq!(pair.bytes(1), b"");
    pair.run_ms(2);
    assert_eq!(pair.bytes(1), b"one two");
    for (_, at, now) in &pair.puppet(1).pieces {
        assert!(*at <= now.wall && now.wall.0 - at.0 < 1_000_000);
    }
    assert!(pair.world.now() - sent >= latency);
}

#[test]
fn what_is_sent_in_one_turn_leaves_as_one() {
    let mut pair = Pair::new(6);
    let link = pair.links[0];
    pair.world.act(pair.puppets[0], |_: &mut Puppet, _, os| {
        os.perform(Effect::Send { link, bytes: b"a" });
        os.perform(Effect::Send { link, bytes: b"b" });
    });
    pair.run_ms(1);
    assert_eq!(pair.puppet(1).pieces.len(), 1);
}

#[test]
fn chopping_to_single_bytes_loses_nothing() {
    let mut pair = Pair::new(7);
    pair.world.set_net(NetConfig { piece_bytes_max: 1, ..NetConfig::default() });
    let text: Vec<u8> = (0..2000u32).map(|number| number as u8).collect();
    pair.send(0, &text);
    pair.run_ms(200);
    assert_eq!(pair.bytes(1), text);
    assert_eq!(pair.puppet(1).pieces.len(), 2000);
}

#[test]
fn a_rough_network_cuts_and_joins_and_keeps_the_order() {
    let mut pair = Pair::new(8);
    pair.world.set_net(NetConfig::rough());
    let mut text = Vec::new();
    for number in 0..500 {
        let line = format!("line {number}\n");
        pair.send(0, line.as_bytes());
        text.extend_from_slice(line.as_bytes());
        pair.world.run_for(Duration::from_micros(700));
    }
    pair.run_ms(100);
    assert_eq!(pair.bytes(1), text);
    let pieces = &pair.puppet(1).pieces;
    assert!(pieces.iter().any(|(len, ..)| *len == 1), "cut");
    assert!(pieces.iter().any(|(len, ..)| *len > 20), "joined");
}

#[test]
fn bandwidth_bounds_the_flow_and_pieces_have_a_bound() {
    let mut pair = Pair::new(9);
    let window_bytes = 2 * READ_BUDGET_BYTES;
    let latency = Duration::from_millis(1);
    let [a, b] = pair.nodes;
    pair.world.set_latency(a, b, latency..=latency);
    pair.world.set_net(NetConfig { bytes_per_second: 1_000_000, window_bytes, ..NetConfig::default() });
    pair.send(0, &vec![7; 500_000]);
    pair.run_ms(499);
    assert_eq!(pair.bytes(1).len(), 0);
    pair.run_ms(5);
    assert_eq!(pair.bytes(1).len(), 500_000);
    assert!(pair.puppet(1).pieces.iter().all(|(len, ..)| *len <= READ_BUDGET_BYTES));
}

#[test]
fn a_full_window_blocks_once_and_drains_once() {
    let mut pair = Pair::new(10);
    let link = pair.links[0];
    pair.world.slow_reader(pair.nodes[1], ReadRate::Nothing);
    pair.send(0, &vec![1; 64 << 10]);
    assert!(!pair.has_seen(0, &Seen::Blocked(link)));
    pair.send(0, &[2; 1000]);
    assert_eq!(pair.puppet(0).seen.last(), Some(&Seen::Blocked(link)));
    pair.send(0, &[3; 1000]);
    pair.run_ms(1000);
    assert_eq!(pair.puppet(0).seen.iter().filter(|seen| **seen == Seen::Blocked(link)).count(), 1);
    pair.world.slow_reader(pair.nodes[1], ReadRate::Full);
    pair.run_ms(100);
    assert_eq!(pair.puppet(0).seen.last(), Some(&Seen::Drained(link)));
    assert_eq!(pair.puppet(0).seen.iter().filter(|seen| **seen == Seen::Drained(link)).count(), 1);
    assert_eq!(pair.bytes(1).len(), (64 << 10) + 2000);
}

#[test]
fn a_link_that_is_not_read_waits_and_loses_nothing() {
    let mut pair = Pair::new(16);
    let [sender, link] = pair.links;
    pair.perform(1, Effect::PauseReading { link });
    pair.send(0, &[1; 100_000]);
    pair.run_ms(1000);
    assert_eq!(pair.bytes(1).len(), 0);
    assert_eq!(pair.puppet(0).seen.last(), Some(&Seen::Blocked(sender)));
    pair.close(0);
    pair.run_ms(1000);
    assert_eq!(pair.down(1), None, "its end comes behind");
    pair.perform(1, Effect::ResumeReading { link });
    pair.run_ms(1000);
    assert_eq!((pair.bytes(1).len(), pair.down(1)), (100_000, Some(DownReason::Eof)));
}

#[test]
fn a_link_that_is_not_read_can_end() {
    let ends: [fn(&mut Pair); 2] = [
        |pair| pair.close(1),
        |pair| pair.perform(0, Effect::Reset { link: pair.links[0], reason: CloseReason::Failed }),
    ];
    for (end, down) in
        ends.into_iter().zip([[Some(DownReason::Unread), None], [None, Some(DownReason::Reset)]])
    {
        let mut pair = Pair::new(17);
        let link = pair.links[1];
        pair.perform(1, Effect::PauseReading { link });
        pair.send(0, &[1; 1000]);
        pair.run_ms(100);
        end(&mut pair);
        pair.run_ms(100);
        assert_eq!([0, 1].map(|side| pair.down(side)), down);
        assert_eq!(pair.bytes(1).len(), 0);
    }
}

#[test]
fn a_queue_that_is_full_takes_the_link_down() {
    let mut pair = Pair::new(11);
    pair.world.slow_reader(pair.nodes[1], ReadRate::Nothing);
    pair.send(0, &vec![1; 64 << 10]);
    pair.send(0, &vec![1; LINK_QUEUE_BYTES_MAX]);
    assert_eq!(pair.down(0), None);
    pair.send(0, &[1]);
    assert_eq!(pair.down(0), Some(DownReason::QueueFull));
    pair.send(0, &[1]);
    assert_eq!(pair.world.stats().stale_effects, 1);
    pair.world.slow_reader(pair.nodes[1], ReadRate::Full);
    pair.run_ms(100);
    assert_eq!(pair.bytes(1).len(), 64 << 10, "what the kernel had arrives");
    assert_eq!(pair.down(1), Some(DownReason::Eof));
    assert_eq!(pair.world.stats().queue_bytes_max, LINK_QUEUE_BYTES_MAX);
}

#[test]
fn a_reader_that_takes_nothing_is_given_up_in_time() {
    let mut pair = Pair::new(12);
    pair.world.slow_reader(pair.nodes[1], ReadRate::Nothing);
    pair.send(0, &vec![1; 70_000]);
    pair.run_ms(19_900);
    assert_eq!(pair.down(0), None);
    pair.run_ms(200);
    assert_eq!(pair.down(0), Some(DownReason::TimedOut));
}

#[test]
fn a_reader_that_stays_slow_is_given_up_and_one_that_gets_on_is_not() {
    for (rate, down) in [(5000, Some(DownReason::TooSlow)), (40_000, None)] {
        let mut pair = Pair::new(12);
        pair.world.slow_link(pair.nodes[1], pair.nodes[0], ReadRate::BytesPerSecond(rate));
        pair.send(0, &vec![1; 64 << 10]);
        pair.send(0, &vec![1; 700_000]);
        pair.run_ms(29_900);
        assert_eq!(pair.down(0), None);
        pair.run_ms(200);
        assert_eq!(pair.down(0), down);
    }
}

#[test]
fn a_slow_reader_takes_what_it_takes() {
    let mut pair = Pair::new(13);
    pair.world.slow_link(pair.nodes[1], pair.nodes[0], ReadRate::BytesPerSecond(10_000));
    pair.send(0, &vec![1; 60_000]);
    pair.run_ms(3000);
    let len = pair.bytes(1).len();
    assert!((29_000..31_500).contains(&len), "{len}");
}

#[test]
fn closing_sends_what_is_queued_and_tells_only_the_other_side() {
    let mut pair = Pair::new(14);
    pair.send(0, &vec![5; 300_000]);
    pair.close(0);
    pair.send(1, b"too late");
    pair.run_ms(100);
    assert_eq!(pair.bytes(1).len(), 300_000);
    assert_eq!(pair.down(1), Some(DownReason::Unread));
    assert_eq!(pair.down(0), None);
    assert_eq!(pair.bytes(0), b"");
    pair.send(0, b"stale");
    pair.send(1, b"stale");
    assert_eq!(pair.world.stats().stale_effects, 2);
    assert_eq!(pair.world.stats().closes[&CloseReason::Done], 1);
}

#[test]
fn lingering_has_a_bound() {
    let mut pair = Pair::new(15);
    pair.world.slow_reader(pair.nodes[1], ReadRate::BytesPerSecond(10_000));
    pair.send(0, &vec![5; 300_000]);
    pair.close(0);
    pair.world.run_for(LINGER_TIMEOUT);
    pair.world.slow_reader(pair.nodes[1], ReadRate::Full);
    pair.run_ms(100);
    assert_eq!(pair.down(1), Some(DownReason::Reset));
    assert!(pair.bytes(1).len() < 120_000);
}

#[test]
fn places_are_used_again_under_another_generation() {
    let mut pair = Pair::new(16);
    let old = pair.links;
    pair.close(0);
    pair.run_ms(100);
    let addr = pair.world.addr(pair.nodes[1], PORT);
    pair.perform(0, Effect::Dial { dial: DialId(2), addr });
    pair.run_ms(100);
    for (side, old) in old.into_iter().enumerate() {
        let new = up(&pair.world, pair.puppets[side]);
        assert_eq!((new.index, new.generation), (old.index, old.generation + 1));
    }
    assert_eq!(pair.world.kernel.conns.len(), 1, "so are connections");
}

#[test]
fn a_link_of_another_machine_finds_nothing() {
    let mut pair = Pair::new(17);
    let other = pair.world.start(pair.nodes[0], Box::new(Puppet::default()));
    let link = pair.links[0];
    perform(&mut pair.world, other, Effect::Send { link, bytes: b"mine" });
    perform(&mut pair.world, other, Effect::Close { link, reason: CloseReason::Done });
    pair.run_ms(100);
    assert_eq!(pair.bytes(1), b"");
    assert_eq!(pair.down(1), None);
    assert_eq!(pair.world.stats().stale_effects, 2);
}

#[test]
fn who_closes_a_link_in_the_moment_it_goes_down_is_not_told() {
    let mut pair = Pair::new(18);
    let link = pair.links[0];
    pair.world.act(pair.puppets[0], |_: &mut Puppet, _, os| {
        os.perform(Effect::Send { link, bytes: &vec![0; LINK_QUEUE_BYTES_MAX + 1] });
        os.perform(Effect::Close { link, reason: CloseReason::Done });
    });
    pair.run_ms(100);
    assert_eq!(pair.down(0), None);
    assert_eq!(pair.down(1), Some(DownReason::Eof));
}

#[test]
fn when_one_machine_exits_the_others_are_asked_to_end() {
    let mut pair = Pair::new(19);
    let others = [(); 2].map(|()| pair.world.start(pair.nodes[0], Box::new(Puppet::default())));
    pair.perform(0, Effect::Exit);
    assert!(!pair.world.is_running(pair.puppets[0]));
    assert_eq!(pair.world.machines_on(pair.nodes[0]), others);
    perform(&mut pair.world, others[0], Effect::Exit);
    for other in others {
        let puppet: &Puppet = pair.world.machine(other).unwrap();
        assert_eq!(puppet.seen, [Seen::Start, Seen::Shutdown]);
    }
    pair.run_ms(100);
    assert_eq!(pair.down(1), Some(DownReason::Eof));
    pair.world.shutdown(pair.nodes[1]);
    assert_eq!(pair.puppet(1).seen.last(), Some(&Seen::Shutdown));
}

#[test]
fn whoever_is_asked_to_end_accepts_nobody_any_more() {
    let mut pair = Pair::new(20);
    let addr = pair.world.addr(pair.nodes[1], PORT);
    pair.world.shutdown(pair.nodes[1]);
    assert_eq!(pair.world.listeners(pair.nodes[1]).count(), 0);
    pair.perform(0, Effect::Dial { dial: DialId(2), addr });
    pair.run_ms(100);
    assert!(pair.has_seen(0, &Seen::DialFailed(DialId(2), ErrorKind::ConnectionRefused)));
    assert_eq!(pair.down(0), None, "what is up stays up");
}
