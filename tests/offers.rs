//! Stories of guests that offer many files, in the simulator: what is refused, and what becomes of the others.

mod common;

use std::time::Duration;

use common::town::Town;
use tickmesh::proto::limits::ERRORS_MAX;
use tickmesh::proto::peer::{FileStatus, GuestConfig, Offer, Orders, Peers, Trouble};
use tickmesh::sim::{MachineId, NodeId, World};

const SECOND: Duration = Duration::from_secs(1);

/// A guest that offers files of these names, and of this content.
fn sharer(town: &mut Town, id: &str, names: &[String], content: &str) -> (NodeId, MachineId) {
    let node = town.node();
    for name in names {
        town.world.disk_mut(node).write(name, content.as_bytes());
    }
    let offer = |name: &String| Offer { path: name.clone(), name: name.parse().unwrap(), chunks: None };
    let orders = Orders { offers: names.iter().map(offer).collect(), ..Orders::default() };
    let (server, group, id) = (town.addr, "lab".parse().unwrap(), Some(id.parse().unwrap()));
    let config = GuestConfig { server, group, id, orders, upload_limit: None };
    (node, town.world.start(node, Box::new(Peers::guest(config))))
}

fn files(world: &World, machine: MachineId) -> Vec<FileStatus> {
    world.machine::<Peers>(machine).unwrap().files()
}

fn names(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| format!("f{number}.bin")).collect()
}

/// Names that others have are no fault, however many; nor does a file that cannot be read end anything.
#[test]
fn files_that_are_refused_do_not_keep_the_others_from_being_shared() {
    let mut town = Town::new(1);
    sharer(&mut town, "alice", &names(0..2 * ERRORS_MAX), "alice's");
    town.world.run_for(SECOND);
    let last = 2 * ERRORS_MAX + 2;
    let (node, bob) = sharer(&mut town, "bob", &names(0..last), "bob's");
    town.world.disk_mut(node).remove(&format!("f{}.bin", last - 1));
    town.world.run_for(5 * SECOND);
    let bobs = files(&town.world, bob);
    let offered: Vec<&str> =
        bobs.iter().filter(|file| file.is_offered).map(|file| file.name.as_str()).collect();
    assert_eq!(offered, [format!("f{}.bin", last - 2)]);
    let why = "another file is called f0.bin already; alice holds it; the same content in other chunks counts as another file";
    assert_eq!(bobs[0].trouble, Some(Trouble::Refused(why.to_owned())));
    let missing = bobs.last().unwrap().trouble.as_ref().unwrap().to_string();
    assert!(missing.starts_with("cannot be offered: ") && missing.contains("is gone"), "{missing}");
    assert!(town.world.is_running(bob), "one file is left to be shared");
    assert_eq!(town.world.machine::<Peers>(bob).unwrap().report().peers[0].reconnects, 0);
    town.world.shutdown(node);
    town.finish(&[bob]);
}

#[test]
fn who_has_nothing_left_to_share_ends() {
    let mut town = Town::new(2);
    sharer(&mut town, "alice", &names(0..2), "alice's");
    town.world.run_for(SECOND);
    let (_, bob) = sharer(&mut town, "bob", &names(0..2), "bob's");
    town.finish(&[bob]);
    assert_eq!(town.report(bob).outcome, "failed");
    assert!(files(&town.world, bob).iter().all(|file| file.trouble.is_some() && !file.is_offered));
}
