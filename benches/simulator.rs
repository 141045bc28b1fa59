//! How fast virtual time passes: a hundred peers that tick for five minutes against one server,
//! every stamp written down on both sides. Run with `cargo bench --bench simulator`.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use tickmesh::proto::peer::{Peers, PeersConfig};
use tickmesh::proto::server::{Server, ServerConfig, TalkConfig};
use tickmesh::sim::{NodeConfig, World};

const INTERVAL: Duration = Duration::from_millis(10);

fn run(peers: usize, duration: Duration) {
    let mut world = World::new(1);
    world.set_checks(false);
    let server_node = world.add_node(&NodeConfig::new([10, 0, 0, 1]));
    let peer_node = world.add_node(&NodeConfig::new([10, 0, 0, 2]));
    // Gigabytes of rows are counted and hashed, not kept.
    world.disk_mut(server_node).keep_contents(false);
    world.disk_mut(peer_node).keep_contents(false);
    let addr = world.addr(server_node, 5555);
    let server = ServerConfig {
        listen: vec![addr],
        interval: INTERVAL,
        duration,
        secret: [0; 32],
        talk: TalkConfig::default(),
    };
    world.start(server_node, Box::new(Server::new(server)));
    let config = PeersConfig {
        server: addr,
        group: "bench".parse().unwrap(),
        ids: vec![None; peers],
        interval: None,
        duration: None,
        share_deadline: None,
    };
    let members = world.start(peer_node, Box::new(Peers::new(config)));
    assert!(world.run_until(|world| !world.is_running(members), duration * 2));
    let report = world.machine::<Peers>(members).unwrap().report();
    assert!(report.is_complete());
    assert!(report.peers.iter().all(|peer| peer.ticks_answered == peer.ticks_due && peer.ticks_missed == 0));
}

fn simulator(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("simulator");
    group.sample_size(10).measurement_time(Duration::from_secs(60));
    group
        .bench_function("100_peers_5_minutes", |bencher| bencher.iter(|| run(100, Duration::from_secs(300))));
    group.finish();
}

criterion_group!(benches, simulator);
criterion_main!(benches);
