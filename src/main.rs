//! Parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    tickmesh::app::main(std::env::args_os())
}
