//! The real program as a service: what it tells its manager, and the sockets that it is passed.

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{self, UnixDatagram};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use common::{PATIENCE, Running, finish, ready_line, start_command, tickmesh, wait_for};
use nix::sys::signal::Signal;
use nix::sys::stat::fstat;

/// What a service manager hears.
struct Ear(UnixDatagram);

impl Ear {
    fn in_folder(folder: &Path) -> Ear {
        Ear(UnixDatagram::bind(folder.join("notify")).unwrap())
    }

    /// The next word.
    fn word(&self) -> String {
        self.word_within(PATIENCE).expect("the program says nothing")
    }

    fn word_within(&self, timeout: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(timeout)).unwrap();
        let mut bytes = [0; 4096];
        let len = self.0.recv(&mut bytes).ok()?;
        Some(String::from_utf8(bytes[..len].to_vec()).unwrap())
    }

    /// The next word that is not about the watchdog.
    fn news(&self) -> String {
        std::iter::repeat_with(|| self.word()).find(|word| word != WATCHDOG).unwrap()
    }
}

const WATCHDOG: &str = "WATCHDOG=1\n";

fn service(folder: &Path, args: &str) -> Command {
    let mut command = tickmesh(folder, args);
    command.env("NOTIFY_SOCKET", folder.join("notify"));
    command
}

#[test]
fn ready_is_said_when_every_listener_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let ear = Ear::in_folder(folder.path());
    let args = "server --listen 127.0.0.1:0 --listen 127.0.0.1:0 --upload-listen 127.0.0.1:0 --grace 2h";
    let running = start_command(service(folder.path(), args)).unwrap();
    let word = ear.word();
    let status = word.strip_prefix("READY=1\nSTATUS=").unwrap_or_else(|| panic!("{word}"));
    let parts: Vec<&str> = status.trim_end().split(", ").collect();
    let kinds: Vec<&str> = parts.iter().map(|part| part.rsplit_once(' ').unwrap().0).collect();
    assert_eq!(kinds, ["listening mesh", "listening mesh", "listening upload"]);
    for part in parts {
        let addr: SocketAddr = part.rsplit_once(' ').unwrap().1.parse().unwrap();
        TcpStream::connect(addr).unwrap();
    }
    running.signal(Signal::SIGTERM);
    // Or the manager would kill it when its own patience is over.
    let expected = "STOPPING=1\nSTATUS=ending\nEXTEND_TIMEOUT_USEC=7205000000\n";
    assert_eq!(ear.word(), expected);
    assert!(finish(running).status.success());
    assert!(ear.word_within(Duration::from_millis(1)).is_none(), "nothing more");
}

#[test]
fn a_server_that_cannot_listen_is_never_ready() {
    let folder = tempfile::tempdir().unwrap();
    let ear = Ear::in_folder(folder.path());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let args = format!("server --listen 127.0.0.1:0 --listen {}", taken.local_addr().unwrap());
    let output = finish(start_command(service(folder.path(), &args)).unwrap());
    assert_eq!(output.status.code(), Some(1));
    assert!(ear.word_within(Duration::from_millis(1)).is_none());
}

#[test]
fn the_loop_itself_feeds_the_watchdog() {
    let folder = tempfile::tempdir().unwrap();
    let ear = Ear::in_folder(folder.path());
    let mut command = service(folder.path(), "server --listen 127.0.0.1:0");
    command.env("WATCHDOG_USEC", "40000").env_remove("WATCHDOG_PID");
    let running = start_command(command).unwrap();
    assert!(ear.news().starts_with("READY=1\n"));
    for _ in 0..5 {
        assert_eq!(ear.word(), WATCHDOG);
    }
    running.signal(Signal::SIGSTOP);
    let stat = format!("/proc/{}/stat", running.pid());
    wait_for("a program that is stopped", || {
        std::fs::read_to_string(&stat).unwrap().contains(") T ").then_some(())
    });
    // What it said before is still there.
    while ear.word_within(Duration::from_millis(1)).is_some() {}
    assert_eq!(ear.word_within(Duration::from_millis(500)), None, "a stuck loop says nothing");
    running.signal(Signal::SIGCONT);
    assert_eq!(ear.word(), WATCHDOG);
    running.signal(Signal::SIGTERM);
    assert!(ear.news().starts_with("STOPPING=1\n"));
    assert!(finish(running).status.success());
}

#[test]
fn the_watchdog_of_another_process_is_none_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let ear = Ear::in_folder(folder.path());
    let mut command = service(folder.path(), "server --listen 127.0.0.1:0");
    command.env("WATCHDOG_USEC", "2000").env("WATCHDOG_PID", std::process::id().to_string());
    let running = start_command(command).unwrap();
    assert!(ear.word().starts_with("READY=1\n"));
    assert_eq!(ear.word_within(Duration::from_millis(200)), None);
    drop(running);
}

#[test]
fn a_reload_begins_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let ear = Ear::in_folder(folder.path());
    let running = start_command(service(folder.path(), "server --listen 127.0.0.1:0")).unwrap();
    assert!(ear.word().starts_with("READY=1\n"));
    running.signal(Signal::SIGHUP);
    let word = ear.word();
    let at = word.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap_or_else(|| panic!("{word}"));
    assert!(at.trim_end().parse::<u64>().unwrap() > 0);
    assert_eq!(ear.word(), "READY=1\n");
    running.signal(Signal::SIGTERM);
    assert!(ear.word().starts_with("STOPPING=1\n"));
    assert!(finish(running).status.success());
}

#[test]
fn a_manager_may_have_a_name_that_is_no_path_or_not_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("tickmesh-test-{}", std::process::id());
    let addr = net::SocketAddr::from_abstract_name(&name).unwrap();
    let ear = Ear(UnixDatagram::bind_addr(&addr).unwrap());
    let mut command = tickmesh(folder.path(), "server --listen 127.0.0.1:0");
    command.env("NOTIFY_SOCKET", format!("@{name}"));
    let running = start_command(command).unwrap();
    assert!(ear.word().starts_with("READY=1\n"));
    drop(running);
    // Nobody reads there.
    let mut running = start_command(service(folder.path(), "server --listen 127.0.0.1:0")).unwrap();
    ready_line(&mut running);
    running.signal(Signal::SIGTERM);
    let output = finish(running);
    assert!(output.status.success());
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(log.matches("manager cannot be told").count(), 1, "{log}");
}

/// What the journal gets of standard error. `given`: that is the stream that the journal has given. The program is asked to
/// end when it is ready, if it ever is.
fn journal(folder: &Path, args: &str, given: bool) -> Vec<String> {
    let ear = Ear::in_folder(folder);
    let (journal, stderr) = net::UnixStream::pair().unwrap();
    let known = fstat(&stderr).unwrap();
    let inode = if given { known.st_ino } else { known.st_ino + 1 };
    let mut command = service(folder, args);
    // A variable that is no flag is a warning.
    command.env("JOURNAL_STREAM", format!("{}:{inode}", known.st_dev)).env("TICKMESH_PORT", "1");
    command.stdout(Stdio::null()).stderr(OwnedFd::from(stderr));
    let mut running = Running::of(command.spawn().unwrap());
    // With it goes our end of its standard error.
    drop(command);
    let ready = wait_for("a server that is ready or has ended", || {
        let word = ear.word_within(Duration::from_millis(10));
        (word.is_some() || running.has_ended()).then_some(word)
    });
    if ready.is_some() {
        running.signal(Signal::SIGTERM);
    }
    let lines = BufReader::new(journal).lines().map(Result::unwrap).collect();
    finish(running);
    std::fs::remove_file(folder.join("notify")).unwrap();
    lines
}

#[test]
fn lines_in_the_journal_have_the_weight_of_their_level() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let args = "server --listen 127.0.0.1:0 --log-level debug";
    let lines = journal(folder, args, true);
    for (weight, level) in [("<4>", "[WARN]"), ("<6>", "[INFO]"), ("<7>", "[DEBUG]")] {
        let (these, others): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.contains(level));
        assert!(!these.is_empty() && these.iter().all(|line| line.starts_with(weight)), "{lines:?}");
        assert!(others.iter().all(|line| !line.starts_with(weight)), "{lines:?}");
    }
    let lines = journal(folder, args, false);
    assert!(lines.iter().all(|line| line.starts_with("20")), "a file is no journal: {lines:?}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let args = format!("server --listen {}", taken.local_addr().unwrap());
    let lines = journal(folder, &args, true);
    assert!(lines.last().unwrap().starts_with("<3>tickmesh: cannot listen at "), "{lines:?}");
    std::fs::write(folder.join("t.toml"), "interval = \"5s\"\nloglevel = 1\n").unwrap();
    let lines = journal(folder, "server --config t.toml", true);
    assert!(lines.len() > 1 && lines.iter().all(|line| line.starts_with("<3>")), "{lines:?}");
}

/// The program with sockets as descriptors 3 and 4, as a service manager passes them. `names`: `LISTEN_FDNAMES`.
fn passed(folder: &Path, first: OwnedFd, second: Option<OwnedFd>, names: &str, args: &str) -> Running {
    let program = tickmesh(folder, args);
    // Its standard input and output are the sockets until the shell has moved them.
    let moves = if second.is_some() {
        "exec 3<&0 4<&1 0</dev/null 1>out.txt"
    } else {
        "exec 3<&0 0</dev/null 1>out.txt"
    };
    let count = if second.is_some() { 2 } else { 1 };
    let script =
        format!("{moves}; export LISTEN_PID=$$ LISTEN_FDS={count} LISTEN_FDNAMES={names}; exec \"$@\"");
    let mut command = Command::new("sh");
    command
        .args(["-c", &script, "sh"])
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(folder);
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("NOTIFY_SOCKET", folder.join("notify"));
    command.stdin(first).stderr(Stdio::piped());
    command.stdout(second.map_or_else(Stdio::null, Stdio::from));
    Running::of(command.spawn().unwrap())
}

fn refused(folder: &Path, first: OwnedFd, second: Option<OwnedFd>, names: &str, args: &str) -> String {
    let Output { status, stderr, .. } = finish(passed(folder, first, second, names, args));
    let text = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{text}");
    text
}

#[test]
fn who_connects_to_a_passed_socket_before_the_start_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let ear = Ear::in_folder(folder.path());
    let [mesh, upload] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [mesh_addr, upload_addr] = [&mesh, &upload].map(|listener| listener.local_addr().unwrap());
    let mut early = TcpStream::connect(mesh_addr).unwrap();
    early.write_all(b"HELLO early\n").unwrap();
    let uploader = TcpStream::connect(upload_addr).unwrap();
    let args = "server --upload-listen 127.0.0.1:1 --listen 127.0.0.1:2 --log-file log";
    let running = passed(folder.path(), mesh.into(), Some(upload.into()), "mesh:upload", args);
    let expected = format!("READY=1\nSTATUS=listening mesh {mesh_addr}, listening upload {upload_addr}\n");
    assert_eq!(ear.word(), expected);
    early.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut lines = BufReader::new(early).lines();
    let greeting = lines.next().unwrap().unwrap();
    assert!(greeting.contains("tickmesh"), "{greeting}");
    let answer = lines.next().unwrap().unwrap();
    assert!(answer.starts_with("OK HELLO early"), "{answer}");
    drop(uploader);
    running.signal(Signal::SIGTERM);
    assert!(finish(running).status.success());
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("listen addr=127.0.0.1:2 opened=no"), "{log}");
}

#[test]
fn what_is_passed_and_is_no_use_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let listener = || OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    let udp = OwnedFd::from(UdpSocket::bind("127.0.0.1:0").unwrap());
    let text = refused(folder, udp, Some(listener()), "mesh:tickmesh.socket", "server");
    assert!(text.contains("descriptor 3 (mesh): it is no TCP socket"), "{text}");
    assert!(text.contains(" (tickmesh.socket): FileDescriptorName= has to be mesh or upload"), "{text}");
    let text = refused(folder, listener(), None, "upload", "server --listen 127.0.0.1:0");
    assert!(text.contains("(upload): there is no drop box without --upload-listen"), "{text}");
    let args = "server --listen 127.0.0.1:0 --upload-listen 127.0.0.1:0";
    let text = refused(folder, listener(), Some(listener()), "upload:upload", args);
    assert!(text.contains("(upload): a drop box has one address"), "{text}");
    let file = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let text = refused(folder, file, None, "mesh", "server");
    assert!(text.contains("descriptor 3 (mesh): it is no socket"), "{text}");
    let unix = OwnedFd::from(net::UnixListener::bind(folder.join("socket")).unwrap());
    let text = refused(folder, unix, None, "mesh", "server");
    assert!(text.contains("descriptor 3 (mesh): it is no TCP socket"), "{text}");
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = OwnedFd::from(TcpStream::connect(peer.local_addr().unwrap()).unwrap());
    let text = refused(folder, connection, None, "mesh", "server");
    assert!(text.contains("descriptor 3 (mesh): it does not listen"), "{text}");
    let text = refused(folder, listener(), Some(listener()), "mesh", "server");
    assert!(text.contains("cannot use the sockets that were passed"), "{text}");
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tickmesh(folder.path(), "server --listen 127.0.0.1:0");
    command
        .env("LISTEN_PID", std::process::id().to_string())
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", "mesh");
    let mut running = start_command(command).unwrap();
    TcpStream::connect(ready_line(&mut running)).unwrap();
}
