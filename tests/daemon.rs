//! A server as a daemon: the script in README as it stands there, and each thing that may be in the way of a start. Every
//! exit status and message is looked at.

mod common;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{finish, run, start_command, table, text, tickmesh, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown, geteuid};
use tempfile::TempDir;

const USUAL: &str = "--pid-file a.pid --log-file a.log";

/// A folder in which a daemon may run. It does not outlive its test.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Place {
        Place { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    /// Starts a daemon; what the command says.
    fn daemon(&self, args: &str) -> Output {
        run(self.path(), &format!("server --daemon {args}"))
    }

    /// Starts one that must come up at a port that the system chooses.
    fn up(&self, args: &str) -> SocketAddr {
        let output = self.daemon(&format!("--listen 127.0.0.1:0 {USUAL} {args}"));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "");
        let said = text(&output.stdout);
        let addr = said.strip_prefix("listening mesh ").unwrap_or_else(|| panic!("{said:?}"));
        addr.trim_end().parse().unwrap()
    }

    fn pid(&self) -> Option<Pid> {
        self.read("a.pid").trim().parse().ok().map(Pid::from_raw)
    }

    /// Waits until the daemon has ended and removed its pid file.
    fn stop(&self) {
        kill(self.pid().unwrap(), Signal::SIGTERM).unwrap();
        wait_for("the end of the daemon", || self.pid().is_none().then_some(()));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill(pid, Signal::SIGKILL);
        }
    }
}

fn assert_refused(output: &Output, code: i32, expected: &str) {
    assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), format!("tickmesh: {expected}\n"));
    assert_eq!(text(&output.stdout), "");
}

/// The first shell script in a section of README.
fn script(section: &str) -> String {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, rest) = readme.split_once(&format!("\n## {section}\n")).expect("README has that section");
    let (_, rest) = rest.split_once("\n```sh\n").expect("it has a script");
    rest.split_once("\n```\n").unwrap().0.to_owned()
}

#[test]
fn the_script_of_readme_does_what_it_says() {
    let place = Place::new();
    let program = tickmesh(place.path(), "");
    let bin = Path::new(program.get_program()).parent().unwrap();
    let usual = std::env::var_os("PATH").unwrap();
    let paths = [bin.to_owned()].into_iter().chain(std::env::split_paths(&usual));
    let mut shell = Command::new("sh");
    shell.args(["-eu", "-c", &script("Run it as a daemon")]).current_dir(place.path());
    shell.env("PATH", std::env::join_paths(paths).unwrap()).env("XDG_STATE_HOME", place.path().join("state"));
    let output = finish(start_command(shell).unwrap());
    let (said, log) = (text(&output.stdout), place.read("tickmesh.log"));
    assert!(output.status.success(), "{said}{}{log}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    assert!(said.contains("\n all  "), "the table of the peers: {said}");
    assert!(said.lines().last().unwrap().contains("[INFO] server ended members=3 "), "{said}");
    assert!(place.read("tickmesh.log.old").contains("] member joined "), "moved away with what is in it");
    assert!(log.contains("] log reopened"), "{log}");
    assert!(!place.path().join("tickmesh.pid").exists());
    assert_eq!(table(&place.path().join("out/serverTimeData.txt")).complete.unwrap().cause, None);
}

#[test]
fn a_daemon_has_left_everything_of_who_started_it() {
    let place = Place::new();
    let program = tickmesh(place.path(), "").get_program().to_owned();
    let mut shell = Command::new("sh");
    let args = format!("server --daemon --listen 127.0.0.1:0 {USUAL}");
    // If it kept the descriptor 9, or its standard output, this would not end.
    shell.args(["-c", &format!("\"$0\" {args} 9>&1")]).arg(program).current_dir(place.path());
    shell.env("XDG_STATE_HOME", place.path().join("state"));
    let output = finish(start_command(shell).unwrap());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let process = PathBuf::from(format!("/proc/{}", place.pid().unwrap()));
    let status = fs::read_to_string(process.join("status")).unwrap();
    assert!(status.contains("\nUmask:\t0027\n"), "{status}");
    // Behind the name: state, parent, group, session, terminal (proc_pid_stat(5)).
    let stat = fs::read_to_string(process.join("stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_eq!(fields[4], "0", "no terminal: {stat}");
    assert_ne!(fields[3], place.pid().unwrap().to_string(), "leads no session: {stat}");
    for fd in 0..3 {
        assert_eq!(fs::read_link(process.join(format!("fd/{fd}"))).unwrap(), Path::new("/dev/null"));
    }
    place.stop();
    assert!(!place.path().join("a.pid").exists());
}

#[test]
fn it_is_ready_only_when_every_listener_is() {
    let place = Place::new();
    let args = "--listen 127.0.0.1:0 --upload-listen 127.0.0.1:0 --upload-register";
    let output = place.daemon(&format!("--listen 127.0.0.1:0 {args} {USUAL}"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let mut kinds: Vec<&str> = Vec::new();
    for line in said.lines() {
        let [listening, kind, addr] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{said}") };
        assert_eq!(listening, "listening");
        TcpStream::connect(addr).unwrap();
        kinds.push(kind);
    }
    kinds.sort_unstable();
    assert_eq!(kinds, ["mesh", "mesh", "upload"]);
    place.stop();
}

#[test]
fn where_nobody_can_be_told_of_it_there_is_none() {
    let place = Place::new();
    let mut command = tickmesh(place.path(), &format!("server --daemon --listen 127.0.0.1:0 {USUAL}"));
    command.stdout(File::options().write(true).open("/dev/full").unwrap());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.starts_with("tickmesh: cannot write to standard output: "), "{said}");
    wait_for("the end of the daemon", || place.pid().is_none().then_some(()));
}

#[test]
fn a_second_start_names_who_runs_and_touches_nothing() {
    let place = Place::new();
    let addr = place.up("");
    let (pid, log) = (place.pid().unwrap(), place.read("a.log"));
    let expected = format!("another server runs already, with pid {pid} (so says a.pid)");
    assert_refused(&place.daemon(&format!("--listen {addr} {USUAL}")), 1, &expected);
    // One in the foreground too.
    let args = format!("server --listen 127.0.0.1:0 {USUAL}");
    assert_refused(&run(place.path(), &args), 1, &expected);
    assert_eq!((place.pid(), place.read("a.log")), (Some(pid), log));
    TcpStream::connect(addr).unwrap();
    place.stop();
}

#[test]
fn a_taken_port_is_told_and_nothing_is_left() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let why = |flag| {
        format!(
            "cannot listen at {addr}: somebody else is listening there; choose another address with {flag}"
        )
    };
    assert_refused(&place.daemon(&format!("--listen {addr} {USUAL}")), 1, &why("--listen"));
    let upload = format!("--listen 127.0.0.1:0 --upload-listen {addr} {USUAL}");
    assert_refused(&place.daemon(&upload), 1, &why("--upload-listen"));
    let log = place.read("a.log");
    assert!(log.contains(&format!("[ERROR] {}\n", why("--listen"))), "{log}");
    assert!(!place.path().join("a.pid").exists() && !place.path().join("out").exists());
}

#[test]
fn a_folder_and_a_log_are_one_servers() {
    let place = Place::new();
    let addr = place.up("--state one");
    let log = place.read("a.log");
    // By default both would write to out.
    let refused = run(place.path(), "server --listen 127.0.0.1:0 --state two");
    assert_refused(&refused, 1, "another server uses out; choose another folder with --out");
    let refused = place.daemon("--listen 127.0.0.1:0 --state two --out other --log-file a.log");
    assert_refused(&refused, 1, "another program logs into a.log; choose another file with --log-file");
    assert_eq!(place.read("a.log"), log);
    TcpStream::connect(addr).unwrap();
    place.stop();
    // The next one need not wait.
    place.up("--state one");
    place.stop();
}

#[test]
fn a_folder_of_uploads_is_one_servers() {
    let place = Place::new();
    let other = "server --listen 127.0.0.1:0 --state two";
    let output = place.daemon(&format!(
        "--listen 127.0.0.1:0 --upload-listen 127.0.0.1:0 --upload-dir in --state one {USUAL}"
    ));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for (args, folder, flag) in [
        ("--out other --upload-listen 127.0.0.1:0 --upload-dir in", "in", "--upload-dir"),
        ("--out other --upload-listen 127.0.0.1:0 --upload-dir out", "out", "--upload-dir"),
        ("--out in", "in", "--out"),
    ] {
        let why = format!("another server uses {folder}; choose another folder with {flag}");
        assert_refused(&run(place.path(), &format!("{other} {args}")), 1, &why);
    }
    place.stop();
}

#[test]
fn a_killed_daemon_is_followed_by_another() {
    let place = Place::new();
    let addr = place.up("");
    let killed = place.pid().unwrap();
    kill(killed, Signal::SIGKILL).unwrap();
    // The number stays, its lock does not: as soon as the process is gone, this works.
    let next = wait_for("the next one", || {
        let output = place.daemon(&format!("--listen {addr} {USUAL}"));
        output.status.success().then_some(place.pid().unwrap())
    });
    assert_ne!(next, killed);
    let log = place.read("a.log");
    let told = format!("[WARN] pid file of a server that did not end well taken over pid={killed}\n");
    assert!(log.contains(&told), "{log}");
    place.stop();
}

#[test]
fn folders_and_files_that_cannot_be_written_are_named() {
    let place = Place::new();
    // A file where a folder should be: that stops root as well.
    fs::write(place.path().join("occupied"), "").unwrap();
    let args = |more: &str| format!("--listen 127.0.0.1:0 {more}");
    let begins = |output: &Output, expected: &str| {
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with(&format!("tickmesh: {expected}")) && said.lines().count() == 1, "{said}");
        assert_eq!(text(&output.stdout), "");
    };
    let refused = |more: &str| place.daemon(&args(&format!("{USUAL} {more}")));
    begins(
        &refused("--out occupied/out"),
        "cannot write to occupied/out; choose another folder with --out: ",
    );
    begins(&refused("--state occupied/state"), "cannot use the accounts; --state names another folder: ");
    let uploads = "--upload-listen 127.0.0.1:0 --upload-dir occupied/uploads";
    begins(&refused(uploads), "cannot write to occupied/uploads; choose another folder with --upload-dir: ");
    let log = place.daemon(&args("--pid-file a.pid --log-file occupied/log"));
    begins(&log, "cannot log into occupied/log: ");
    let pid = place.daemon(&args("--pid-file occupied/pid --log-file a.log"));
    begins(&pid, "cannot use the pid file occupied/pid; choose another one with --pid-file: ");
    fs::write(place.path().join("letter"), "Dear Bob,\n").unwrap();
    let pid = place.daemon(&args("--pid-file letter --log-file a.log"));
    begins(&pid, "cannot use the pid file letter; choose another one with --pid-file: it has no pid in it");
    assert_eq!(place.read("letter"), "Dear Bob,\n");
    assert!(!place.path().join("a.pid").exists());
    let log = place.read("a.log");
    assert!(log.contains("[ERROR] cannot write to occupied/out; "), "{log}");
}

#[test]
fn without_a_log_a_daemon_is_wrong_usage() {
    let place = Place::new();
    let expected = "--daemon needs --log-file: without a terminal and a log nobody would hear of anything";
    assert_refused(&place.daemon("--listen 127.0.0.1:0"), 2, expected);
}

#[test]
fn root_serves_as_another_user() {
    let place = Place::new();
    if !geteuid().is_root() {
        let output = place.daemon(&format!("--listen 127.0.0.1:0 {USUAL} --user nobody"));
        assert_refused(&output, 1, "--user nobody is for root only: nobody else may become another user");
        return;
    }
    let nobody = User::from_name("nobody").unwrap().expect("each system has it");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o711)).unwrap();
    // Root may write here, and that user may not.
    let output = place.daemon(&format!("--listen 127.0.0.1:0 {USUAL} --user nobody"));
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("tickmesh: as the user nobody: cannot log into a.log: "), "{said}");
    let theirs = place.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(nobody.uid), Some(nobody.gid)).unwrap();
    let args = "--pid-file a.pid --log-file theirs/log --user nobody";
    let output = place.daemon(&format!("--listen 127.0.0.1:0 --out out {args}"));
    let expected = "tickmesh: as the user nobody: cannot write to out; choose another folder with --out: ";
    assert!(text(&output.stderr).starts_with(expected), "{}", text(&output.stderr));
    // Its folder is root's, so it cannot be removed by that user: it is emptied.
    assert_eq!(place.read("a.pid"), "");
    // A port that only root may bind, if there are such.
    let low = (600..1024).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap_or(0);
    let output =
        place.daemon(&format!("--listen 127.0.0.1:{low} --out theirs/out --state theirs/state {args}"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let status = fs::read_to_string(format!("/proc/{}/status", place.pid().unwrap())).unwrap();
    let (uid, gid) = (nobody.uid, nobody.gid);
    assert!(status.contains(&format!("\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")), "{status}");
    assert!(status.contains(&format!("\nGid:\t{gid}\t{gid}\t{gid}\t{gid}\n")), "{status}");
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
    assert!(!groups.split_whitespace().any(|group| group == "0"), "{status}");
    for file in ["theirs/log", "theirs/out", "theirs/state/tickmesh.db"] {
        assert_eq!(fs::metadata(place.path().join(file)).unwrap().uid(), uid.as_raw(), "{file}");
    }
    place.stop();
    assert_eq!(place.read("a.pid"), "");
    assert!(place.read("theirs/log").contains("server ended "));
}

#[test]
fn who_does_not_close_in_turn_makes_no_end_a_forced_one() {
    let place = Place::new();
    let server = common::server(place.path(), "--grace 1s");
    let mut guest = BufReader::new(TcpStream::connect(server.addr).unwrap());
    let mut said = String::new();
    guest.read_line(&mut said).unwrap();
    server.running.signal(Signal::SIGTERM);
    let output = finish(server.running);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    guest.read_line(&mut said).unwrap();
    assert!(said.ends_with("\nBYE the server stops\n"), "{said}");
}

#[test]
fn an_end_that_takes_too_long_is_an_end_by_force() {
    let place = Place::new();
    fs::write(place.path().join("credentials.txt"), "alice sesame\n").unwrap();
    assert!(run(place.path(), "user import credentials.txt --state people").status.success());
    let server = common::server(place.path(), "--state people --grace 300ms --log-file a.log");
    let mut guest = TcpStream::connect(server.addr).unwrap();
    // Another program has the database for itself.
    let db = rusqlite::Connection::open(place.path().join("people/tickmesh.db")).unwrap();
    db.execute_batch("BEGIN IMMEDIATE").unwrap();
    guest.write_all(b"login alice sesame\n").unwrap();
    let mut lines = BufReader::new(guest.try_clone().unwrap()).lines();
    let welcome = lines.find(|line| line.as_ref().unwrap().starts_with("OK login ")).unwrap();
    assert_eq!(welcome.unwrap(), "OK login alice 0");
    server.running.signal(Signal::SIGTERM);
    assert_eq!(lines.next().unwrap().unwrap(), "BYE the server stops");
    let output = finish(server.running);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.starts_with("tickmesh: ended by force, for --grace was over; "), "{said}");
    let log = place.read("a.log");
    assert!(
        log.contains("[ERROR] run end=Overdue undone: machines=0 links=0 disk_jobs=0 store_orders="),
        "{log}"
    );
    db.execute_batch("ROLLBACK").unwrap();
}
