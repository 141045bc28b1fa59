//! A hall for stories in the simulator: a server with accounts, and people who talk at links that are typed by hand.

use std::net::SocketAddr;
use std::time::Duration;

use super::town::INTERVAL;
use tickmesh::proto::accounts::scram::ClientExchange;
use tickmesh::proto::accounts::{Password, Verifier};
use tickmesh::proto::ids::Name;
use tickmesh::proto::machine::Change;
use tickmesh::proto::server::{LetIn, Server, ServerConfig, TalkConfig};
use tickmesh::sim::{MachineId, NodeConfig, NodeId, StrangerId, World};

const SECOND: Duration = Duration::from_secs(1);

/// A server with accounts, and people on its own host.
pub struct Hall {
    pub world: World,
    pub node: NodeId,
    server: Option<MachineId>,
    pub addr: SocketAddr,
    people: u8,
    lives: u8,
    guests: LetIn,
}

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// What the store has of a password.
pub fn verifier(password: &str) -> String {
    let salt = [7; 16];
    Verifier::new(&Password::prepare(password).unwrap().salted(&salt, 4096), salt, 4096).to_string()
}

impl Hall {
    pub fn new(seed: u64) -> Hall {
        Hall::with_guests(seed, LetIn::Loopback)
    }

    pub fn with_guests(seed: u64, guests: LetIn) -> Hall {
        let mut world = World::new(seed);
        let node = world.add_node(&NodeConfig::new([10, 0, 0, 1]));
        for user in ["alice", "bob", "carol"] {
            let change = Change::PutAccount { name: name(user), verifier: verifier(&pass(user)).into() };
            world.store_mut(node).change(&change);
        }
        let addr = world.addr(node, 5555);
        let mut hall = Hall { world, node, server: None, addr, people: 1, lives: 0, guests };
        hall.start();
        hall
    }

    /// The server begins, or begins anew.
    fn start(&mut self) {
        self.lives += 1;
        let config = ServerConfig {
            listen: vec![SocketAddr::from(([0, 0, 0, 0], self.addr.port()))],
            interval: INTERVAL,
            duration: SECOND,
            secret: [self.lives; 32],
            talk: TalkConfig { guests: self.guests, ..TalkConfig::default() },
        };
        self.server = Some(self.world.start(self.node, Box::new(Server::new(config))));
        self.world.run_for(SECOND);
    }

    pub fn crash(&mut self) {
        self.world.crash(self.node);
        self.world.run_for(SECOND);
        self.start();
    }

    pub fn server(&self) -> &Server {
        self.world.machine(self.server.unwrap()).unwrap()
    }

    /// From the server's own host.
    pub fn connect(&mut self) -> StrangerId {
        self.greeted(self.node, SocketAddr::from(([127, 0, 0, 1], self.addr.port())))
    }

    /// From there too, but to the address that others dial.
    pub fn connect_by_address(&mut self) -> StrangerId {
        self.greeted(self.node, self.addr)
    }

    /// From another.
    pub fn connect_from_afar(&mut self) -> StrangerId {
        self.people += 1;
        let node = self.world.add_node(&NodeConfig::new([10, 0, 0, self.people]));
        self.greeted(node, self.addr)
    }

    fn greeted(&mut self, node: NodeId, addr: SocketAddr) -> StrangerId {
        let link = self.world.connect(node, addr);
        assert!(self.say(link, "").starts_with("TICKMESH 1 server "));
        link
    }

    pub fn say(&mut self, link: StrangerId, text: &str) -> String {
        self.world.write(link, text.as_bytes());
        self.world.run_for(Duration::from_millis(80));
        self.hear(link)
    }

    pub fn hear(&mut self, link: StrangerId) -> String {
        String::from_utf8(self.world.read(link)).unwrap()
    }

    pub fn login(&mut self, user: &str) -> (StrangerId, String) {
        let link = self.connect();
        let heard = self.say(link, &format!("login {user} {}\n", pass(user)));
        assert!(heard.starts_with(&format!("OK login {user} ")), "{heard}");
        (link, heard)
    }

    /// The same as a program does it, which can be dialed at port 4000.
    pub fn auth(&mut self, user: &str) -> (StrangerId, String) {
        self.auth_at(user, 4000)
    }

    pub fn auth_at(&mut self, user: &str, port: u16) -> (StrangerId, String) {
        let link = self.connect_from_afar();
        let (first, exchange) = ClientExchange::begin(name(user), &[9; 18]);
        let heard = self.say(link, &format!("AUTH SCRAM-SHA-256 {port} {first}\n"));
        let challenge = exchange.challenged(heard.strip_prefix("OK AUTH ").unwrap().trim_end()).unwrap();
        let salted = challenge.salted(&Password::prepare(&pass(user)).unwrap());
        let (proof, server_proof) = challenge.respond(&salted);
        let heard = self.say(link, &format!("AUTH {proof}\n"));
        let answer = heard.lines().next().unwrap();
        let (start, theirs) = answer.rsplit_once(' ').unwrap();
        assert!(start.starts_with(&format!("OK login {user} ")), "{heard}");
        assert_eq!(server_proof.check(theirs), Ok(()));
        (link, heard)
    }
}

pub fn pass(user: &str) -> String {
    format!("{user}'s pass word")
}
