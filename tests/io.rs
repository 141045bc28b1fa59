//! The driver in a process of its own: signals, descriptors and disks that run out, and memory
//! that is not asked for. Each of these would disturb other tests in the same process, so a test
//! here starts this very program again for one ignored test, the part that does the work.

#![allow(clippy::needless_pass_by_value)] // inputs come as the border hands them over

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::low_level::raise;
use tickmesh::io::{Host, Reactor, RunEnd, Stats};
use tickmesh::proto::ids::FileId;
use tickmesh::proto::machine::{Effect, FileOp, Input, Machine, OpenMode, Os};
use tickmesh::proto::time::{Mono, Now};

/// Counts what each thread asks the allocator for.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: hands everything to the system's allocator, unchanged.
#[allow(unsafe_code)] // the trait is unsafe; there is no other way to see allocations
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's contract is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

type Act<S> = fn(&mut S, Option<Input<'_>>, &mut dyn Os);

/// A machine that is one function; `None` is its timeout, which comes every 10 ms.
struct Toy<S> {
    state: S,
    act: Act<S>,
    wake: Mono,
}

impl<S: 'static> Machine for Toy<S> {
    fn handle_input(&mut self, input: Input<'_>, _: Now, os: &mut dyn Os) {
        (self.act)(&mut self.state, Some(input), os);
    }

    fn handle_timeout(&mut self, now: Now, os: &mut dyn Os) {
        assert!(now.mono < Mono(0) + Duration::from_secs(120), "the test hangs");
        self.wake = now.mono + Duration::from_millis(10);
        (self.act)(&mut self.state, None, os);
    }

    fn poll_timeout(&self) -> Option<Mono> {
        Some(self.wake)
    }
}

fn toy<S>(state: S, act: Act<S>) -> Toy<S> {
    Toy { state, act, wake: Mono(0) }
}

fn run<S: 'static>(reactor: &mut Reactor, toy: &mut Toy<S>, root: &Path) -> (RunEnd, Stats) {
    let end = reactor.run(&mut [Host { machine: toy, root: root.to_owned() }]).unwrap();
    (end, reactor.stats().clone())
}

/// Set for a test that runs in a process of its own. Others do nothing, also if asked to run.
const ALONE: &str = "TICKMESH_TEST_ALONE";

fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

/// Runs one ignored test in a process of its own, below `wrapper`, if there is one.
fn alone(test: &str, wrapper: &[&str]) {
    let program = std::env::current_exe().unwrap();
    let mut words: Vec<&str> = wrapper.to_vec();
    words.extend([program.to_str().unwrap(), "--exact", test, "--ignored", "--nocapture"]);
    let output = Command::new(words[0]).args(&words[1..]).env(ALONE, "1").output().unwrap();
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_signal_asks_to_end_and_a_second_one_insists() {
    alone("part_signal", &[]);
    alone("part_two_signals", &[]);
}

#[test]
fn an_operator_speaks_by_signals() {
    alone("part_operator", &[]);
}

#[test]
#[ignore = "a part"]
fn part_operator() {
    if !is_alone() {
        return;
    }
    fn act(heard: &mut Vec<&str>, input: Option<Input<'_>>, os: &mut dyn Os) {
        match input {
            Some(Input::Start) => raise(SIGHUP).unwrap(),
            Some(Input::Reload) => {
                heard.push("reload");
                raise(SIGUSR1).unwrap();
            }
            Some(Input::Report) => heard.push("report"),
            Some(Input::Shutdown) => panic!("none of them asks to end"),
            None if heard.len() == 2 => os.perform(Effect::Exit),
            _ => {}
        }
    }
    let mut toy = toy(Vec::new(), act);
    let mut reactor = Reactor::new().unwrap();
    reactor.serve_signals().unwrap();
    let (end, _) = run(&mut reactor, &mut toy, Path::new("unused"));
    assert_eq!((end, toy.state), (RunEnd::Exited, vec!["reload", "report"]));
}

#[test]
#[ignore = "a part"]
fn part_signal() {
    if !is_alone() {
        return;
    }
    fn act(asked: &mut u32, input: Option<Input<'_>>, os: &mut dyn Os) {
        match input {
            Some(Input::Start) => raise(SIGTERM).unwrap(),
            Some(Input::Shutdown) => *asked += 1,
            None if *asked > 0 => os.perform(Effect::Exit),
            _ => {}
        }
    }
    let mut toy = toy(0, act);
    let (end, _) = run(&mut Reactor::new().unwrap(), &mut toy, Path::new("unused"));
    assert_eq!((end, toy.state), (RunEnd::Exited, 1));
}

#[test]
#[ignore = "a part"]
fn part_two_signals() {
    if !is_alone() {
        return;
    }
    fn act(asked: &mut u32, input: Option<Input<'_>>, _: &mut dyn Os) {
        match input {
            Some(Input::Start) => raise(SIGINT).unwrap(),
            Some(Input::Shutdown) => *asked += 1,
            // Those that come soon are one with the first.
            None if *asked > 0 => raise(SIGTERM).unwrap(),
            _ => {}
        }
    }
    let mut toy = toy(0, act);
    let (end, _) = run(&mut Reactor::new().unwrap(), &mut toy, Path::new("unused"));
    assert_eq!((end, toy.state), (RunEnd::Forced, 1));
}

#[test]
fn accepting_pauses_while_descriptors_are_out() {
    alone("part_descriptors", &[]);
}

#[test]
#[ignore = "a part"]
fn part_descriptors() {
    if !is_alone() {
        return;
    }
    #[derive(Default)]
    struct State {
        addr: Option<SocketAddr>,
        clients: Vec<TcpStream>,
        ups: usize,
        timeouts: u32,
    }
    fn limit(soft: u64) {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard).unwrap();
    }
    let act: Act<State> = |state, input, os| match input {
        Some(Input::Start) => os.perform(Effect::Listen { addr: state.addr.unwrap() }),
        Some(Input::Listening { addr }) => {
            // The kernel takes them in although nobody accepts.
            state.clients.extend((0..5).map(|_| TcpStream::connect(addr).unwrap()));
            limit(0);
        }
        Some(Input::LinkUp { .. }) => state.ups += 1,
        Some(_) => {}
        None => {
            state.timeouts += 1;
            match state.timeouts {
                30 => assert_eq!(state.ups, 0),
                31 => limit(1024),
                _ if state.ups == 5 => os.perform(Effect::Exit),
                _ => {}
            }
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let mut reactor = Reactor::new().unwrap();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert_eq!(soft, hard, "the reactor raises it");
    reactor.inherit(listener);
    let mut toy = toy(State { addr: Some(addr), ..State::default() }, act);
    let (_, stats) = run(&mut reactor, &mut toy, Path::new("unused"));
    assert_eq!((toy.state.ups, stats.accepts), (5, 5));
    // 200 ms each, not a loop that burns: 310 ms are two or three.
    assert!((1..=10).contains(&stats.accept_pauses), "{stats:?}");
    assert!(stats.turns < 1000, "{stats:?}");
}

#[test]
fn the_disk_works_when_descriptors_are_out() {
    alone("part_descriptors_of_the_disk", &[]);
}

#[test]
#[ignore = "a part"]
fn part_descriptors_of_the_disk() {
    if !is_alone() {
        return;
    }
    const FILE: FileId = FileId(1);
    let act: Act<u32> = |hashed, input, os| match input {
        Some(Input::Start) => {
            os.perform(Effect::Open { file: FILE, path: "file", mode: OpenMode::Existing, aside: "" });
        }
        Some(Input::FileReady { .. }) => {
            let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
            setrlimit(Resource::RLIMIT_NOFILE, 0, hard).unwrap();
            for offset in 0..2 {
                os.perform(Effect::Hash { file: FILE, offset, len: 1 });
            }
        }
        Some(Input::Hashed { .. }) => {
            *hashed += 1;
            if *hashed == 2 {
                os.perform(Effect::Exit);
            }
        }
        Some(input) => panic!("{input:?}"),
        None => {}
    };
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "12").unwrap();
    let mut toy = toy(0, act);
    run(&mut Reactor::new().unwrap(), &mut toy, dir.path());
    assert_eq!(toy.state, 2);
}

#[test]
fn a_full_disk_leaves_whole_rows() {
    alone("part_file_limit", &[]);
    let dir = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o size=8k none {} && exec \"$@\"", dir.path().display());
    let wrapper = ["unshare", "--mount", "sh", "-c", &mount, "sh"];
    // A file system of its own, that ends with the process; only root may make it.
    let may = Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").output();
    if !may.is_ok_and(|output| output.status.success()) {
        println!("skipped: a small tmpfs cannot be mounted here");
        return;
    }
    let env = format!("FULL_DISK={}", dir.path().display());
    alone("part_full_disk", &[&wrapper[..], &["env", &env]].concat());
}

/// Appends rows of 1000 bytes until one is refused; then the file must end with a whole one.
fn fill(root: &Path, errors: &[ErrorKind]) {
    const ROW: [u8; 1000] = [b'x'; 1000];
    const FILE: FileId = FileId(1);
    let act: Act<(u64, Option<ErrorKind>)> = |(rows, failed), input, os| match input {
        Some(Input::Start) => {
            os.perform(Effect::Open { file: FILE, path: "rows", mode: OpenMode::Named, aside: "old" });
        }
        Some(Input::FileReady { .. }) => os.perform(Effect::Append { file: FILE, bytes: &ROW }),
        Some(Input::Appended { .. }) => {
            *rows += 1;
            assert!(*rows < 100, "the disk is not full");
            os.perform(Effect::Append { file: FILE, bytes: &ROW });
        }
        Some(Input::FileFailed { op: FileOp::Append, error, .. }) => {
            *failed = Some(error);
            os.perform(Effect::Finish { file: FILE });
        }
        Some(Input::Finished { .. }) => os.perform(Effect::Exit),
        Some(input) => panic!("{input:?}"),
        None => {}
    };
    let mut toy = toy((0, None), act);
    run(&mut Reactor::new().unwrap(), &mut toy, root);
    let (rows, failed) = toy.state;
    assert!(rows > 0 && errors.contains(&failed.unwrap()), "{rows} {failed:?}");
    assert_eq!(fs::metadata(root.join("rows")).unwrap().len(), rows * 1000);
}

#[test]
#[ignore = "a part"]
fn part_file_limit() {
    if !is_alone() {
        return;
    }
    let caught = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGXFSZ, caught).unwrap();
    let root = tempfile::tempdir().unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 4500, 4500).unwrap();
    fill(root.path(), &[ErrorKind::FileTooLarge]);
}

#[test]
#[ignore = "a part"]
fn part_full_disk() {
    if !is_alone() {
        return;
    }
    let root = std::env::var_os("FULL_DISK").unwrap();
    fill(Path::new(&root), &[ErrorKind::StorageFull]);
}

#[test]
fn an_exchange_asks_for_no_memory() {
    const ROUNDS: u64 = 2000;
    #[derive(Default)]
    struct State {
        addr: Option<SocketAddr>,
        rounds: u64,
        first: u64,
        last: u64,
    }
    let act: Act<State> = |state, input, os| match input {
        Some(Input::Start) => os.perform(Effect::Listen { addr: state.addr.unwrap() }),
        Some(Input::Received { link, bytes, .. }) => {
            state.rounds += 1;
            match state.rounds {
                100 => state.first = ALLOCATIONS.get(),
                ROUNDS => state.last = ALLOCATIONS.get(),
                _ => {}
            }
            os.perform(Effect::Send { link, bytes });
        }
        Some(Input::LinkDown { .. }) => os.perform(Effect::Exit),
        _ => {}
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    #[allow(clippy::disallowed_methods)] // the other side of the wire is another program
    let client = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(addr).unwrap();
        let mut line = *b"TICK 12345 1763693580123456789 abcdefgh\n";
        for _ in 0..ROUNDS {
            stream.write_all(&line).unwrap();
            stream.read_exact(&mut line).unwrap();
        }
    });
    let mut reactor = Reactor::new().unwrap();
    reactor.inherit(listener);
    let mut toy = toy(State { addr: Some(addr), ..State::default() }, act);
    let (_, stats) = run(&mut reactor, &mut toy, Path::new("unused"));
    client.join().unwrap();
    assert!(toy.state.first > 0);
    assert_eq!(toy.state.last - toy.state.first, 0);
    assert!(stats.reads <= ROUNDS + 2 && stats.writes == ROUNDS, "{stats:?}");
}
