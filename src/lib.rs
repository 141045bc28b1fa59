#![doc = include_str!("ARCHITECTURE.md")]

pub mod app;
pub mod io;
pub mod proto;
pub mod sim;
