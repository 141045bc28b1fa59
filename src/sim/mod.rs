//! A fake operating system: runs machines in virtual time, on nodes with clocks and disks of their
//! own, over a network that can be slow, cut or hostile. The second driver, beside `io`.
//!
//! Everything follows from one seed: the same seed and the same test give the same trace, byte
//! for byte. It never touches the real system, never reads a clock, and never knows what the
//! bytes mean that it moves.
//!
//! # Map
//! - `world`: nodes, machines, the loop; `faults` and `chaos`: what goes wrong; `stranger`:
//!   clients driven by hand; `typing`: what users type; `operator`: what signals ask for.
//! - `kernel`: the state below the machines; `os`: carries out their effects; `files`: open files;
//!   `jobs`: what their disks do meanwhile;
//!   `dial`, `flow`, `ending`: how connections begin, move bytes and end.
//! - `node`, `clock`, `disk`, `net`: the parts; `queue`, `rng`, `trace`: the tools.
//!
//! # How a test uses it
//! ```
//! use std::time::Duration;
//! use tickmesh::sim::{NodeConfig, World};
//!
//! let mut world = World::new(7);
//! let alice = world.add_node(&NodeConfig::new([10, 0, 0, 1]));
//! world.run_for(Duration::from_secs(60));
//! assert!(world.disk(alice).is_empty());
//! ```
//! A node that was killed starts again with [`World::start`]; under [`Chaos`], by the machines that
//! [`World::on_restart`] makes.

mod chaos;
mod clock;
mod dial;
mod disk;
mod ending;
mod faults;
mod files;
mod flow;
mod jobs;
mod kernel;
mod net;
mod node;
mod operator;
mod os;
mod queue;
mod rng;
mod store;
mod stranger;
#[cfg(test)]
mod tests;
mod trace;
mod typing;
mod world;

use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use chaos::{Chaos, Fault, Restart};
pub use disk::Disk;
pub use net::{NetConfig, ReadRate};
pub use node::{Lateness, MachineId, NodeConfig, NodeId};
pub use rng::Rng;
pub use store::Store;
pub use stranger::{StrangerId, StrangerState};
pub use trace::Stats;
pub use world::World;

/// Tells the same story in one world for each seed.
///
/// # Panics
/// If the story does, with the seed that replays it and the end of the trace.
pub fn swarm(seeds: Range<u64>, story: impl Fn(&mut World)) {
    for seed in seeds {
        let mut world = World::new(seed);
        if let Err(cause) = catch_unwind(AssertUnwindSafe(|| story(&mut world))) {
            let now = world.now();
            panic!("seed {seed} failed at {now:?}: {}\n{}", message(&*cause), world.trace_tail());
        }
    }
}

fn message(cause: &(dyn Any + Send)) -> &str {
    let text = cause.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}
