//! The server and the yardstick, as processes: how they are started, and what they have cost so far.

use std::borrow::Cow;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tickmesh::io::Store;
use tickmesh::proto::accounts::{Password, SaltedPassword, Verifier};
use tickmesh::proto::machine::Change;

use crate::common::Running;
use crate::crowd::user;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_tickmesh");
pub const PASSWORD: &str = "open-sesame";

/// A process that others connect to.
pub struct Process {
    process: Running,
    pub addr: SocketAddr,
}

impl Process {
    /// Our server, with so many accounts.
    pub fn server(folder: &Path, accounts: usize) -> Process {
        let state = folder.join("state");
        fs::remove_dir_all(&state).ok();
        put_accounts(&state, accounts);
        let mut command = Command::new(PROGRAM);
        command.args(["server", "--listen", "127.0.0.1:0", "--links-per-address", "14576", "--log-file"]);
        command.arg(folder.join("server.log"));
        command.arg("--out").arg(folder.join("out")).arg("--state").arg(state);
        let (process, [addr]) = Running::server(&mut command);
        Process { process, addr }
    }

    /// `None` if it is not on PATH.
    pub fn redis(folder: &Path) -> Option<Process> {
        // It cannot choose a port itself.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let addr = free.expect("a free port");
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--maxclients", "12000"]);
        command.args(["--port", &addr.port().to_string()]).current_dir(folder).stdout(Stdio::null());
        let Ok(child) = command.spawn() else {
            println!("without redis-server: it is not on PATH");
            return None;
        };
        while TcpStream::connect(addr).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(Process { process: Running(child), addr })
    }

    /// Time on a processor, of all its threads.
    pub fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.0.id())).expect("it runs");
        tasks.flatten().map(|task| on_cpu(&task.path())).sum()
    }

    /// Time on a processor, of the thread that owns the loop.
    pub fn loop_cpu(&self) -> Duration {
        let pid = self.process.0.id();
        on_cpu(Path::new(&format!("/proc/{pid}/task/{pid}")))
    }

    /// Bytes of memory in use.
    pub fn rss(&self) -> u64 {
        self.process.memory_kib("VmRSS:") << 10
    }

    /// The most that ever were.
    pub fn rss_max(&self) -> u64 {
        self.process.memory_kib("VmHWM:") << 10
    }
}

/// The same as utime and stime together, in nanoseconds and not in hundredths of a second.
fn on_cpu(task: &Path) -> Duration {
    let line = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    let ns = line.split(' ').next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.unwrap_or(0))
}

const SALT: [u8; 16] = [7; 16];
const ITERATIONS: u32 = 4096;

/// The password as it is proved: the same for all, so that it is hashed once.
pub fn salted() -> SaltedPassword {
    Password::prepare(PASSWORD).expect("a password").salted(&SALT, ITERATIONS)
}

fn put_accounts(state: &Path, count: usize) {
    let verifier = Verifier::new(&salted(), SALT, ITERATIONS).to_string();
    let put = |number: usize| Change::PutAccount {
        name: user(number).parse().expect("a name"),
        verifier: Cow::Owned(verifier.clone()),
    };
    let mut store = Store::open(state).expect("a folder for accounts");
    store.apply(&(0..count).map(put).collect::<Vec<_>>()).expect("room for accounts");
}
