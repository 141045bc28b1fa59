//! A folder with a server that takes uploads, and clients of that protocol: one in Python, written from the
//! protocol's description alone, and one by hand.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tickmesh::proto::machine::is_temp_name;

use super::{PATIENCE, Running, line, names, start_command, tickmesh, wait_for};

/// A drop box that runs, and all that it has.
pub struct DropPlace {
    pub dir: TempDir,
    pub server: Running,
    pub mesh: SocketAddr,
    pub addr: SocketAddr,
}

impl DropPlace {
    pub fn new(args: &str) -> DropPlace {
        let dir = tempfile::tempdir().unwrap();
        let (server, mesh, addr) = start(&dir, args);
        DropPlace { dir, server, mesh, addr }
    }

    /// Whatever became of the server: another one in the same folder.
    pub fn start_again(&mut self, args: &str) {
        (self.server, self.mesh, self.addr) = start(&self.dir, args);
    }

    pub fn folder(&self) -> PathBuf {
        self.dir.path().join("out/uploads")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("server.log")).unwrap()
    }

    /// Waits until the log says something of that.
    pub fn wait_for_log(&self, what: &str) -> String {
        let found = || self.log().lines().rev().find(|line| line.contains(what)).map(str::to_owned);
        wait_for(what, found)
    }

    /// What is whole, and what is not.
    pub fn files(&self) -> (Vec<String>, Vec<String>) {
        names(&self.folder()).into_iter().partition(|name| !is_temp_name(name))
    }

    pub fn connect(&self) -> TcpStream {
        let link = TcpStream::connect(self.addr).unwrap();
        link.set_read_timeout(Some(PATIENCE)).unwrap();
        link
    }

    /// Says a header; returns what comes until the end, or until there is a `go ahead`.
    pub fn header(&self, size: u64, name: &[u8]) -> (TcpStream, Vec<u8>) {
        let mut link = self.connect();
        link.write_all(&header(size, name)).unwrap();
        let mut answer = [0; 8];
        let mut came = 0;
        while came < answer.len() {
            match link.read(&mut answer[came..]) {
                Ok(0) | Err(_) => break,
                Ok(bytes) => came += bytes,
            }
        }
        (link, answer[..came].to_vec())
    }

    /// Uploads as it should be; the link was closed orderly.
    pub fn upload(&self, name: &str, content: &[u8]) {
        let (mut link, answer) = self.header(content.len() as u64, name.as_bytes());
        assert_eq!(answer, b"go ahead", "{}", self.log());
        link.write_all(content).unwrap();
        assert_eq!(ending(link), Ending::Orderly, "{}", self.log());
    }

    /// The program in Python, with the address and what it is to do.
    pub fn python(&self, args: &[&str]) -> Running {
        let program = self.dir.path().join("client.py");
        fs::write(&program, PYTHON).unwrap();
        let mut command = Command::new("python3");
        command.arg(program).args([self.addr.ip().to_string(), self.addr.port().to_string()]).args(args);
        start_command(command).unwrap()
    }
}

fn start(dir: &TempDir, args: &str) -> (Running, SocketAddr, SocketAddr) {
    let args = format!(
        "server --listen 127.0.0.1:0 --upload-listen 127.0.0.1:0 --log-file server.log --log-level debug {args}"
    );
    let mut server = start_command(tickmesh(dir.path(), &args)).unwrap();
    let (mesh, addr) = addresses(&mut server);
    (server, mesh, addr)
}

/// The addresses that a server prints when it is ready.
pub fn addresses(server: &mut Running) -> (SocketAddr, SocketAddr) {
    let mut addr = |kind: &str| {
        let line = line(server);
        let addr = line.strip_prefix(&format!("listening {kind} ")).unwrap_or_else(|| panic!("{line:?}"));
        addr.trim().parse().unwrap()
    };
    (addr("mesh"), addr("upload"))
}

/// What a client says first.
pub fn header(size: u64, name: impl AsRef<[u8]>) -> Vec<u8> {
    [&size.to_be_bytes()[..], name.as_ref()].concat()
}

/// How the other side ended a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Orderly,
    Reset,
    Never,
}

pub fn ending(mut link: TcpStream) -> Ending {
    let mut rest = [0; 64];
    match link.read(&mut rest) {
        Ok(0) => Ending::Orderly,
        Ok(_) => panic!("it says more than it should"),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ending::Never,
        Err(_) => Ending::Reset,
    }
}

/// Whether the program in Python can be run; a test that needs it is skipped with a word otherwise.
pub fn has_python() -> bool {
    let there = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: there is no python3");
    }
    there
}

pub fn sha256(path: &std::path::Path) -> String {
    let mut file = fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => break,
            bytes => hasher.update(&buffer[..bytes]),
        }
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a file look as if nobody had touched it for so long.
#[allow(clippy::disallowed_methods)] // the date of a file is the wall clock's
pub fn age(path: &std::path::Path, by: Duration) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::now() - by).unwrap();
}

/// A client of the protocol as its description has it: eight bytes and a name, `go ahead`, the file.
const PYTHON: &str = r#"
import hashlib, random, socket, struct, sys, threading, time

host, port, what = sys.argv[1], int(sys.argv[2]), sys.argv[3]
printing = threading.Lock()

def say(*words):
    with printing:
        print(*words, flush=True)

def pieces(name, size):
    """The content of a file, which depends on its name; no two pieces of it are the same."""
    block, number = random.Random(name).randbytes(1 << 20), 0
    while size > 0:
        piece = (struct.pack(">Q", number) + block[8:])[:size]
        yield piece
        size, number = size - len(piece), number + 1

def hash_of(name, size):
    whole = hashlib.sha256()
    for piece in pieces(name, size):
        whole.update(piece)
    return whole.hexdigest()

def begin(name, size):
    link = socket.create_connection((host, port))
    link.sendall(struct.pack(">Q", size) + name.encode("utf-8"))
    answer = b""
    while len(answer) < 8:
        more = link.recv(8 - len(answer))
        if not more:
            raise ConnectionError("refused")
        answer += more
    if answer != b"go ahead":
        raise ConnectionError("answered %r" % answer)
    return link

def upload(name, size, pause=0, wait=False):
    """With `wait` it says whether the other side has ended orderly; otherwise it just closes, as most do."""
    try:
        link = begin(name, size)
        for piece in pieces(name, size):
            link.sendall(piece)
            time.sleep(pause)
        ended = link.recv(1) if wait else b""
        link.close()
        say("done" if ended == b"" else "odd", name)
    except OSError as error:
        say("failed", name, error)

def die(name, size):
    link = begin(name, size)
    link.sendall(b"x" * (size // 2))
    link.close()

def together(targets):
    threads = [threading.Thread(target=target, args=args) for target, *args in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

if what == "files":
    for size in map(int, sys.argv[4:]):
        name = "file %d.bin" % size
        upload(name, size)
        say("hash", name, hash_of(name, size))
elif what == "crowd":
    silent = [socket.create_connection((host, port)) for _ in range(20)]
    files = [("crowd%d.bin" % number, 300_000 * number) for number in range(25)]
    together([(upload, name, size) for name, size in files] + [(die, "dead%d" % number, 1_000_000) for number in range(5)])
    for name, size in files:
        say("hash", name, hash_of(name, size))
elif what == "slow":
    files = [("slow%d.bin" % number, (1 + 3 * number) << 20) for number in range(20)]
    for name, size in files:
        say("hash", name, hash_of(name, size))
    together([(upload, name, size, 0.02, True) for name, size in files])
"#;
