//! Stories of unfinished files that somebody else cuts or changes, in the simulator: what has its own name in the
//! end is the right file.

mod common;

use std::time::Duration;

use common::town::Town;
use tickmesh::proto::peer::{FileState, FileStatus, Get, GuestConfig, Offer, Orders, Peers};
use tickmesh::sim::{MachineId, NetConfig, NodeId, World};

const SECOND: Duration = Duration::from_secs(1);
const FILE: &str = "film.bin";
const PARTIAL: &str = "film.bin.partial";
const CHUNKS: u64 = 40;
const CHUNK_BYTES: usize = 2000;

fn film() -> Vec<u8> {
    let mut bytes = vec![0; CHUNKS as usize * CHUNK_BYTES];
    blake3::Hasher::new().update(b"film").finalize_xof().fill(&mut bytes);
    bytes
}

fn guest(town: &mut Town, orders: Orders, upload_limit: Option<u64>) -> (NodeId, MachineId) {
    let node = town.node();
    town.world.disk_mut(node).write("own", &film());
    let (server, group) = (town.addr, "lab".parse().unwrap());
    let config = GuestConfig { server, group, id: None, orders, upload_limit };
    (node, town.world.start(node, Box::new(Peers::guest(config))))
}

/// Somebody who has all of it, and sends ten chunks a second.
fn holder(town: &mut Town) -> (NodeId, MachineId) {
    let offer = Offer { path: "own".to_owned(), name: FILE.parse().unwrap(), chunks: Some(CHUNKS) };
    let holder = guest(town, Orders { offers: vec![offer], ..Orders::default() }, Some(20_000));
    town.world.run_for(SECOND);
    holder
}

fn downloader(town: &mut Town, stay: Duration) -> (NodeId, MachineId) {
    let get = Get { name: FILE.parse().unwrap(), chunk: None, wait: 60 * SECOND, stay };
    guest(town, Orders { get: Some(get), ..Orders::default() }, None)
}

fn status(world: &World, machine: MachineId) -> Option<FileStatus> {
    world.machine::<Peers>(machine).unwrap().files().pop()
}

fn until_stored(town: &mut Town, machine: MachineId, chunks: u64) {
    let stored = |world: &World| status(world, machine).is_some_and(|file| file.chunks_stored >= chunks);
    assert!(town.world.run_until(stored, 60 * SECOND), "{}", town.world.trace_tail());
}

fn assert_got(town: &Town, node: NodeId) {
    assert!(town.world.disk(node).read(FILE) == Some(&film()[..]), "the file is another");
}

fn town(seed: u64) -> Town {
    let mut town = Town::new(seed);
    town.world.set_net(NetConfig { bytes_per_second: 2_000_000, ..NetConfig::default() });
    town
}

#[test]
fn a_partial_that_is_cut_while_it_comes_is_mended() {
    let mut town = town(1);
    holder(&mut town);
    let bob = downloader(&mut town, Duration::ZERO);
    until_stored(&mut town, bob.1, CHUNKS / 2);
    town.world.disk_mut(bob.0).truncate(PARTIAL, 1000);
    town.finish(&[bob.1]);
    assert_eq!(town.report(bob.1).outcome, "complete");
    assert_got(&town, bob.0);
}

/// Whoever serves what it has so far finds out by what it sends.
#[test]
fn a_partial_that_changes_while_it_is_served_is_looked_at_again() {
    for (seed, cut) in [(2, true), (3, false)] {
        let mut town = town(seed);
        holder(&mut town);
        let bob = downloader(&mut town, 3600 * SECOND);
        until_stored(&mut town, bob.1, CHUNKS / 2);
        let disk = town.world.disk_mut(bob.0);
        match cut {
            true => disk.truncate(PARTIAL, 1000),
            false => disk.damage(PARTIAL, 0, &vec![0; CHUNKS as usize * CHUNK_BYTES]),
        }
        let carol = downloader(&mut town, Duration::ZERO);
        let whole = |world: &World| status(world, bob.1).is_some_and(|file| file.state == FileState::Whole);
        assert!(town.world.run_until(whole, 120 * SECOND), "{}", town.world.trace_tail());
        assert!(status(&town.world, bob.1).unwrap().refusals >= 1);
        assert_got(&town, bob.0);
        town.finish(&[carol.1]);
        assert_got(&town, carol.0);
    }
}
