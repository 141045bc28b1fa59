//! An evening: a server with accounts, users at consoles and in pipes, and people at plain connections.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Output;

use tempfile::TempDir;

use super::screen::Screen;
use super::{PATIENCE, ServerProcess, piped, run, server, text};

const USERS: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "eve"];

/// A server with accounts; the password of `alice` is `alices-word`.
pub struct Evening {
    pub dir: TempDir,
    pub server: ServerProcess,
}

impl Evening {
    pub fn new(args: &str) -> Evening {
        let dir = tempfile::tempdir().unwrap();
        let accounts: String = USERS.iter().map(|user| format!("{user} {user}s-word\n")).collect();
        fs::write(dir.path().join("credentials.txt"), accounts).unwrap();
        let made = run(dir.path(), "user import credentials.txt --state accounts");
        assert!(made.status.success(), "{}", text(&made.stderr));
        let server = server(dir.path(), &format!("--state accounts {args}"));
        Evening { dir, server }
    }

    /// The folder of a user's files.
    pub fn files(&self, user: &str) -> PathBuf {
        let folder = self.dir.path().join(format!("files_{user}"));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    pub fn args(&self, user: &str) -> String {
        let files = self.files(user);
        format!("console --server {} --user {user} --files {}", self.server.addr, files.display())
    }

    /// A console that waits for its password.
    pub fn begin(&self, user: &str) -> Screen {
        let mut screen = Screen::start(self.dir.path(), &self.args(user));
        screen.sees(&format!("Password for {user}: "));
        screen
    }

    /// A user at a console.
    pub fn console(&self, user: &str) -> Screen {
        let mut screen = self.begin(user);
        screen.press(&format!("{user}s-word\r"));
        screen.sees(&format!("{user}> "));
        screen
    }

    /// Somebody at `nc`.
    pub fn plain(&self) -> Plain {
        let stream = TcpStream::connect(self.server.addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut plain = Plain { lines: BufReader::new(stream) };
        assert!(plain.line().starts_with("TICKMESH 1 server "));
        plain
    }

    /// Runs commands in a pipe.
    pub fn script(&self, args: &str, commands: &str) -> Output {
        piped(self.dir.path(), args, commands)
    }
}

/// A connection that is typed into.
pub struct Plain {
    lines: BufReader<TcpStream>,
}

impl Plain {
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    pub fn types(&mut self, line: &str) {
        self.lines.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Types a line, and hears one that begins so.
    pub fn says(&mut self, line: &str, answer: &str) {
        self.types(line);
        self.hears(answer);
    }

    /// Waits for a line that begins so. Who else comes and goes meanwhile does not matter.
    pub fn hears(&mut self, start: &str) {
        let mut line = self.line();
        while !line.starts_with(start) && (line.starts_with("ONLINE ") || line.starts_with("OFFLINE ")) {
            line = self.line();
        }
        assert!(line.starts_with(start), "{line:?} and not {start:?}");
    }

    /// Lines, each with how its answer begins.
    pub fn tries(&mut self, lines: &[(&str, &str)]) {
        lines.iter().for_each(|(line, answer)| self.says(line, answer));
    }
}
