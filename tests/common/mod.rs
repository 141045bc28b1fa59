//! Starting the real program in a folder of its own, and reading what it leaves.
#![allow(dead_code)] // each test crate uses its part

pub mod console;
pub mod drop;
pub mod hall;
pub mod hand;
pub mod party;
pub mod place;
pub mod screen;
pub mod tap;
pub mod town;
pub mod yard;

use std::io::{BufRead, BufReader, Read, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, socket};
use tickmesh::proto::record::{TableFacts, read_table};

/// No step of a test takes longer on the slowest machine that we can think of.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The program, with its arguments, in `folder`.
pub fn tickmesh(folder: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickmesh"));
    command.current_dir(folder).args(args.split_whitespace()).stdin(Stdio::null());
    // Nothing that is kept beyond a run is kept outside that folder.
    command.env("XDG_STATE_HOME", folder.join("state"));
    command
}

/// The same command, started by another program that becomes it.
pub fn started_by(starter: &[&str], command: &Command) -> Command {
    let mut through = Command::new(starter[0]);
    through.args(&starter[1..]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => through.env(name, value),
            None => through.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        through.current_dir(folder);
    }
    through.stdin(Stdio::null());
    through
}

/// As a shell starts it: whoever runs the tests by `nohup` hands on that SIGHUP means nothing.
pub fn heeding_hangups(command: &Command) -> Command {
    started_by(&["env", "--default-signal=HUP"], command)
}

/// Runs it to its end.
pub fn run(folder: &Path, args: &str) -> Output {
    finish(start(folder, args))
}

/// The same, with that on its standard input.
pub fn piped(folder: &Path, args: &str, input: impl AsRef<[u8]>) -> Output {
    let mut command = tickmesh(folder, args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that has ended does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_ref());
    finish(Running::of(child))
}

/// Starts it, with its output caught.
pub fn start(folder: &Path, args: &str) -> Running {
    start_command(tickmesh(folder, args)).unwrap()
}

/// The same with any command.
pub fn start_command(mut command: Command) -> std::io::Result<Running> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    Ok(Running { child: Some(child) })
}

/// A process that does not outlive its test.
pub struct Running {
    child: Option<Child>,
}

impl Running {
    /// One that was started in another way.
    pub fn of(child: Child) -> Running {
        Running { child: Some(child) }
    }

    pub fn pid(&self) -> i32 {
        self.child.as_ref().unwrap().id() as i32
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).unwrap();
    }

    pub fn has_ended(&mut self) -> bool {
        self.child().try_wait().unwrap().is_some()
    }

    fn child(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits for the end of a process and what it printed.
pub fn finish(mut running: Running) -> Output {
    let deadline = now() + PATIENCE;
    let mut child = running.child.take().unwrap();
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let reader = reader(move || out.as_mut().map(read_all).unwrap_or_default());
    let errors = self::reader(move || err.as_mut().map(read_all).unwrap_or_default());
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if now() > deadline {
            let _ = child.kill();
            let stderr = errors.join().unwrap();
            panic!("it did not end; it said: {}", String::from_utf8_lossy(&stderr));
        }
        pause();
    };
    Output { status, stdout: reader.join().unwrap(), stderr: errors.join().unwrap() }
}

fn read_all(source: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = source.read_to_end(&mut bytes);
    bytes
}

/// A server on a port that the system chose, once it says that it is ready.
pub struct ServerProcess {
    pub running: Running,
    pub addr: SocketAddr,
}

pub fn server(folder: &Path, args: &str) -> ServerProcess {
    let mut running = start(folder, &format!("server --listen 127.0.0.1:0 {args}"));
    let addr = ready_line(&mut running);
    ServerProcess { running, addr }
}

/// An address at which nobody listens, and nobody else does as long as the first part is kept.
pub fn mute() -> (OwnedFd, SocketAddr) {
    let bound = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(bound.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    let addr: SockaddrIn = getsockname(bound.as_raw_fd()).unwrap();
    (bound, SocketAddr::from((addr.ip(), addr.port())))
}

/// The next line of its standard output.
pub fn line(running: &mut Running) -> String {
    let mut line = String::new();
    let stdout = running.child().stdout.as_mut().unwrap();
    BufReader::with_capacity(1, stdout).read_line(&mut line).unwrap();
    line
}

/// The address in the line that says that a server is ready.
pub fn ready_line(running: &mut Running) -> SocketAddr {
    let line = line(running);
    line.strip_prefix("listening mesh ").unwrap_or_else(|| panic!("{line:?}")).trim().parse().unwrap()
}

/// Waits until `met` gives something.
pub fn wait_for<T>(what: &str, mut met: impl FnMut() -> Option<T>) -> T {
    let deadline = now() + PATIENCE;
    loop {
        if let Some(found) = met() {
            return found;
        }
        assert!(now() < deadline, "waited in vain for {what}");
        pause();
    }
}

#[allow(clippy::disallowed_methods)] // a test waits for other processes
fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

#[allow(clippy::disallowed_methods)] // a test waits for other processes
fn now() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods)] // a test reads two pipes
fn reader(read: impl FnOnce() -> Vec<u8> + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(read)
}

pub fn table(path: &Path) -> TableFacts {
    let content = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    read_table(&content).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
