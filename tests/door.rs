//! Who is let in, in the simulator: how many links there may be, in all and from one address, how long they may say
//! nothing, and what another protocol may say.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::town::INTERVAL;
use tickmesh::proto::limits::LINKS_MAX;
use tickmesh::proto::server::{DoorConfig, Limit, Server, ServerConfig, TalkConfig};
use tickmesh::proto::wire::ErrorCode;
use tickmesh::sim::{MachineId, NodeConfig, NodeId, StrangerId, StrangerState, World};

const SECOND: Duration = Duration::from_secs(1);

/// A server with a door, and hosts that come to it.
struct House {
    world: World,
    addr: SocketAddr,
    server: MachineId,
    own: NodeId,
    hosts: u8,
}

impl House {
    fn new(links_max: usize, links_per_address_max: usize, greet_timeout: Duration) -> House {
        let mut world = World::new(1);
        let node = world.add_node(&NodeConfig::new([10, 0, 0, 1]));
        let addr = world.addr(node, 5555);
        let config = ServerConfig {
            listen: vec![addr],
            interval: INTERVAL,
            duration: SECOND,
            secret: [1; 32],
            talk: TalkConfig::default(),
        };
        let door = DoorConfig { links_max, links_per_address_max, greet_timeout };
        let server = world.start(node, Box::new(Server::new(config).with_door(door)));
        House { world, addr, server, own: node, hosts: 1 }
    }

    fn host(&mut self) -> NodeId {
        self.hosts += 1;
        self.world.add_node(&NodeConfig::new([10, 0, 0, self.hosts]))
    }

    /// A new link, and what it hears at first.
    fn knock(&mut self, host: NodeId) -> (StrangerId, String) {
        let link = self.world.connect(host, self.addr);
        let heard = self.say(link, b"");
        (link, heard)
    }

    fn say(&mut self, link: StrangerId, bytes: &[u8]) -> String {
        self.world.write(link, bytes);
        self.world.run_for(Duration::from_millis(80));
        String::from_utf8(self.world.read(link)).unwrap()
    }

    fn server(&self) -> &Server {
        self.world.machine(self.server).unwrap()
    }

    fn is_closed(&self, link: StrangerId) -> bool {
        matches!(self.world.stranger_state(link), StrangerState::Ended(_))
    }
}

fn is_greeted(heard: &str) -> bool {
    heard.starts_with("TICKMESH 1 server ") && heard.lines().count() == 1
}

#[test]
fn one_address_does_not_keep_out_the_others() {
    let mut house = House::new(LINKS_MAX, 2, 60 * SECOND);
    let (one, other) = (house.host(), house.host());
    let (first, heard) = house.knock(one);
    assert!(is_greeted(&heard) && is_greeted(&house.knock(one).1));
    let (third, heard) = house.knock(one);
    assert_eq!(
        heard.lines().nth(1),
        Some("ERR limit-reached this server takes no more links from your address now")
    );
    assert!(house.is_closed(third));
    assert!(is_greeted(&house.knock(other).1));
    assert_eq!(house.server().status().hits(Limit::LinksPerAddress), 1);
    house.world.close(first);
    house.world.run_for(SECOND);
    assert!(is_greeted(&house.knock(one).1), "there is room again");
}

#[test]
fn a_full_house_says_so_and_those_inside_go_on() {
    let mut house = House::new(3, LINKS_MAX, 60 * SECOND);
    let hosts = [house.host(), house.host(), house.host(), house.host()];
    let links = [0, 1, 2].map(|place| house.knock(hosts[place]).0);
    let (turned_away, heard) = house.knock(hosts[3]);
    assert_eq!(heard.lines().nth(1), Some("ERR limit-reached this server takes no more links now"));
    assert!(house.is_closed(turned_away));
    assert!(house.say(links[0], b"HELLO visitor\n").starts_with("OK HELLO visitor "));
    assert_eq!(house.server().status().hits(Limit::Links), 1);
    // However a link goes, its place is free: by its own word, by another link of the same name, by a break.
    let bye = house.say(links[0], b"logout\n");
    assert_eq!(bye, "OK logout\n");
    house.world.reset(links[1]);
    house.world.run_for(SECOND);
    assert!(is_greeted(&house.knock(hosts[3]).1) && is_greeted(&house.knock(hosts[3]).1));
    assert!(!is_greeted(&house.knock(hosts[3]).1));
}

/// Also those of the address from which the operator comes.
#[test]
fn an_operator_gets_in_when_all_places_are_taken() {
    for (links_max, links_per_address_max) in [(3, LINKS_MAX), (LINKS_MAX, 3)] {
        let mut house = House::new(links_max, links_per_address_max, 60 * SECOND);
        let own = house.own;
        let links = [(); 3].map(|()| house.knock(own).0);
        assert!(links.iter().all(|link| !house.is_closed(*link)));
        let (operator, heard) = house.knock(own);
        assert!(is_greeted(&heard), "{heard}");
        assert!(house.say(operator, b"status\n").contains("* STATUS server.links 4\n"));
        let far = house.host();
        assert_eq!(is_greeted(&house.knock(far).1), links_max == LINKS_MAX);
    }
}

#[test]
fn who_comes_back_over_a_new_link_takes_one_place() {
    let mut house = House::new(2, LINKS_MAX, 60 * SECOND);
    let host = house.host();
    let (first, _) = house.knock(host);
    let welcome = house.say(first, b"HELLO bob 7 lab\n");
    let key = welcome.trim_end().rsplit_once(' ').unwrap().1.to_owned();
    let (second, _) = house.knock(host);
    assert!(house.say(second, format!("HELLO bob 7 lab {key}\n").as_bytes()).starts_with("OK HELLO bob "));
    assert!(is_greeted(&house.knock(host).1), "the first one is gone");
}

#[test]
fn who_does_not_say_who_it_is_has_to_go_in_time() {
    let mut house = House::new(LINKS_MAX, LINKS_MAX, 3 * SECOND);
    let host = house.host();
    let (silent, _) = house.knock(host);
    let (slow, _) = house.knock(host);
    house.world.run_for(2 * SECOND);
    assert!(house.say(slow, b"HELLO visitor\n").starts_with("OK HELLO visitor "));
    house.world.run_for(SECOND);
    assert_eq!(house.say(silent, b""), "BYE you have not joined in time\n");
    assert!(house.is_closed(silent) && !house.is_closed(slow));
    assert_eq!(house.server().status().hits(Limit::Greet), 1);
}

/// What a page in a browser can make it send: the lines behind the first ones are anything that the page wants.
#[test]
fn a_request_of_a_browser_ends_at_its_first_line() {
    let mut house = House::new(LINKS_MAX, LINKS_MAX, 60 * SECOND);
    let host = house.host();
    let bodies = "Host: 10.0.0.1:5555\r\nContent-Type: text/plain\r\nContent-Length: 40\r\n\r\nHELLO visitor\nstatus\nbroadcast hi\n";
    let first_lines = [
        "POST / HTTP/1.1",
        "GET / HTTP/1.1",
        "GET /film.bin HTTP/1.0",
        "GET film.bin HTTP/1.1",
        "PUT /x HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "HEAD http://10.0.0.1:5555/ HTTP/1.1",
        "CONNECT 10.0.0.1:22 HTTP/1.1",
        "PRI * HTTP/2.0",
        "POST",
    ];
    for (count, first) in first_lines.into_iter().enumerate() {
        let (link, _) = house.knock(host);
        let heard = house.say(link, format!("{first}\r\n{bodies}").as_bytes());
        assert_eq!(heard, "ERR wrong-protocol this is no web server\n", "{first}");
        assert!(house.is_closed(link), "{first}");
        assert_eq!(house.server().status().errors_of(ErrorCode::WrongProtocol), count as u64 + 1);
    }
    assert_eq!(house.server().status().guests_greeted, 0);
    // A line of our own with the same verb is none.
    let (link, _) = house.knock(host);
    assert!(house.say(link, b"GET film.bin 3\n").starts_with("ERR out-of-place "));
    assert!(!house.is_closed(link));
}
