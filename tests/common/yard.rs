//! A drop box in the simulator, and clients that are played byte by byte: what they know of the protocol is written here,
//! not taken from the program.

use std::net::SocketAddr;
use std::time::Duration;

use tickmesh::proto::machine::is_temp_name;
use tickmesh::proto::upload::{DropBox, DropBoxConfig, DropBoxStatus};
use tickmesh::sim::{MachineId, NodeConfig, NodeId, StrangerId, StrangerState, World};

use super::drop::header;

/// Silence that ends a header, and a little more than any way there takes.
pub const QUIET: Duration = Duration::from_millis(300);

/// The drop box, and where its clients are.
pub struct Yard {
    pub world: World,
    pub node: NodeId,
    pub addr: SocketAddr,
    pub dropbox: MachineId,
    pub home: NodeId,
}

pub fn config(addr: SocketAddr) -> DropBoxConfig {
    DropBoxConfig {
        listen: addr,
        file_bytes_max: 1 << 30,
        quota_bytes: 1 << 40,
        clients_max: 1000,
        clients_per_address_max: 500,
        stall_timeout: Duration::from_secs(60),
        present: true,
        first_tag: 1,
    }
}

impl Yard {
    pub fn new(seed: u64) -> Yard {
        Yard::with(seed, |_| {})
    }

    pub fn with(seed: u64, set: impl FnOnce(&mut DropBoxConfig)) -> Yard {
        let mut world = World::new(seed);
        let node = world.add_node(&NodeConfig::new([10, 0, 0, 1]));
        let home = world.add_node(&NodeConfig::new([10, 0, 0, 2]));
        let addr = world.addr(node, 12000);
        let mut config = config(addr);
        set(&mut config);
        let dropbox = world.start(node, Box::new(DropBox::new(config)));
        world.run_for(Duration::from_secs(1));
        Yard { world, node, addr, dropbox, home }
    }

    pub fn start_again(&mut self, first_tag: u32) {
        self.start_with(first_tag, |_| {});
    }

    pub fn start_with(&mut self, first_tag: u32, set: impl FnOnce(&mut DropBoxConfig)) {
        let mut config = DropBoxConfig { first_tag, ..config(self.addr) };
        set(&mut config);
        self.dropbox = self.world.start(self.node, Box::new(DropBox::new(config)));
        self.world.run_for(Duration::from_secs(1));
    }

    pub fn run_ms(&mut self, millis: u64) {
        self.world.run_for(Duration::from_millis(millis));
    }

    pub fn status(&self) -> &DropBoxStatus {
        self.world.machine::<DropBox>(self.dropbox).unwrap().status()
    }

    pub fn connect(&mut self) -> StrangerId {
        self.world.connect(self.home, self.addr)
    }

    /// Connects and says a header.
    pub fn announce(&mut self, bytes: u64, name: &str) -> StrangerId {
        let client = self.connect();
        self.world.write(client, &header(bytes, name));
        client
    }

    /// The same, and waits to be told to go ahead.
    pub fn client(&mut self, bytes: u64, name: &str) -> StrangerId {
        let client = self.announce(bytes, name);
        self.world.run_for(QUIET * 2);
        assert_eq!(self.world.read(client), b"go ahead");
        client
    }

    pub fn state(&self, client: StrangerId) -> StrangerState {
        self.world.stranger_state(client)
    }

    pub fn stored(&self, name: &str) -> Option<&[u8]> {
        self.world.disk(self.node).read(name)
    }

    /// Files that are there: whole ones, and unfinished ones.
    pub fn names(&self) -> (Vec<&str>, Vec<&str>) {
        self.world.disk(self.node).paths().partition(|path| !is_temp_name(path))
    }
}
