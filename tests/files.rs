//! Stories of files in the simulator: offered, found, got from several at once, resumed; and what
//! happens when holders lie, go, or come back.

mod common;

use std::time::Duration;

use common::town::{Town, server_machine};
use tickmesh::proto::limits::LOOK_PERIOD;
use tickmesh::proto::peer::{FileState, Find, Get, GuestConfig, Offer, Orders, Peers};
use tickmesh::sim::{MachineId, NetConfig, NodeId};

const SECOND: Duration = Duration::from_secs(1);
const FILE: &str = "film.bin";
/// Chunks of the usual size in the file of most stories.
const CHUNKS: usize = 20;
const FILE_BYTES: usize = CHUNKS * (256 << 10) - 1000;

/// Bytes that differ from chunk to chunk.
fn film() -> Vec<u8> {
    let mut bytes = vec![0; FILE_BYTES];
    blake3::Hasher::new().update(b"film").finalize_xof().fill(&mut bytes);
    bytes
}

fn guest(town: &mut Town, node: NodeId, name: &str, orders: Orders) -> MachineId {
    let config = GuestConfig {
        server: town.addr,
        group: "lab".parse().unwrap(),
        id: Some(name.parse().unwrap()),
        orders,
        upload_limit: None,
    };
    town.world.start(node, Box::new(Peers::guest(config)))
}

fn offer() -> Orders {
    let offer = Offer { path: format!("own/{FILE}"), name: FILE.parse().unwrap(), chunks: None };
    Orders { offers: vec![offer], ..Orders::default() }
}

fn get() -> Orders {
    get_and_stay(Duration::ZERO)
}

fn get_and_stay(stay: Duration) -> Orders {
    let get = Get { name: FILE.parse().unwrap(), chunk: None, wait: 30 * SECOND, stay };
    Orders { get: Some(get), ..Orders::default() }
}

/// A holder of the film on a node of its own.
fn holder(town: &mut Town, name: &str) -> (NodeId, MachineId) {
    let node = town.node();
    town.world.disk_mut(node).write(&format!("own/{FILE}"), &film());
    let machine = guest(town, node, name, offer());
    (node, machine)
}

fn downloader(town: &mut Town, name: &str) -> (NodeId, MachineId) {
    let node = town.node();
    let machine = guest(town, node, name, get());
    (node, machine)
}

fn peers(town: &Town, machine: MachineId) -> &Peers {
    town.world.machine::<Peers>(machine).unwrap()
}

fn stored(town: &Town, machine: MachineId) -> u64 {
    peers(town, machine).files().first().map_or(0, |file| file.chunks_stored)
}

/// Runs until so many chunks are there.
fn until_stored(town: &mut Town, machine: MachineId, chunks: u64) {
    let there = |world: &tickmesh::sim::World| {
        let files = world.machine::<Peers>(machine).unwrap().files();
        files.iter().any(|file| file.state == FileState::Fetching && file.chunks_stored >= chunks)
    };
    assert!(town.world.run_until(there, 60 * SECOND), "{}", town.world.trace_tail());
}

fn assert_got(town: &mut Town, node: NodeId, machine: MachineId) {
    town.finish(&[machine]);
    let report = town.report(machine);
    assert_eq!(report.outcome, "complete", "{report:#?}");
    let disk = town.world.disk(node);
    assert!(disk.read(FILE) == Some(&film()[..]), "the file is another");
    assert_eq!(disk.read(&format!("{FILE}.partial")), None, "a partial is left");
}

/// A town whose network is slow enough that things can happen in the middle of a transfer.
fn slow_town(seed: u64) -> Town {
    let mut town = Town::new(seed);
    town.world.set_net(NetConfig { bytes_per_second: 2_000_000, ..NetConfig::default() });
    town
}

#[test]
fn a_file_is_offered_found_and_got() {
    let mut town = Town::new(1);
    let (_, alice) = holder(&mut town, "alice");
    town.world.run_for(SECOND);
    assert!(peers(&town, alice).files()[0].is_offered);
    let node = town.node();
    let find = Find { name: FILE.parse().unwrap(), chunks: vec![1, CHUNKS as u64] };
    let carol = guest(&mut town, node, "carol", Orders { find: Some(find), ..Orders::default() });
    town.finish(&[carol]);
    let (available, holders) = peers(&town, carol).found().unwrap();
    assert!(available);
    assert_eq!((holders[0].id.as_str(), holders[0].chunks_held, holders.len()), ("alice", CHUNKS as u64, 1));
    let (node, bob) = downloader(&mut town, "bob");
    assert_got(&mut town, node, bob);
    let file = &peers(&town, bob).files()[0];
    assert_eq!((file.bytes_fetched, file.bytes_wasted), (FILE_BYTES as u64, 0));
    assert_eq!(peers(&town, alice).served_bytes(), FILE_BYTES as u64);
}

#[test]
fn several_downloaders_get_it_from_each_other() {
    let mut town = slow_town(2);
    let node = town.node();
    town.world.disk_mut(node).write(&format!("own/{FILE}"), &film());
    let mut orders = offer();
    orders.offers[0].chunks = Some(200);
    let alice = guest(&mut town, node, "alice", orders);
    town.world.run_for(SECOND);
    let others: Vec<_> = (0..10).map(|number| downloader(&mut town, &format!("d{number}"))).collect();
    for (node, machine) in others {
        assert_got(&mut town, node, machine);
    }
    let factor = peers(&town, alice).served_bytes() as f64 / FILE_BYTES as f64;
    assert!(factor <= 1.3, "the origin sent {factor:.2} times the file");
}

#[test]
fn a_downloader_that_crashes_goes_on_where_it_was() {
    let mut town = slow_town(3);
    let (_, alice) = holder(&mut town, "alice");
    town.world.run_for(SECOND);
    let (node, bob) = downloader(&mut town, "bob");
    until_stored(&mut town, bob, 7);
    town.world.crash(node);
    let before = peers(&town, alice).served_bytes();
    let bob = guest(&mut town, node, "bob", get());
    assert_got(&mut town, node, bob);
    let fetched = peers(&town, bob).files()[0].bytes_fetched;
    assert!(fetched <= (FILE_BYTES - 7 * (256 << 10)) as u64, "{fetched} bytes were fetched again");
    assert!(peers(&town, alice).served_bytes() > before);
}

#[test]
fn what_is_left_of_a_longer_file_does_not_lengthen_this_one() {
    for (seed, file) in [(15, film()), (16, Vec::new())] {
        let mut town = Town::new(seed);
        let origin = town.node();
        town.world.disk_mut(origin).write(&format!("own/{FILE}"), &file);
        guest(&mut town, origin, "alice", offer());
        town.world.run_for(SECOND);
        let node = town.node();
        town.world.disk_mut(node).write(&format!("{FILE}.partial"), &vec![7; FILE_BYTES + 5000]);
        let bob = guest(&mut town, node, "bob", get());
        town.finish(&[bob]);
        assert_eq!(town.report(bob).outcome, "complete");
        assert!(town.world.disk(node).read(FILE) == Some(&file[..]), "the file is another");
    }
}

#[test]
fn a_file_that_is_here_already_is_not_fetched() {
    let mut town = Town::new(4);
    let (_, alice) = holder(&mut town, "alice");
    town.world.run_for(SECOND);
    let node = town.node();
    town.world.disk_mut(node).write(FILE, &film());
    let bob = guest(&mut town, node, "bob", get());
    assert_got(&mut town, node, bob);
    assert_eq!(peers(&town, alice).served_bytes(), 0);
}

#[test]
fn another_file_of_the_name_is_set_aside() {
    let mut town = Town::new(5);
    holder(&mut town, "alice");
    town.world.run_for(SECOND);
    let node = town.node();
    town.world.disk_mut(node).write(FILE, b"something else");
    let bob = guest(&mut town, node, "bob", get());
    assert_got(&mut town, node, bob);
    let disk = town.world.disk(node);
    let kept = disk.paths().filter(|path| disk.read(path) == Some(b"something else")).count();
    assert_eq!(kept, 1, "the older file is kept");
}

#[test]
fn the_holder_may_go_when_another_has_the_rest() {
    let mut town = slow_town(6);
    let (origin, _) = holder(&mut town, "alice");
    town.world.run_for(SECOND);
    let [(first_node, first), (second_node, second)] = ["bob", "carol"].map(|name| {
        let node = town.node();
        (node, guest(&mut town, node, name, get_and_stay(10 * SECOND)))
    });
    until_stored(&mut town, first, 5);
    // The two together have everything long before each alone has.
    let both = |world: &tickmesh::sim::World| {
        [first, second]
            .iter()
            .map(|id| world.machine::<Peers>(*id).unwrap().files()[0].chunks_stored)
            .sum::<u64>()
            >= CHUNKS as u64 + 14
    };
    assert!(town.world.run_until(both, 60 * SECOND));
    town.world.crash(origin);
    assert_got(&mut town, first_node, first);
    assert_got(&mut town, second_node, second);
}

#[test]
fn a_holder_that_comes_back_goes_on_serving() {
    let mut town = slow_town(7);
    let (origin, _) = holder(&mut town, "alice");
    town.world.run_for(SECOND);
    let (node, bob) = downloader(&mut town, "bob");
    until_stored(&mut town, bob, 5);
    town.world.crash(origin);
    town.world.run_for(5 * SECOND);
    let had = stored(&town, bob);
    guest(&mut town, origin, "alice", offer());
    assert_got(&mut town, node, bob);
    assert!(had < CHUNKS as u64);
}

#[test]
fn a_server_that_comes_back_hears_of_everything_again() {
    let mut town = slow_town(8);
    holder(&mut town, "alice");
    town.world.run_for(SECOND);
    let (node, bob) = downloader(&mut town, "bob");
    until_stored(&mut town, bob, 3);
    town.world.crash(town.server_node);
    town.world.run_for(SECOND);
    assert!(stored(&town, bob) > 3, "the transfer does not need the server");
    town.server = town.world.start(town.server_node, server_machine(town.addr, 1));
    town.world.run_for(SECOND);
    let (late_node, late) = downloader(&mut town, "carol");
    assert_got(&mut town, node, bob);
    assert_got(&mut town, late_node, late);
}

#[test]
fn a_full_disk_pauses_and_goes_on_when_there_is_room() {
    let mut town = slow_town(9);
    holder(&mut town, "alice");
    town.world.run_for(SECOND);
    let (node, bob) = downloader(&mut town, "bob");
    until_stored(&mut town, bob, 4);
    town.world.disk_mut(node).set_room(Some(0));
    town.world.run_for(60 * SECOND);
    assert!(town.world.is_running(bob), "it waits");
    town.world.disk_mut(node).set_room(None);
    assert_got(&mut town, node, bob);
}

#[test]
fn one_chunk_can_be_got_alone() {
    let mut town = Town::new(10);
    let (_, alice) = holder(&mut town, "alice");
    town.world.run_for(SECOND);
    let node = town.node();
    let only = Get { name: FILE.parse().unwrap(), chunk: Some(3), wait: 30 * SECOND, stay: Duration::ZERO };
    let bob = guest(&mut town, node, "bob", Orders { get: Some(only), ..Orders::default() });
    town.world.run_for(LOOK_PERIOD / 2);
    assert!(!town.world.is_running(bob), "it ends with the chunk, not with a look around");
    assert_eq!(town.report(bob).outcome, "complete");
    let (from, to) = (3 * (256 << 10), 4 * (256 << 10));
    let partial = town.world.disk(node).read(&format!("{FILE}.partial")).unwrap().to_vec();
    assert!(partial[from..to] == film()[from..to]);
    assert_eq!(peers(&town, alice).served_bytes(), 256 << 10);
}

#[test]
fn what_nobody_offers_is_given_up_with_a_reason() {
    let mut town = Town::new(11);
    let (_, bob) = downloader(&mut town, "bob");
    town.finish(&[bob]);
    let report = town.report(bob);
    assert_eq!(report.outcome, "failed");
    assert!(report.problems[0].contains("nobody has offered film.bin for 30s"), "{report:#?}");
}

#[test]
fn another_file_of_a_name_that_is_taken_is_refused_with_who_has_it() {
    let mut town = Town::new(12);
    holder(&mut town, "alice");
    town.world.run_for(SECOND);
    let node = town.node();
    town.world.disk_mut(node).write(&format!("own/{FILE}"), b"another film");
    let bob = guest(&mut town, node, "bob", offer());
    town.finish(&[bob]);
    let report = town.report(bob);
    assert!(report.problems[0].contains("alice"), "{report:#?}");
}

#[test]
fn a_file_that_is_none_is_refused_with_a_reason() {
    let mut town = Town::new(13);
    let node = town.node();
    let bob = guest(&mut town, node, "bob", offer());
    town.finish(&[bob]);
    let report = town.report(bob);
    assert!(report.problems[0].starts_with("film.bin cannot be offered: "), "{report:#?}");
}

#[test]
fn hundreds_of_files_are_offered_by_one_and_again_to_the_next_server() {
    let mut town = slow_town(17);
    let node = town.node();
    let mut orders = Orders::default();
    for number in 0..200 {
        let name = format!("f{number}.bin");
        // Hashes of 260 kB each: all of them at once would be too much for a link.
        let chunks = if number < 5 { Some(4000) } else { None };
        let bytes = if chunks.is_some() { vec![number as u8; 4000] } else { name.clone().into_bytes() };
        town.world.disk_mut(node).write(&name, &bytes);
        orders.offers.push(Offer { path: name.clone(), name: name.parse().unwrap(), chunks });
    }
    let alice = guest(&mut town, node, "alice", orders);
    town.world.run_for(60 * SECOND);
    assert!(
        peers(&town, alice).files().iter().all(|file| file.is_offered),
        "{:?}",
        town.report(alice).problems
    );
    town.world.crash(town.server_node);
    town.world.run_for(SECOND);
    town.server = town.world.start(town.server_node, server_machine(town.addr, 1));
    town.world.run_for(5 * SECOND);
    assert!(town.world.is_running(alice), "{:?}", town.report(alice).problems);
    let node = town.node();
    let get = Get { name: "f199.bin".parse().unwrap(), chunk: None, wait: 30 * SECOND, stay: Duration::ZERO };
    let bob = guest(&mut town, node, "bob", Orders { get: Some(get), ..Orders::default() });
    town.finish(&[bob]);
    assert_eq!(town.world.disk(node).read("f199.bin"), Some(&b"f199.bin"[..]));
}

#[test]
fn an_empty_file_is_whole_at_once() {
    let mut town = Town::new(14);
    let node = town.node();
    town.world.disk_mut(node).write(&format!("own/{FILE}"), b"");
    guest(&mut town, node, "alice", offer());
    town.world.run_for(SECOND);
    let (node, bob) = downloader(&mut town, "bob");
    town.finish(&[bob]);
    assert_eq!(town.report(bob).outcome, "complete");
    assert_eq!(town.world.disk(node).read(FILE), Some(&b""[..]));
}
