//! The same seed gives the same trace, also under chaos, and everything is whole afterwards.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::sim::tests::toys::{Echo, PORT, Ticker};
use crate::sim::{Chaos, Fault, NetConfig, NodeConfig, NodeId, World, swarm};

const INTERVAL: Duration = Duration::from_millis(10);
const PEERS: u8 = 4;

/// An echo server, and tickers on nodes of their own.
fn populate(world: &mut World) -> Vec<NodeId> {
    let server = world.add_node(&NodeConfig::new([10, 0, 0, 100]));
    let addr = world.addr(server, PORT);
    world.start(server, Box::new(Echo { addr }));
    let mut nodes = vec![server];
    for last in 0..PEERS {
        let drift_ppb = i64::from(last) * 10_000;
        let node = world.add_node(&NodeConfig { drift_ppb, ..NodeConfig::new([10, 0, 0, last]) });
        world.start(node, Box::new(Ticker::new(addr, INTERVAL)));
        nodes.push(node);
    }
    nodes
}

fn unleash(world: &mut World, nodes: &[NodeId], faults: &[Fault]) {
    let (server, addr) = (nodes[0], world.addr(nodes[0], PORT));
    world.on_restart(move |node, _disk| {
        if node == server {
            vec![Box::new(Echo { addr })]
        } else {
            vec![Box::new(Ticker::new(addr, INTERVAL))]
        }
    });
    world.unleash(Chaos {
        nodes: nodes.to_vec(),
        faults: faults.to_vec(),
        period: Duration::from_millis(300),
        time: Duration::from_secs(20),
        outage_max: Duration::from_secs(5),
    });
}

fn ticker(world: &World, node: NodeId) -> &Ticker {
    world.machine(world.machines_on(node)[0]).unwrap()
}

fn hash_of(seed: u64, chaos: bool) -> (u64, String, u64) {
    let mut world = World::new(seed);
    world.set_net(NetConfig::rough());
    let nodes = populate(&mut world);
    if chaos {
        unleash(&mut world, &nodes, &Fault::ALL);
    }
    world.run_for(Duration::from_secs(20));
    (world.trace_hash(), world.trace_tail(), world.stats().events)
}

#[test]
fn the_same_seed_replays_and_another_does_not() {
    for chaos in [false, true] {
        let first = hash_of(11, chaos);
        assert_eq!(first, hash_of(11, chaos));
        assert_ne!(first.0, hash_of(12, chaos).0);
    }
}

#[test]
fn every_tick_is_answered_on_a_good_network() {
    let mut world = World::new(3);
    let nodes = populate(&mut world);
    world.run_for(Duration::from_secs(10));
    for node in &nodes[1..] {
        let ticker = ticker(&world, *node);
        assert!((998..=1001).contains(&ticker.sent), "{ticker:?}");
        assert!(ticker.sent - ticker.answered <= 1);
        assert!(ticker.rows >= ticker.answered - 1);
        assert_eq!(world.disk(*node).len("rows.txt"), Some(ticker.answered * 4));
    }
    world.shutdown(nodes[1]);
    assert!(world.machines_on(nodes[1]).is_empty());
}

#[test]
fn after_chaos_everybody_ticks_again() {
    for faults in Fault::ALL.map(|fault| vec![fault]).into_iter().chain([Fault::ALL.to_vec()]) {
        swarm(0..8, |world| {
            world.set_net(NetConfig::rough());
            let nodes = populate(world);
            unleash(world, &nodes, &faults);
            world.run_for(Duration::from_secs(26));
            assert!(world.stats().faults > 20, "{faults:?} {}", world.stats().faults);
            world.run_for(Duration::from_secs(60));
            let before: Vec<u64> = nodes[1..].iter().map(|node| ticker(world, *node).answered).collect();
            world.run_for(Duration::from_secs(1));
            for (node, before) in nodes[1..].iter().zip(before) {
                let count = ticker(world, *node).answered - before;
                assert!((90..=110).contains(&count), "{faults:?} {node:?} {count}");
            }
            let open = world.kernel.conns.len() - world.kernel.conns_free.len();
            assert_eq!(open, usize::from(PEERS), "{faults:?}: no connection is left behind");
        });
    }
}

#[test]
fn a_swarm_names_the_seed_that_failed() {
    let failing = || swarm(0..5, |world| assert!(world.seed() != 3, "three is bad"));
    let cause = catch_unwind(AssertUnwindSafe(failing)).unwrap_err();
    let text = cause.downcast_ref::<String>().unwrap();
    assert!(text.starts_with("seed 3 failed at 0ns: three is bad"), "{text}");
}
