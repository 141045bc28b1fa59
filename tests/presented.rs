//! Stories in the simulator about a guest that offers what another machine on its host presents to it, as the one of a
//! drop box does: who gets it, what becomes of files that are replaced or removed, and that nothing ends it.

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::town::new_server;
use tickmesh::proto::machine::{Input, Machine as _};
use tickmesh::proto::peer::{Get, GuestConfig, Orders, Peers};
use tickmesh::proto::upload::{DropBox, DropBoxConfig};
use tickmesh::sim::{MachineId, NodeConfig, NodeId, World};

const SECOND: Duration = Duration::from_secs(1);

/// A host with a server for all networks, and a holder of files on it.
struct Store {
    world: World,
    node: NodeId,
    server: MachineId,
    holder: MachineId,
    addr: SocketAddr,
    hosts: u8,
}

fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], port))
}

fn guest(server: SocketAddr, id: Option<&str>, orders: Orders) -> Peers {
    let (group, id) = ("lab".parse().unwrap(), id.map(|id| id.parse().unwrap()));
    Peers::guest(GuestConfig { server, group, id, orders, upload_limit: None })
}

fn holder(presented_max: usize) -> Box<Peers> {
    let server = SocketAddr::from(([127, 0, 0, 1], 5555));
    let holder = guest(server, Some("dropbox"), Orders { presented_max, ..Orders::default() });
    Box::new(holder.with_listener_at(everywhere(0).ip()))
}

impl Store {
    fn new(seed: u64, presented_max: usize) -> Store {
        let mut world = World::new(seed);
        let node = world.add_node(&NodeConfig::new([10, 0, 0, 1]));
        let addr = world.addr(node, 5555);
        let server = world.start(node, Box::new(new_server(everywhere(5555), 0)));
        let holder = world.start(node, holder(presented_max));
        Store { world, node, server, holder, addr, hosts: 1 }
    }

    fn put(&mut self, path: &str, content: &[u8]) {
        self.world.disk_mut(self.node).write(path, content);
        self.present(path);
    }

    fn present(&mut self, path: &str) {
        let stamp = self.world.disk(self.node).stamp(path);
        let tell = |holder: &mut Peers, now, os: &mut dyn tickmesh::proto::machine::Os| {
            holder.handle_input(Input::Presented { path, stamp }, now, os);
        };
        self.world.act(self.holder, tell).expect("it runs");
    }

    /// What somebody on another host gets, if anything.
    fn get(&mut self, name: &str) -> Option<Vec<u8>> {
        self.hosts += 1;
        let node = self.world.add_node(&NodeConfig::new([10, 0, 0, self.hosts]));
        let get = Get { name: name.parse().unwrap(), chunk: None, wait: 5 * SECOND, stay: Duration::ZERO };
        let getter = guest(self.addr, None, Orders { get: Some(get), ..Orders::default() });
        let getter = self.world.start(node, Box::new(getter));
        assert!(self.world.run_until(|world| !world.is_running(getter), 60 * SECOND));
        self.world.disk(node).read(name).map(<[u8]>::to_vec)
    }

    /// What the server answers to somebody on another host.
    fn ask(&mut self, line: &str) -> String {
        self.hosts += 1;
        let node = self.world.add_node(&NodeConfig::new([10, 0, 0, self.hosts]));
        let link = self.world.connect(node, self.addr);
        self.world.write(link, b"HELLO *\n");
        self.world.run_for(SECOND);
        self.world.read(link);
        self.world.write(link, format!("{line}\n").as_bytes());
        self.world.run_for(SECOND);
        String::from_utf8(self.world.read(link)).unwrap()
    }

    fn is_offered(&self, name: &str) -> bool {
        let files = self.world.machine::<Peers>(self.holder).unwrap().files();
        files.iter().any(|file| file.name == name && file.is_offered)
    }
}

#[test]
fn what_is_presented_can_be_got_from_another_host() {
    let mut store = Store::new(1, 10);
    let film: Vec<u8> = (0..700_000_u32).map(|place| (place % 251) as u8).collect();
    store.put("film.bin", &film);
    store.put("my film.bin", &film[1..]);
    store.put("empty", b"");
    store.world.run_for(SECOND);
    assert_eq!(store.get("film.bin").as_deref(), Some(&film[..]));
    assert_eq!(store.get("my_film.bin").as_deref(), Some(&film[1..]));
    assert_eq!(store.get("empty").as_deref(), Some(&[][..]));
    // The same name once more, and another file.
    store.put("film.bin", &film[2..]);
    store.present("film.bin");
    store.world.run_for(SECOND);
    assert_eq!(store.get("film.bin").as_deref(), Some(&film[2..]));
    // Another file whose name becomes the same.
    store.put("my%film.bin", b"other");
    store.world.run_for(SECOND);
    assert_eq!(store.get("my_film.bin.1").as_deref(), Some(&b"other"[..]));
    assert_eq!(store.get("my_film.bin").as_deref(), Some(&film[1..]));
    store.world.shutdown(store.node);
    assert!(store.world.run_until(|world| !world.is_running(store.holder), 5 * SECOND));
}

/// The whole way: a drop box beside the server and the holder, somebody who uploads, and somebody who gets it.
#[test]
fn what_comes_to_a_drop_box_can_be_got_from_another_host() {
    let mut store = Store::new(5, 10);
    store.world.disk_mut(store.node).write("old", b"was there");
    let dropbox = store.world.start(
        store.node,
        Box::new(DropBox::new(DropBoxConfig {
            listen: everywhere(12000),
            file_bytes_max: 1000,
            quota_bytes: 100_000,
            clients_max: 10,
            clients_per_address_max: 10,
            stall_timeout: SECOND,
            present: true,
            first_tag: 0,
        })),
    );
    store.world.run_for(SECOND);
    let other = store.world.add_node(&NodeConfig::new([10, 0, 0, 99]));
    let link = store.world.connect(other, store.world.addr(store.node, 12000));
    store.world.write(link, b"\0\0\0\0\0\0\0\x05../a b");
    store.world.run_for(SECOND);
    assert_eq!(store.world.read(link), b"go ahead");
    store.world.write(link, b"12345");
    store.world.run_for(SECOND);
    assert!(store.world.is_closed(link));
    assert_eq!(store.get("a_b").as_deref(), Some(&b"12345"[..]));
    assert_eq!(store.get("old").as_deref(), Some(&b"was there"[..]));
    assert_eq!(store.world.machine::<DropBox>(dropbox).unwrap().status().files, 1);
    // An operator empties the folder.
    store.world.disk_mut(store.node).remove("a b");
    store.world.run_for(40 * SECOND);
    assert_eq!(store.get("a_b"), None);
    store.world.shutdown(store.node);
    assert!(store.world.run_until(|world| world.machines_on(store.node).is_empty(), 10 * SECOND));
}

#[test]
fn what_is_removed_is_withdrawn_and_may_come_again() {
    let mut store = Store::new(2, 10);
    store.put("stays", b"12345");
    store.put("goes", b"12345");
    store.world.run_for(SECOND);
    assert!(store.is_offered("stays") && store.is_offered("goes"));
    store.world.disk_mut(store.node).remove("goes");
    store.world.run_for(40 * SECOND);
    assert!(store.is_offered("stays") && !store.is_offered("goes"));
    assert_eq!(store.get("goes"), None);
    store.put("goes", b"another");
    store.world.run_for(SECOND);
    assert_eq!(store.get("goes").as_deref(), Some(&b"another"[..]));
    assert_eq!(store.get("stays").as_deref(), Some(&b"12345"[..]));
}

#[test]
fn what_an_operator_puts_there_is_offered_too() {
    let mut store = Store::new(7, 10);
    store.world.run_for(SECOND);
    store.world.disk_mut(store.node).write("own", b"12345");
    store.world.run_for(70 * SECOND);
    assert_eq!(store.get("own").as_deref(), Some(&b"12345"[..]));
    store.world.disk_mut(store.node).remove("own");
    store.world.run_for(40 * SECOND);
    assert_eq!(store.get("own"), None);
    store.world.disk_mut(store.node).write("own", b"another");
    store.world.run_for(70 * SECOND);
    assert_eq!(store.get("own").as_deref(), Some(&b"another"[..]));
}

/// Of the same length, under the same name: another file, or the same that somebody has written to.
#[test]
fn what_is_replaced_is_withdrawn_and_offered_as_it_is_now() {
    for replaced in [true, false] {
        let mut store = Store::new(8, 10);
        store.put("film", b"12345");
        store.world.run_for(40 * SECOND);
        assert_eq!(store.get("film").as_deref(), Some(&b"12345"[..]));
        let disk = store.world.disk_mut(store.node);
        if replaced {
            disk.write("film", b"abcde")
        } else {
            disk.damage("film", 0, b"abcde")
        }
        store.world.run_for(35 * SECOND);
        assert!(!store.is_offered("film"));
        store.world.run_for(35 * SECOND);
        assert!(store.is_offered("film"));
        assert_eq!(store.get("film").as_deref(), Some(&b"abcde"[..]));
    }
}

#[test]
fn what_is_still_written_by_somebody_else_is_not_offered() {
    let mut store = Store::new(9, 10);
    for bytes in 1..20 {
        store.world.disk_mut(store.node).write("slow", &vec![7; bytes]);
        store.world.run_for(15 * SECOND);
        assert!(!store.is_offered("slow"), "{bytes}");
    }
    store.world.run_for(70 * SECOND);
    assert_eq!(store.get("slow").as_deref(), Some(&[7; 19][..]));
}

#[test]
fn what_is_removed_while_it_is_looked_at_is_not_offered() {
    let mut store = Store::new(10, 10);
    store.world.run_for(SECOND);
    store.world.disk_mut(store.node).slow_down(45 * SECOND);
    store.put("goes", b"12345");
    store.world.run_for(SECOND);
    store.world.disk_mut(store.node).remove("goes");
    store.world.run_for(200 * SECOND);
    assert!(!store.is_offered("goes"));
    store.world.disk_mut(store.node).slow_down(Duration::ZERO);
    assert_eq!(store.get("goes"), None);
    store.put("goes", b"12345");
    store.world.run_for(SECOND);
    assert!(store.is_offered("goes"));
}

/// It was offered, and the server has to hear that it is not any more.
#[test]
fn what_is_presented_again_and_removed_while_it_is_looked_at_is_withdrawn() {
    let mut store = Store::new(12, 10);
    store.put("goes", b"12345");
    store.world.run_for(SECOND);
    assert!(store.ask("searchFile goes").ends_with("OK searchFile Available\n"));
    store.world.disk_mut(store.node).slow_down(45 * SECOND);
    store.put("goes", b"another");
    store.world.run_for(SECOND);
    store.world.disk_mut(store.node).remove("goes");
    store.world.run_for(200 * SECOND);
    assert_eq!(store.ask("searchFile goes"), "OK searchFile Not available\n");
}

/// Not all at once, and not so fast that the server would take it ill.
#[test]
fn thousands_of_files_that_are_removed_are_withdrawn_one_after_another() {
    let (mut store, count) = (Store::new(13, 5000), 3000);
    (0..count).for_each(|number| store.put(&format!("f{number}"), b""));
    store.world.run_for(20 * SECOND);
    let offered = |store: &Store| {
        let files = store.world.machine::<Peers>(store.holder).unwrap().files();
        files.iter().filter(|file| file.is_offered).count()
    };
    assert_eq!(offered(&store), count);
    (0..count).for_each(|number| store.world.disk_mut(store.node).remove(&format!("f{number}")));
    assert!(store.world.run_until(
        |world| {
            world.machine::<Peers>(store.holder).unwrap().files().iter().any(|file| file.trouble.is_some())
        },
        40 * SECOND
    ));
    assert!(offered(&store) > count / 2);
    (0..100).for_each(|number| store.put(&format!("new{number}"), b""));
    store.world.run_for(10 * SECOND);
    assert_eq!(offered(&store), 100);
    store.world.run_for(60 * SECOND);
    assert_eq!(store.world.machine::<Peers>(store.holder).unwrap().files().len(), 100);
    let links =
        store.world.machine::<tickmesh::proto::server::Server>(store.server).unwrap().status().links_too_fast;
    assert_eq!(links, 0);
    // The server knows nothing of them any more, so there is room for as many again.
    assert!(store.ask("searchChunk f7 1").starts_with("ERR unknown-file "));
}

#[test]
fn files_that_are_gone_take_no_places() {
    let mut store = Store::new(11, 2);
    for round in 0..10 {
        let names = ["a", "b"].map(|name| format!("{name}{round}"));
        names.iter().for_each(|name| store.put(name, b"12345"));
        store.put("c", b"12345");
        store.world.run_for(SECOND);
        assert!(names.iter().all(|name| store.is_offered(name)) && !store.is_offered("c"), "{round}");
        names.iter().for_each(|name| store.world.disk_mut(store.node).remove(name));
        store.world.disk_mut(store.node).remove("c");
        store.world.run_for(65 * SECOND);
        assert!(store.world.machine::<Peers>(store.holder).unwrap().files().len() <= 2);
    }
    // One for which there was no room is offered when there is.
    ["a", "b", "c"].iter().for_each(|name| store.put(name, name.as_bytes()));
    store.world.run_for(SECOND);
    store.world.disk_mut(store.node).remove("b");
    store.world.run_for(100 * SECOND);
    assert_eq!(store.get("c").as_deref(), Some(&b"c"[..]));
    assert_eq!(store.get("b"), None);
}

#[test]
fn nothing_ends_it_but_the_wish_to() {
    let mut store = Store::new(3, 2);
    // None of its files is there, and more are presented than it takes.
    ["a", "b", "c", "d"].iter().for_each(|path| store.present(path));
    store.world.run_for(60 * SECOND);
    ["b", "c", "d"].iter().for_each(|path| store.put(path, b"12345"));
    store.world.run_for(SECOND);
    assert!(store.is_offered("b") && store.is_offered("c") && !store.is_offered("d"));
    assert_eq!(store.get("b").as_deref(), Some(&b"12345"[..]));
    store.world.shutdown(store.node);
    assert!(store.world.run_until(|world| !world.is_running(store.holder), 5 * SECOND));
}

/// On a host without a server, and then with one where somebody else has its name.
#[test]
fn it_waits_for_its_server_and_for_its_name() {
    let mut store = Store::new(4, 10);
    store.world.crash(store.node);
    store.world.run_for(SECOND);
    store.holder = store.world.start(store.node, holder(10));
    store.put("a", b"12345");
    store.world.run_for(60 * SECOND);
    assert!(store.world.is_running(store.holder));
    store.world.crash(store.node);
    store.world.start(store.node, Box::new(new_server(everywhere(5555), 1)));
    let other = store.world.add_node(&NodeConfig::new([10, 0, 0, 99]));
    let link = store.world.connect(other, store.addr);
    store.world.write(link, b"HELLO dropbox 40000\n");
    store.world.run_for(SECOND);
    store.holder = store.world.start(store.node, holder(10));
    store.put("a", b"12345");
    store.world.run_for(60 * SECOND);
    assert!(store.world.is_running(store.holder) && !store.is_offered("a"));
    store.world.write(link, b"BYE x\n");
    store.world.run_for(10 * SECOND);
    assert!(store.is_offered("a"));
    assert_eq!(store.get("a").as_deref(), Some(&b"12345"[..]));
}

/// The server has started anew, and has given its name to another.
#[test]
fn it_comes_back_when_its_name_is_free_again() {
    let mut store = Store::new(6, 10);
    let (node, server_node) = (store.world.add_node(&NodeConfig::new([10, 0, 0, 88])), store.node);
    store.world.crash(server_node);
    store.world.start(server_node, Box::new(new_server(everywhere(5555), 1)));
    let away = guest(store.addr, Some("dropbox"), Orders { presented_max: 10, ..Orders::default() });
    (store.holder, store.node) = (store.world.start(node, Box::new(away)), node);
    store.put("a", b"12345");
    store.world.run_for(SECOND);
    assert!(store.is_offered("a"));
    store.world.crash(server_node);
    store.world.run_for(SECOND);
    store.world.start(server_node, Box::new(new_server(everywhere(5555), 2)));
    let other = store.world.add_node(&NodeConfig::new([10, 0, 0, 99]));
    let link = store.world.connect(other, store.addr);
    store.world.write(link, b"HELLO dropbox 40000\n");
    store.world.run_for(30 * SECOND);
    assert!(store.world.is_running(store.holder));
    assert_eq!(store.get("a"), None);
    store.world.write(link, b"BYE x\n");
    store.world.run_for(10 * SECOND);
    assert_eq!(store.get("a").as_deref(), Some(&b"12345"[..]));
}
