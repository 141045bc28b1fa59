//! Stories of holders that are slow, silent, wrong or gone, in the simulator; and of what a careful user
//! asks about them.

mod common;

use std::time::Duration;

use common::town::Town;
use tickmesh::proto::peer::{Get, GuestConfig, Offer, Orders, Peers, PeersConfig, Trouble};
use tickmesh::sim::{MachineId, NetConfig, NodeId, ReadRate, World};

const SECOND: Duration = Duration::from_secs(1);
const FILE: &str = "film.bin";
const FILE_BYTES: usize = 80_000;
const CHUNKS: u64 = 40;

fn film() -> Vec<u8> {
    let mut bytes = vec![0; FILE_BYTES];
    blake3::Hasher::new().update(b"film").finalize_xof().fill(&mut bytes);
    bytes
}

fn guest(town: &mut Town, node: NodeId, orders: Orders, upload_limit: Option<u64>) -> MachineId {
    let (server, group) = (town.addr, "lab".parse().unwrap());
    town.world
        .start(node, Box::new(Peers::guest(GuestConfig { server, group, id: None, orders, upload_limit })))
}

fn offer(name: &str, chunks: Option<u64>) -> Offer {
    Offer { path: format!("own/{name}"), name: name.parse().unwrap(), chunks }
}

fn holder_with(town: &mut Town, upload_limit: Option<u64>) -> (NodeId, MachineId) {
    let node = town.node();
    town.world.disk_mut(node).write(&format!("own/{FILE}"), &film());
    let orders = Orders { offers: vec![offer(FILE, Some(CHUNKS))], ..Orders::default() };
    let machine = guest(town, node, orders, upload_limit);
    town.world.run_for(SECOND);
    assert!(peers(town, machine).files()[0].is_offered);
    (node, machine)
}

fn holder(town: &mut Town) -> (NodeId, MachineId) {
    holder_with(town, None)
}

fn get(chunk: Option<u64>) -> Orders {
    let (name, wait, stay) = (FILE.parse().unwrap(), 30 * SECOND, Duration::ZERO);
    Orders { get: Some(Get { name, chunk, wait, stay }), ..Orders::default() }
}

fn downloader(town: &mut Town) -> (NodeId, MachineId) {
    let node = town.node();
    (node, guest(town, node, get(None), None))
}

fn peers(town: &Town, machine: MachineId) -> &Peers {
    town.world.machine::<Peers>(machine).unwrap()
}

fn stored(world: &World, machine: MachineId) -> u64 {
    world.machine::<Peers>(machine).unwrap().files().first().map_or(0, |file| file.chunks_stored)
}

fn until_offered(town: &mut Town, machine: MachineId, files: usize) {
    for _ in 0..100 {
        town.world.run_for(Duration::from_millis(500));
        if peers(town, machine).files().iter().filter(|file| file.is_offered).count() == files {
            return;
        }
    }
    panic!("{:#?} {}", town.report(machine).problems, town.world.trace_tail());
}

fn until_stored(town: &mut Town, machine: MachineId, chunks: u64) {
    assert!(town.world.run_until(|world| stored(world, machine) >= chunks, 60 * SECOND));
}

fn assert_got(town: &mut Town, (node, machine): (NodeId, MachineId)) {
    town.finish(&[machine]);
    let report = town.report(machine);
    assert_eq!(report.outcome, "complete", "{report:#?}");
    assert!(town.world.disk(node).read(FILE) == Some(&film()[..]), "the file is another");
}

fn assert_failed(town: &mut Town, machine: MachineId, why: &str) {
    town.finish(&[machine]);
    let report = town.report(machine);
    assert_eq!(report.outcome, "failed");
    assert!(report.problems[0].contains(why), "{report:#?}");
}

/// A town whose network is so slow that things happen in the middle of a transfer.
fn slow_town(seed: u64) -> Town {
    let mut town = Town::new(seed);
    town.world.set_net(NetConfig { bytes_per_second: 50_000, window_bytes: 4096, ..NetConfig::default() });
    town
}

#[test]
fn a_holder_whose_every_chunk_is_wrong_is_given_up() {
    let mut town = slow_town(1);
    let (liar, _) = holder(&mut town);
    for chunk in 0..CHUNKS as usize {
        town.world.disk_mut(liar).damage(&format!("own/{FILE}"), chunk * 2000, b"wrong");
    }
    let bob = downloader(&mut town);
    let wrong = |world: &World| {
        let files = world.machine::<Peers>(bob.1).unwrap().files();
        files.iter().any(|file| file.accounts.wrong >= 2)
    };
    town.world.run_until(wrong, 10 * SECOND);
    holder(&mut town);
    assert_got(&mut town, bob);
    let file = &peers(&town, bob.1).files()[0];
    assert!((1..=3).contains(&file.accounts.wrong), "{file:?}");
    assert_eq!(file.bytes_fetched, FILE_BYTES as u64);
}

/// A file changes while it is shared: whoever got wrong bytes says so, and it is offered no more.
#[test]
fn a_file_that_changes_is_offered_no_more() {
    let mut town = slow_town(2);
    let (node, alice) = holder(&mut town);
    let bob = downloader(&mut town);
    until_stored(&mut town, bob.1, 5);
    for chunk in 0..CHUNKS as usize {
        town.world.disk_mut(node).damage(&format!("own/{FILE}"), chunk * 2000, b"new version");
    }
    assert_failed(&mut town, alice, "film.bin is not offered any more: it has changed since it was offered");
    assert_eq!(town.world.disk(bob.0).read(FILE), None);
    holder(&mut town);
    assert_got(&mut town, bob);
}

#[test]
fn a_file_that_shrinks_is_offered_no_more_and_the_others_are() {
    let mut town = slow_town(3);
    let node = town.node();
    for name in [FILE, "other.bin"] {
        town.world.disk_mut(node).write(&format!("own/{name}"), &film());
    }
    let offers = vec![offer(FILE, Some(CHUNKS)), offer("other.bin", None)];
    let alice = guest(&mut town, node, Orders { offers, ..Orders::default() }, None);
    town.world.run_for(SECOND);
    let bob = downloader(&mut town);
    until_stored(&mut town, bob.1, 5);
    town.world.disk_mut(node).truncate(&format!("own/{FILE}"), 1000);
    assert_failed(&mut town, bob.1, "nobody who holds the rest of film.bin has been there for 30s");
    assert!(town.world.is_running(alice));
    let files = peers(&town, alice).files();
    assert_eq!(files[0].trouble, Some(Trouble::Withdrawn("it is shorter than it was".to_owned())));
    assert_eq!((files[0].is_offered, files[1].is_offered), (false, true));
    // What Bob has goes on when somebody offers the file again.
    holder(&mut town);
    let bob = (bob.0, guest(&mut town, bob.0, get(None), None));
    assert_got(&mut town, bob);
    assert!(peers(&town, bob.1).files()[0].bytes_fetched < FILE_BYTES as u64);
}

/// Carol stops reading and sending: what was asked of her is asked of Alice.
#[test]
fn the_chunks_of_a_holder_that_stalls_go_to_others() {
    let mut town = slow_town(4);
    let (node, _) = holder(&mut town);
    holder(&mut town);
    let bob = downloader(&mut town);
    until_stored(&mut town, bob.1, 6);
    let asleep = town.world.now();
    town.world.stall(node, 300 * SECOND);
    assert_got(&mut town, bob);
    assert!(town.world.now() - asleep < 20 * SECOND, "nobody waits for it");
    assert!(peers(&town, bob.1).files()[0].accounts.repeated() > 0);
}

/// The only holder stalls: that is no reason to wait for ever.
#[test]
fn a_single_holder_that_stalls_is_left_in_the_end() {
    let mut town = slow_town(5);
    let (node, _) = holder(&mut town);
    let bob = downloader(&mut town);
    until_stored(&mut town, bob.1, 3);
    town.world.slow_reader(node, ReadRate::Nothing);
    town.world.stall(node, 3000 * SECOND);
    assert_failed(&mut town, bob.1, "nobody who holds the rest of film.bin");
    assert!(town.world.now() < 120 * SECOND);
}

#[test]
fn two_downloads_into_one_folder_do_not_mix() {
    let mut town = slow_town(6);
    holder(&mut town);
    let bob = downloader(&mut town);
    until_stored(&mut town, bob.1, 3);
    let second = guest(&mut town, bob.0, get(None), None);
    assert_failed(&mut town, second, "film.bin is being fetched into this folder by another program");
    // Machines of one host stop together here; as programs of their own they do not.
    town.finish(&[bob.1]);
    let again = guest(&mut town, bob.0, get(None), None);
    assert_got(&mut town, (bob.0, again));
    assert!(peers(&town, again).files()[0].bytes_fetched < FILE_BYTES as u64);
}

/// 200 bytes a second for chunks of 2000: ten seconds each, and two who wait. No link is given up for it.
#[test]
fn who_waits_behind_a_low_limit_keeps_its_link() {
    let mut town = Town::new(7);
    let (_, alice) = holder_with(&mut town, Some(200));
    let bob = downloader(&mut town);
    let carol = downloader(&mut town);
    let started = town.world.now();
    town.world.run_for(Duration::from_secs(100));
    let sent = peers(&town, alice).served_bytes();
    assert!((20_000..=22_100).contains(&sent), "{sent} bytes in 100 s");
    assert_got(&mut town, bob);
    assert_got(&mut town, carol);
    let took = (town.world.now() - started).as_secs() + 1;
    let sent = peers(&town, alice).served_bytes();
    assert!(sent <= 200 * took + 2100, "{sent} bytes in {took} s");
    assert_eq!(peers(&town, bob.1).files()[0].accounts.broken, 0);
    assert!(sent < 2 * FILE_BYTES as u64, "the two give each other what each has");
}

#[test]
fn a_chunk_that_is_none_is_refused_with_how_many_there_are() {
    let mut town = Town::new(8);
    holder(&mut town);
    let node = town.node();
    let bob = guest(&mut town, node, get(Some(CHUNKS)), None);
    assert_failed(&mut town, bob, "film.bin has 40 chunks, no chunk 41");
}

#[test]
fn chunk_counts_that_cannot_be_are_refused() {
    for chunks in [0, FILE_BYTES as u64 + 1, 39_999, u64::MAX] {
        let mut town = Town::new(9);
        let node = town.node();
        town.world.disk_mut(node).write(&format!("own/{FILE}"), &film());
        let orders = Orders { offers: vec![offer(FILE, Some(chunks))], ..Orders::default() };
        let alice = guest(&mut town, node, orders, None);
        assert_failed(&mut town, alice, "film.bin cannot be offered: ");
    }
}

#[test]
fn one_guest_offers_a_thousand_files() {
    let mut town = Town::new(10);
    let node = town.node();
    let names: Vec<String> = (0..1000).map(|number| format!("f{number}.bin")).collect();
    for name in &names {
        town.world.disk_mut(node).write(&format!("own/{name}"), &film()[..5000]);
    }
    let offers = names.iter().map(|name| offer(name, Some(5))).collect();
    let alice = guest(&mut town, node, Orders { offers, ..Orders::default() }, None);
    until_offered(&mut town, alice, 1000);
}

/// The hashes of all files together are more than a link takes at once; also when the server comes back.
#[test]
fn files_of_many_chunks_are_offered_one_after_the_other() {
    let mut town = Town::new(11);
    let node = town.node();
    let names: Vec<String> = (0..5).map(|number| format!("f{number}.bin")).collect();
    for name in &names {
        town.world.disk_mut(node).write(&format!("own/{name}"), &film()[..8192]);
    }
    let offers = names.iter().map(|name| offer(name, Some(8192))).collect();
    let alice = guest(&mut town, node, Orders { offers, ..Orders::default() }, None);
    until_offered(&mut town, alice, 5);
    town.world.reset_links(node, town.server_node);
    town.world.run_for(10 * SECOND);
    assert_eq!(town.report(alice).reconnects, 1);
}

/// Everybody has links to others who have nothing either; the one who has the file comes later.
#[test]
fn a_crowd_that_waits_finds_the_holder_that_comes_back() {
    let mut town = Town::new(12);
    let (node, _) = holder_with(&mut town, Some(1000));
    let crowd: Vec<_> = (0..40).map(|_| downloader(&mut town)).collect();
    town.world.run_for(3 * SECOND);
    town.world.crash(node);
    town.world.run_for(3 * SECOND);
    let orders = Orders { offers: vec![offer(FILE, Some(CHUNKS))], ..Orders::default() };
    guest(&mut town, node, orders, None);
    for bob in crowd {
        assert_got(&mut town, bob);
    }
}

/// A member whose run makes a record of many chunks.
fn runner(town: &mut Town, name: &str) -> (NodeId, MachineId) {
    let node = town.node();
    let config = PeersConfig {
        server: town.addr,
        group: "lab".parse().unwrap(),
        ids: vec![Some(name.parse().unwrap())],
        interval: Some(Duration::from_millis(1)),
        duration: Some(25 * SECOND),
        share_deadline: Some(60 * SECOND),
    };
    (node, town.world.start(node, Box::new(Peers::new(config))))
}

/// A record goes on from hand to hand when its owner dies, or is stopped, after it has given it to one.
#[test]
fn the_record_of_an_owner_that_is_gone_comes_from_those_who_have_it() {
    for (seed, stopped) in [(13, false), (14, true)] {
        let mut town = Town::new(seed);
        let alice = runner(&mut town, "alice");
        let others = ["bob", "carol", "dave"].map(|name| runner(&mut town, name));
        // Alice's links to all but Bob are slow; those between the others are not.
        town.world.run_for(24 * SECOND);
        let table = "client_alice_TimeData.txt";
        let copy = |name: &str| format!("client_{name}_received/{table}");
        let linked = |world: &World| {
            let begun = |(name, node): (&str, NodeId)| {
                let partial = format!("{}.partial", copy(name));
                world.disk(node).len(&partial).is_some() || world.disk(node).len(&copy(name)).is_some()
            };
            begun(("bob", others[0].0)) && begun(("carol", others[1].0)) && begun(("dave", others[2].0))
        };
        assert!(town.world.run_until(linked, 60 * SECOND));
        for (node, _) in &others[1..] {
            town.world.slow_link(*node, alice.0, ReadRate::BytesPerSecond(2000));
        }
        let bobs = copy("bob");
        assert!(town.world.run_until(|world| world.disk(others[0].0).len(&bobs).is_some(), 60 * SECOND));
        for (name, (node, _)) in ["carol", "dave"].iter().zip(&others[1..]) {
            assert_eq!(town.world.disk(*node).len(&copy(name)), None);
        }
        if stopped {
            town.world.shutdown(alice.0)
        } else {
            town.world.crash(alice.0)
        }
        town.finish(&others.map(|(_, machine)| machine));
        let whole = town.world.disk(alice.0).read(table).unwrap().to_vec();
        for (name, (node, machine)) in ["bob", "carol", "dave"].iter().zip(&others) {
            let got = town.world.disk(*node).read(&copy(name)) == Some(&whole[..]);
            assert!(got, "stopped={stopped}: {name} lacks the table: {:#?}", town.report(*machine).problems);
        }
    }
}
