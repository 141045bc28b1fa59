//! A folder with a server and a file to share, for the tests of `share`, `get` and `find`.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use super::{Running, ServerProcess, line, run, server, start, text};

pub const BYTES: usize = 2_000_000;
pub const CHUNKS: u64 = 20;
/// The whole film takes so long then that nothing is over before a test has looked.
pub const SLOW: &str = "--upload-limit 100kB/s";

/// A folder with a server, and a file to share.
pub struct Place {
    pub dir: TempDir,
    pub server: ServerProcess,
}

impl Place {
    pub fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let server = server(dir.path(), "");
        fs::write(dir.path().join("film.bin"), film()).unwrap();
        Place { dir, server }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn args(&self, args: &str) -> String {
        format!("{args} --server {}", self.server.addr)
    }

    pub fn start(&self, args: &str) -> Running {
        start(self.path(), &self.args(args))
    }

    pub fn run(&self, args: &str) -> Output {
        run(self.path(), &self.args(args))
    }

    /// Shares the film, and waits until that is known.
    pub fn share(&self, more: &str) -> Running {
        let mut running = self.start(&format!("share film.bin --chunks {CHUNKS} {more}"));
        assert_eq!(line(&mut running), "sharing film.bin (2.0 MB in 20 chunks)\n");
        running
    }

    pub fn assert_got(&self, path: &str) {
        assert!(fs::read(self.path().join(path)).unwrap() == film(), "{path} is another file");
    }
}

pub fn film() -> Vec<u8> {
    let mut bytes = vec![0; BYTES];
    blake3::Hasher::new().update(b"film").finalize_xof().fill(&mut bytes);
    bytes
}

pub fn json(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

pub fn last_json(output: &Output) -> Value {
    json(text(&output.stdout).lines().last().expect("there is an event"))
}

/// Waits until a `get --json` has some chunks; returns how many at least.
pub fn some_chunks(get: &mut Running) -> u64 {
    loop {
        let event = json(&line(get));
        assert_eq!(event["event"], "progress");
        let stored = event["chunks_stored"].as_u64().unwrap();
        if event["state"] == "fetching" && stored > 0 {
            return stored;
        }
    }
}

pub fn assert_fails(output: &Output, code: i32, expected: &str) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.starts_with("tickmesh: ") && said.contains(expected), "{said}");
    assert_eq!(said.lines().count(), 1, "said once: {said}");
}
