//! A small town for stories in the simulator: a server and peers on hosts of their own.

use std::net::SocketAddr;
use std::time::Duration;

use tickmesh::proto::ids::Name;
use tickmesh::proto::machine::Machine;
use tickmesh::proto::peer::{PeerReport, Peers, PeersConfig};
use tickmesh::proto::record::{TableFacts, read_samples, read_table};
use tickmesh::proto::server::{Server, ServerConfig, TalkConfig};
use tickmesh::sim::{Disk, MachineId, NodeConfig, NodeId, World};

pub const INTERVAL: Duration = Duration::from_millis(10);

/// Each life of a server has a secret of its own, as a real one draws it.
pub fn server_machine(addr: SocketAddr, life: u8) -> Box<dyn Machine> {
    Box::new(new_server(addr, life))
}

pub fn new_server(addr: SocketAddr, life: u8) -> Server {
    Server::new(ServerConfig {
        listen: vec![addr],
        interval: INTERVAL,
        duration: Duration::from_secs(2),
        secret: [life; 32],
        talk: TalkConfig::default(),
    })
}

/// Peers with names of their own, or with numbers when `names` is empty.
pub fn peers_machine(
    server: SocketAddr,
    names: &[&str],
    duration: Duration,
    deadline: Duration,
) -> Box<Peers> {
    let ids = match names {
        [] => vec![None],
        names => names.iter().map(|name| Some(name.parse::<Name>().unwrap())).collect(),
    };
    Box::new(Peers::new(PeersConfig {
        server,
        group: "lab".parse().unwrap(),
        ids,
        interval: Some(INTERVAL),
        duration: Some(duration),
        share_deadline: Some(deadline),
    }))
}

/// A world with a server that runs.
pub struct Town {
    pub world: World,
    pub server_node: NodeId,
    pub server: MachineId,
    pub addr: SocketAddr,
    hosts: u8,
}

impl Town {
    pub fn new(seed: u64) -> Town {
        Town::with(seed, |addr| server_machine(addr, 0))
    }

    pub fn with(seed: u64, server: impl FnOnce(SocketAddr) -> Box<dyn Machine>) -> Town {
        let mut world = World::new(seed);
        let server_node = world.add_node(&NodeConfig::new([10, 0, 0, 1]));
        let addr = world.addr(server_node, 5555);
        let server = world.start(server_node, server(addr));
        Town { world, server_node, server, addr, hosts: 1 }
    }

    pub fn node(&mut self) -> NodeId {
        self.node_with(|_| {})
    }

    pub fn node_with(&mut self, change: impl FnOnce(&mut NodeConfig)) -> NodeId {
        self.hosts += 1;
        let mut config = NodeConfig::new([10, 0, 0, self.hosts]);
        change(&mut config);
        self.world.add_node(&config)
    }

    /// Starts one peer on a new node: a run of a second, ten seconds for sharing.
    pub fn peer(&mut self, name: &str) -> (NodeId, MachineId) {
        let node = self.node();
        (node, self.start(node, name, 1))
    }

    pub fn start(&mut self, node: NodeId, name: &str, seconds: u64) -> MachineId {
        let machine =
            peers_machine(self.addr, &[name], Duration::from_secs(seconds), Duration::from_secs(10));
        self.world.start(node, machine)
    }

    /// Runs until all these have ended.
    pub fn finish(&mut self, machines: &[MachineId]) {
        let limit = Duration::from_secs(600);
        let ended = self.world.run_until(|world| machines.iter().all(|id| !world.is_running(*id)), limit);
        assert!(ended, "somebody never ends\n{}", self.world.trace_tail());
    }

    pub fn report(&self, peer: MachineId) -> PeerReport {
        self.world.machine::<Peers>(peer).unwrap().report().peers.remove(0)
    }

    pub fn assert_complete(&self, peer: MachineId) -> PeerReport {
        let report = self.report(peer);
        assert_eq!(report.outcome, "complete", "{report:#?}");
        assert_eq!(report.files_received, report.files_expected);
        report
    }

    pub fn table(&self, node: NodeId, path: &str) -> TableFacts {
        table(self.world.disk(node), path)
    }
}

pub fn table(disk: &Disk, path: &str) -> TableFacts {
    let content = disk.read(path).unwrap_or_else(|| panic!("{path} is missing"));
    read_table(content).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every received file is complete and equal to its owner's.
/// `owners`: where each name lived.
pub fn assert_copies_are_true(world: &World, node: NodeId, owners: &[(&str, NodeId)]) -> usize {
    let mut copies = 0;
    for path in world.disk(node).paths() {
        if path.ends_with(".partial") {
            continue;
        }
        let Some((_, file)) = path.split_once("_received/") else { continue };
        let content = world.disk(node).read(path).unwrap();
        let owner = owners.iter().find(|(name, _)| file.starts_with(&format!("client_{name}_")));
        let (name, owner) = owner.unwrap_or_else(|| panic!("{path} is nobody's"));
        // The owner may have moved an older record aside since.
        let prefix = format!("client_{name}_");
        let mut originals =
            world.disk(*owner).paths().filter(|path| path.starts_with(&prefix) && !path.contains('/'));
        assert!(originals.any(|path| world.disk(*owner).read(path) == Some(content)), "{path} is no copy");
        if file.ends_with(".csv") {
            assert!(!read_samples(content).unwrap().1, "{path} is torn");
        } else {
            assert!(read_table(content).unwrap().complete.is_some(), "{path} has no end");
        }
        copies += 1;
    }
    copies
}
