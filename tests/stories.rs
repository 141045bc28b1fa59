//! Stories in the simulator: what users see when things go well, and when they do not. Alice, Bob
//! and Carol are honest; for others see `strangers`.

mod common;

use std::io::ErrorKind;
use std::time::Duration;

use common::town::{Town, assert_copies_are_true, peers_machine, server_machine};
use tickmesh::proto::machine::{DownReason, FileOp};
use tickmesh::proto::peer::Peers;
use tickmesh::proto::server::Server;
use tickmesh::sim::{NetConfig, NodeId, ReadRate, World};

const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn alice_bob_and_carol_keep_time_and_share() {
    let mut town = Town::new(1);
    let peers = ["alice", "bob", "carol"].map(|name| (name, town.peer(name)));
    let machines = peers.map(|(_, (_, machine))| machine);
    town.finish(&machines);
    let owners = peers.map(|(name, (node, _))| (name, node));
    let mut rows = 0;
    for (name, (node, machine)) in peers {
        let report = town.assert_complete(machine);
        assert_eq!((report.ticks_due, report.ticks_sent, report.ticks_answered), (100, 100, 100));
        assert_eq!(report.rows_at_server, Some((100, 100)));
        let facts = town.table(node, &format!("client_{name}_TimeData.txt"));
        assert_eq!(facts.rows, 200);
        assert_eq!(facts.complete.unwrap().elapsed, "1 second");
        rows += facts.rows;
        assert_eq!(assert_copies_are_true(&town.world, node, &owners), 4);
    }
    assert_eq!(town.world.stats().dials_failed, 0);
    town.world.run_for(SECOND);
    let facts = town.table(town.server_node, "serverTimeData.txt");
    assert_eq!(facts.rows, rows, "the server's rows are the peers' together");
    assert!(facts.complete.is_some());
    let per_pair: Vec<u64> = facts.pairs.values().copied().collect();
    assert_eq!(per_pair, [100; 6], "each direction of each peer");
}

#[test]
fn one_link_is_enough_for_a_pair() {
    let mut town = Town::new(2);
    let machines = ["alice", "bob", "carol"].map(|name| town.peer(name).1);
    town.finish(&machines);
    assert_eq!(
        town.world.stats().links,
        2 * (3 + 3),
        "both ends of three to the server and three between pairs"
    );
}

#[test]
fn the_offset_is_right_within_its_bound_whatever_the_clocks_say() {
    for (seed, offset_ns) in [(3, 0), (4, 123_456_789), (5, -3_600_000_000_000), (6, 1_000)] {
        let mut town = Town::new(seed);
        let node = town.node_with(|config| config.wall_offset_ns = offset_ns);
        let alice = town.start(node, "alice", 1);
        town.finish(&[alice]);
        let report = town.assert_complete(alice);
        let (found, bound) = (report.offset_ns.unwrap(), report.offset_bound_ns.unwrap());
        assert!((found + offset_ns).unsigned_abs() <= bound, "{found} ± {bound}, true {}", -offset_ns);
        assert!(bound < 1_000_000);
    }
}

#[test]
fn a_clock_that_steps_does_not_disturb_the_grid() {
    let mut town = Town::new(7);
    let (node, alice) = town.peer("alice");
    town.world.run_for(ms(300));
    town.world.step_wall(node, 5_000_000_000);
    town.world.run_for(ms(300));
    town.world.step_wall(node, -9_000_000_000);
    town.finish(&[alice]);
    let report = town.assert_complete(alice);
    assert_eq!((report.ticks_sent, report.ticks_missed, report.clock_steps), (100, 0, 2));
    let (found, bound) = (report.offset_ns.unwrap(), report.offset_bound_ns.unwrap());
    assert!((found - 4_000_000_000).unsigned_abs() <= bound, "{found} ± {bound}");
    assert_eq!(town.table(node, "client_alice_TimeData.txt").rows, 200);
}

#[test]
fn a_loop_that_oversleeps_misses_ticks_and_sends_none_late_in_a_burst() {
    let mut town = Town::new(8);
    let (node, alice) = town.peer("alice");
    town.world.run_for(ms(300));
    town.world.stall(node, ms(95));
    town.finish(&[alice]);
    let report = town.assert_complete(alice);
    assert_eq!(report.ticks_due, 100);
    assert!((8..=10).contains(&report.ticks_overslept), "{report:#?}");
    assert_eq!(report.ticks_missed, report.ticks_overslept);
}

#[test]
fn a_late_peer_still_gets_everything() {
    let mut town = Town::new(9);
    let (alice_node, alice) = town.peer("alice");
    town.world.run_for(ms(900));
    let (bob_node, bob) = town.peer("bob");
    town.finish(&[alice, bob]);
    town.assert_complete(alice);
    town.assert_complete(bob);
    let owners = [("alice", alice_node), ("bob", bob_node)];
    assert_eq!(assert_copies_are_true(&town.world, bob_node, &owners), 2);
    assert_eq!(assert_copies_are_true(&town.world, alice_node, &owners), 2);
}

#[test]
fn many_peers_in_one_process_share_like_any_others() {
    let mut town = Town::new(10);
    let node = town.node();
    let peers =
        town.world.start(node, peers_machine(town.addr, &["1", "2", "3", "4", "5"], SECOND, SECOND * 10));
    let (bob_node, bob) = town.peer("bob");
    town.finish(&[peers, bob]);
    let report = town.world.machine::<Peers>(peers).unwrap().report();
    assert!(report.is_complete(), "{report:#?}");
    town.assert_complete(bob);
    let owners: Vec<(&str, NodeId)> =
        ["1", "2", "3", "4", "5"].map(|id| (id, node)).into_iter().chain([("bob", bob_node)]).collect();
    assert_eq!(assert_copies_are_true(&town.world, node, &owners), 5 * 5 * 2);
}

#[test]
fn a_server_that_vanishes_and_comes_back_finds_its_peers_again() {
    let mut town = Town::new(11);
    let machines = ["alice", "bob"].map(|name| {
        let node = town.node();
        town.start(node, name, 5)
    });
    town.world.run_for(SECOND);
    town.world.crash(town.server_node);
    town.world.run_for(SECOND);
    town.world.start(town.server_node, server_machine(town.addr, 1));
    town.finish(&machines);
    for machine in machines {
        let report = town.assert_complete(machine);
        assert_eq!((report.ticks_due, report.reconnects), (500, 1));
        assert!((95..320).contains(&report.ticks_offline), "the gap is counted: {report:#?}");
    }
    town.world.run_for(SECOND);
    let old =
        town.world.disk(town.server_node).paths().find(|path| path.starts_with("serverTimeData.2")).unwrap();
    assert_eq!(town.table(town.server_node, old).complete, None, "the first server died");
    assert!(town.table(town.server_node, "serverTimeData.txt").complete.is_some());
}

#[test]
fn a_server_that_never_comes_back_does_not_stop_the_sharing() {
    let mut town = Town::new(12);
    let machines = ["alice", "bob"].map(|name| town.peer(name).1);
    town.world.run_for(ms(900));
    town.world.crash(town.server_node);
    town.finish(&machines);
    for machine in machines {
        assert!(town.assert_complete(machine).ticks_offline > 0);
    }
}

#[test]
fn runs_of_different_length_end_well_without_a_server() {
    let mut town = Town::new(47);
    let machines = [("alice", 3), ("bob", 4)].map(|(name, seconds)| {
        let node = town.node();
        town.start(node, name, seconds)
    });
    town.world.run_for(ms(1500));
    town.world.crash(town.server_node);
    town.finish(&machines);
    for machine in machines {
        town.assert_complete(machine);
    }
}

#[test]
fn a_peer_whose_id_was_taken_meanwhile_does_not_end_as_if_all_were_well() {
    let mut town = Town::new(48);
    let node = town.node();
    let alice = town.start(node, "0", 8);
    town.world.run_for(SECOND);
    town.world.crash(town.server_node);
    // The newcomer is there first.
    town.world.partition(node, town.server_node);
    town.world.start(town.server_node, server_machine(town.addr, 1));
    let home = town.node();
    let newcomer = town.start(home, "0", 20);
    town.world.run_for(SECOND);
    town.world.heal(node, town.server_node);
    town.finish(&[alice, newcomer]);
    let report = town.report(alice);
    assert_eq!(report.outcome, "failed", "{report:?}");
    assert!(
        report.problems[0].contains("does not take this peer back: 0 is taken by 10.0.0.3:"),
        "{report:?}"
    );
    town.assert_complete(newcomer);
}

#[test]
fn a_server_that_is_back_a_moment_after_the_run_is_waited_for() {
    let mut town = Town::new(49);
    let machines = ["alice", "bob"].map(|name| town.peer(name).1);
    town.world.run_for(ms(300));
    town.world.crash(town.server_node);
    town.world.run_for(SECOND * 2);
    town.world.start(town.server_node, server_machine(town.addr, 1));
    town.finish(&machines);
    for machine in machines {
        assert_eq!(town.assert_complete(machine).reconnects, 1);
    }
}

#[test]
fn a_peer_that_died_is_named_and_delays_nobody_beyond_the_deadline() {
    let mut town = Town::new(13);
    let (_, alice) = town.peer("alice");
    let (bob_node, _) = town.peer("bob");
    town.world.run_for(ms(500));
    town.world.crash(bob_node);
    town.finish(&[alice]);
    let report = town.report(alice);
    assert_eq!(report.outcome, "missing files");
    assert!(
        report.problems[0].starts_with("peer alice lacks client_bob_TimeData.txt of peer bob (it was lost"),
        "{report:#?}"
    );
    assert_eq!(report.problems.len(), 4);
    let now = town.world.now();
    assert!((SECOND * 11..SECOND * 13).contains(&now), "ended at {now:?}");
}

#[test]
fn a_peer_that_was_interrupted_is_named_and_not_waited_for() {
    let mut town = Town::new(14);
    let (_, alice) = town.peer("alice");
    let (bob_node, bob) = town.peer("bob");
    town.world.run_for(ms(500));
    town.world.shutdown(bob_node);
    town.finish(&[alice, bob]);
    assert_eq!(town.report(bob).outcome, "interrupted");
    let facts = town.table(bob_node, "client_bob_TimeData.txt");
    assert_eq!(facts.complete.unwrap().cause.as_deref(), Some("interrupted"));
    let report = town.report(alice);
    assert!(report.problems[0].contains("it left before everything was shared"), "{report:#?}");
    assert!(town.world.now() < SECOND * 3);
}

#[test]
fn a_killed_peer_loses_at_most_the_last_quarter_second() {
    let mut town = Town::new(15);
    let (node, _) = town.peer("alice");
    town.world.run_for(ms(777));
    town.world.crash(node);
    let facts = town.table(node, "client_alice_TimeData.txt");
    assert!(facts.rows >= 2 * (77 - 25) - 4, "{facts:?}");
    assert!(facts.complete.is_none() && !facts.torn_tail);
}

#[test]
fn a_full_disk_with_room_again_in_time_loses_nothing() {
    let mut town = Town::new(16);
    let (node, alice) = town.peer("alice");
    town.world.run_for(ms(300));
    town.world.disk_mut(node).set_room(Some(100));
    town.world.run_for(ms(400));
    town.world.disk_mut(node).set_room(None);
    town.finish(&[alice]);
    let report = town.assert_complete(alice);
    assert_eq!(report.rows_lost, 0);
    assert_eq!(town.table(node, "client_alice_TimeData.txt").rows, 200);
}

#[test]
fn a_disk_that_stays_full_is_told_and_the_others_go_on() {
    let mut town = Town::new(17);
    let (node, alice) = town.peer("alice");
    let (_, bob) = town.peer("bob");
    town.world.run_for(ms(300));
    town.world.disk_mut(node).set_room(Some(0));
    town.finish(&[alice, bob]);
    let report = town.report(alice);
    assert_eq!(report.outcome, "failed");
    assert!(
        report.problems[0]
            .contains("client_alice_TimeData.txt could not be written: the disk is full; make room"),
        "{report:#?}"
    );
    assert_eq!(town.report(bob).ticks_sent, 100);
    assert!(town.table(node, "client_alice_TimeData.txt").complete.is_none());
}

#[test]
fn a_full_disk_at_the_server_costs_no_tick() {
    let mut town = Town::new(18);
    let (_, alice) = town.peer("alice");
    town.world.run_for(ms(300));
    town.world.disk_mut(town.server_node).set_room(Some(0));
    town.finish(&[alice]);
    assert_eq!(town.assert_complete(alice).ticks_answered, 100);
    town.world.run_for(SECOND * 5);
    let status = town.world.machine::<Server>(town.server).unwrap().status();
    assert_eq!(status.tables_failed, 1);
}

#[test]
fn a_folder_that_cannot_be_written_ends_the_peer_at_once() {
    let mut town = Town::new(19);
    let node = town.node();
    town.world.disk_mut(node).fail(FileOp::Open, Some(ErrorKind::PermissionDenied));
    let alice = town.start(node, "alice", 1);
    town.finish(&[alice]);
    let report = town.report(alice);
    assert_eq!(report.problems, ["cannot create client_alice_TimeData.txt: permission denied"]);
}

#[test]
fn a_copy_that_finds_no_room_is_fetched_again_when_there_is_some() {
    let mut town = Town::new(20);
    let (alice_node, alice) = town.peer("alice");
    let (bob_node, bob) = town.peer("bob");
    town.world.run_for(ms(990));
    town.world.disk_mut(bob_node).fail(FileOp::WriteAt, Some(ErrorKind::StorageFull));
    town.world.run_for(ms(3000));
    town.world.disk_mut(bob_node).fail(FileOp::WriteAt, None);
    town.finish(&[alice, bob]);
    town.assert_complete(alice);
    town.assert_complete(bob);
    assert_copies_are_true(&town.world, bob_node, &[("alice", alice_node), ("bob", bob_node)]);
}

#[test]
fn links_that_break_during_the_transfer_are_made_again() {
    let mut town = Town::new(21);
    let (alice_node, alice) = town.peer("alice");
    let (bob_node, bob) = town.peer("bob");
    town.world.run_for(ms(990));
    town.world.set_net(NetConfig { bytes_per_second: 8_000, ..NetConfig::default() });
    // A reset overtakes nothing, so the next one waits until the last has arrived.
    for resets in 1..=3 {
        town.world.run_for(ms(500));
        town.world.reset_links(alice_node, bob_node);
        let both_ends = |world: &World| world.stats().downs.get(&DownReason::Reset) == Some(&(2 * resets));
        assert!(town.world.run_until(both_ends, SECOND * 5));
    }
    town.world.set_net(NetConfig::default());
    town.finish(&[alice, bob]);
    town.assert_complete(alice);
    town.assert_complete(bob);
}

#[test]
fn when_both_dial_one_link_is_kept() {
    let mut town = Town::new(22);
    let (alice_node, alice) = town.peer("alice");
    let (bob_node, bob) = town.peer("bob");
    town.world.run_for(ms(500));
    town.world.partition(alice_node, bob_node);
    // Long enough for the greater name to lose patience and dial as well.
    town.world.run_for(SECOND * 8);
    town.world.heal(alice_node, bob_node);
    town.finish(&[alice, bob]);
    town.assert_complete(alice);
    town.assert_complete(bob);
}

#[test]
fn a_server_that_does_not_read_is_noticed_and_ticks_are_not_queued() {
    let mut town = Town::new(23);
    town.world.set_net(NetConfig { window_bytes: 512, ..NetConfig::default() });
    let (node, alice) = town.peer("alice");
    town.world.run_for(ms(300));
    town.world.slow_link(town.server_node, node, ReadRate::Nothing);
    town.world.run_for(ms(400));
    town.world.slow_link(town.server_node, node, ReadRate::Full);
    town.finish(&[alice]);
    let report = town.assert_complete(alice);
    assert!(report.ticks_blocked >= 10, "{report:#?}");
    assert_eq!(report.ticks_due, report.ticks_sent + report.ticks_missed);
    assert!(town.world.stats().queue_bytes_max < 2000, "nothing piles up");
}

#[test]
fn a_peer_that_does_not_read_is_not_answered_late() {
    let mut town = Town::new(24);
    town.world.set_net(NetConfig { window_bytes: 512, ..NetConfig::default() });
    let (node, alice) = town.peer("alice");
    let (_, bob) = town.peer("bob");
    town.world.run_for(ms(300));
    town.world.slow_link(node, town.server_node, ReadRate::Nothing);
    town.world.run_for(ms(400));
    town.world.slow_link(node, town.server_node, ReadRate::Full);
    town.finish(&[alice, bob]);
    let status = town.world.machine::<Server>(town.server).unwrap().status();
    assert!(status.blocked >= 10, "{status:?}");
    assert_eq!(town.assert_complete(bob).ticks_answered, 100, "the others do not notice");
}

#[test]
fn an_older_record_is_kept_under_a_dated_name() {
    let mut town = Town::new(25);
    let node = town.node();
    for _ in 0..3 {
        let alice = town.start(node, "alice", 1);
        town.finish(&[alice]);
        town.assert_complete(alice);
    }
    let tables: Vec<&str> = town.world.disk(node).paths().filter(|path| path.ends_with("txt")).collect();
    assert_eq!(tables.len(), 3, "{tables:?}");
    assert!(tables.iter().any(|path| path.starts_with("client_alice_TimeData.2")), "{tables:?}");
    for path in tables {
        assert_eq!(town.table(node, path).rows, 200);
    }
}

#[test]
fn a_run_of_peers_that_share_nothing_needs_no_listener() {
    let mut town = Town::new(46);
    let node = town.node();
    let alone = Box::new(Peers::new(tickmesh::proto::peer::PeersConfig {
        server: town.addr,
        group: "lab".parse().unwrap(),
        ids: vec![None, None],
        interval: None,
        duration: None,
        share_deadline: None,
    }));
    let peers = town.world.start(node, alone);
    town.world.run_for(ms(500));
    assert_eq!(town.world.listeners(node).count(), 0);
    town.finish(&[peers]);
    let report = town.world.machine::<Peers>(peers).unwrap().report();
    assert!(report.is_complete());
    assert_eq!(report.peers[1].ticks_due, 200, "what the server offers");
    assert_eq!(report.peers[1].files_expected, 0);
}
