//! Tests of the simulator, and the toy machines that they run.
//!
//! - `links`: dials, windows, back-pressure, closing; `strangers`: clients by hand
//! - `time`: deadlines, clocks, lateness
//! - `files`: effects on files, and sending them; `late`: those that take their time
//! - `uploads`: fresh files, what is in a folder, and links that end in other ways
//! - `faults`: what a test can break; `seeds`: determinism and chaos

mod faults;
mod files;
mod late;
mod links;
mod seeds;
mod store;
mod strangers;
mod time;
mod toys;
mod uploads;
