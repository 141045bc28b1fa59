//! Many seeds of uploaders at a drop box, on a bad network and bad disks: what each of them says of a file is true. A
//! failing seed is printed and replays.

use std::cell::Cell;
use std::time::Duration;

use tickmesh::proto::machine::Machine;
use tickmesh::proto::upload::{
    DropBox, DropBoxConfig, UploadConfig, UploadFile, UploadState, UploadStatus, Uploader,
};
use tickmesh::sim::{Chaos, Fault, MachineId, NetConfig, NodeConfig, NodeId, World, swarm};

/// Bytes of the files that each brings: nothing, little, and more than a slice or two.
const SIZES: [usize; 7] = [0, 1, 300_000, 524_288, 1_300_000, 0, 40_000];
const SEEDS: u64 = 256;
const UPLOADERS: u8 = 3;
const TIMEOUT: Duration = Duration::from_secs(5);
/// Everything is over by then.
const LIMIT: Duration = Duration::from_secs(600);

/// A drop box and some who bring files there.
struct Beach<'a> {
    world: &'a mut World,
    there: NodeId,
    uploaders: Vec<(NodeId, MachineId)>,
}

fn drop_box(listen: std::net::SocketAddr, life: u32) -> Box<dyn Machine> {
    Box::new(DropBox::new(DropBoxConfig {
        listen,
        file_bytes_max: 1 << 30,
        quota_bytes: 1 << 30,
        clients_max: 100,
        clients_per_address_max: 100,
        stall_timeout: TIMEOUT,
        present: false,
        first_tag: life << 16,
    }))
}

fn name(uploader: usize, place: usize) -> String {
    format!("{uploader}-{place}.bin")
}

fn content(uploader: usize, place: usize) -> Vec<u8> {
    let mut bytes = vec![0; SIZES[place]];
    blake3::Hasher::new().update(name(uploader, place).as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Sets everybody up in a world of the seed. Nothing has gone wrong yet.
fn beach(world: &mut World) -> Beach<'_> {
    let there = world.add_node(&NodeConfig::new([10, 0, 0, 1]));
    let to = world.addr(there, 12_000);
    world.start(there, drop_box(to, 0));
    let mut life = 0;
    world.on_restart(move |node, _| {
        life += 1;
        // An uploader that died is not started again.
        if node == there { vec![drop_box(to, life)] } else { Vec::new() }
    });
    world.run_for(Duration::from_millis(100));
    let mut uploaders = Vec::new();
    for number in 0..usize::from(UPLOADERS) {
        let node = world.add_node(&NodeConfig::new([10, 0, 1, number as u8]));
        let file =
            |place| UploadFile { path: format!("in/{}", name(number, place)), name: name(number, place) };
        for place in 0..SIZES.len() {
            world.disk_mut(node).write(&file(place).path, &content(number, place));
        }
        let files = (0..SIZES.len()).map(file).collect();
        let config = UploadConfig { to, files, jobs: number + 1, timeout: TIMEOUT };
        uploaders.push((node, world.start(node, Box::new(Uploader::new(config)))));
    }
    Beach { world, there, uploaders }
}

impl Beach<'_> {
    fn files(&self, uploader: usize) -> &[UploadStatus] {
        self.world.machine::<Uploader>(self.uploaders[uploader].1).unwrap().files()
    }

    fn run_to_the_end(&mut self) {
        let machines: Vec<MachineId> = self.uploaders.iter().map(|(_, machine)| *machine).collect();
        let ended = |world: &World| machines.iter().all(|machine| !world.is_running(*machine));
        assert!(self.world.run_until(ended, LIMIT), "somebody never ends");
        // What is still on its way to the disk there.
        self.world.run_for(Duration::from_secs(30));
    }

    /// What everybody says of each file is what is there. Returns how many files are done, and how many may be there.
    fn check(&self) -> (usize, usize) {
        let disk = self.world.disk(self.there);
        let (mut done, mut unknown) = (0, 0);
        for uploader in 0..self.uploaders.len() {
            for (place, file) in self.files(uploader).iter().enumerate() {
                let stored = disk.read(&file.name);
                match &file.state {
                    UploadState::Done => {
                        done += 1;
                        assert!(stored == Some(&content(uploader, place)), "{} is not there", file.name);
                    }
                    UploadState::Failed(trouble) if !trouble.may_be_stored() => {
                        assert!(stored.is_none(), "{} is there, although {trouble}", file.name);
                    }
                    UploadState::Failed(_) => unknown += 1,
                    // Its uploader was killed.
                    _ => {}
                }
                assert!(disk.read(&format!("{}.1", file.name)).is_none(), "{} is there twice", file.name);
            }
        }
        (done, unknown)
    }
}

#[test]
fn on_a_good_day_everything_arrives() {
    let mut world = World::new(1);
    let mut beach = beach(&mut world);
    beach.run_to_the_end();
    assert_eq!(beach.check(), (SIZES.len() * usize::from(UPLOADERS), 0));
}

#[test]
fn what_uploaders_say_is_true_whatever_happens() {
    let counts = Cell::new((0, 0));
    swarm(0..SEEDS, |world| {
        let (done, unknown) = play(world);
        counts.set((counts.get().0 + done, counts.get().1 + unknown));
    });
    let (done, unknown) = counts.get();
    let all = SEEDS as usize * SIZES.len() * usize::from(UPLOADERS);
    assert!(done * 3 > all, "of {all}, {done} are done, of {unknown} nobody knows");
    assert!((1..all / 20).contains(&unknown), "the hard cases occur, and are few: {unknown} of {all}");
}

fn play(world: &mut World) -> (usize, usize) {
    let seed = world.seed();
    let mut beach = beach(world);
    beach.world.set_net(NetConfig::rough());
    // An end that no program has said, as a HalfClose makes, would be a lie of the network.
    let faults = Fault::ALL.into_iter().filter(|fault| *fault != Fault::HalfClose).collect();
    let nodes = beach.uploaders.iter().map(|(node, _)| *node).chain([beach.there]).collect();
    beach.world.unleash(Chaos {
        nodes,
        faults,
        period: Duration::from_millis(300),
        time: Duration::from_secs(5),
        outage_max: Duration::from_secs(2),
    });
    // Somebody has enough of it.
    beach.world.run_for(Duration::from_millis(10 * (seed % 200)));
    let (impatient, _) = beach.uploaders[0];
    beach.world.shutdown(impatient);
    beach.run_to_the_end();
    beach.check()
}
