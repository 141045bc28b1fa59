//! A server that writes down what it is told and what it does, in the order in which it happens: the one order that
//! lines of many links have. Changes nothing.

use std::collections::BTreeMap;

use tickmesh::proto::ids::{LinkId, Name};
use tickmesh::proto::machine::{Change, Effect, Input, Machine, Os, Row};
use tickmesh::proto::server::Server;
use tickmesh::proto::time::{Mono, Now};
use tickmesh::sim::{MachineId, World};

/// Something that has happened at the server.
#[derive(Clone, Debug)]
pub enum Told {
    /// A line goes out to somebody who has logged in.
    Sent { to: Name, line: String },
    /// The store is to change that.
    Stores { batch: u64, changes: Vec<Change<'static>> },
    /// It has, or has not.
    Stored { batch: u64, is_kept: bool },
    /// Mail is read back.
    Mail { to: Name, from: Name, text: String },
    /// A block is read at the start.
    Block { user: Name, other: Name },
}

pub struct Tapped {
    server: Server,
    told: Vec<Told>,
    users: BTreeMap<LinkId, Name>,
}

impl Tapped {
    pub fn new(server: Server) -> Tapped {
        Tapped { server, told: Vec::new(), users: BTreeMap::new() }
    }
}

/// All that has happened so far at that server, behind the first `known`.
pub fn told(world: &World, server: MachineId, known: usize) -> Vec<Told> {
    world.machine::<Tapped>(server).unwrap().told[known..].to_vec()
}

struct TapOs<'a> {
    os: &'a mut dyn Os,
    told: &'a mut Vec<Told>,
    users: &'a mut BTreeMap<LinkId, Name>,
}

impl Os for TapOs<'_> {
    fn perform(&mut self, effect: Effect<'_>) {
        match &effect {
            Effect::Send { link, bytes } => {
                for line in std::str::from_utf8(bytes).unwrap_or("").lines() {
                    if let Some(rest) = line.strip_prefix("OK login ") {
                        self.users.insert(*link, rest.split(' ').next().unwrap().parse().unwrap());
                    }
                    if let Some(to) = self.users.get(link) {
                        self.told.push(Told::Sent { to: *to, line: line.to_owned() });
                    }
                }
            }
            Effect::Store { batch, changes } => {
                let changes = changes.iter().map(|change| change.clone().into_owned()).collect();
                self.told.push(Told::Stores { batch: *batch, changes });
            }
            _ => {}
        }
        self.os.perform(effect);
    }
}

impl Machine for Tapped {
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os) {
        let Tapped { server, told, users } = self;
        match &input {
            Input::Stored { batch } => told.push(Told::Stored { batch: *batch, is_kept: true }),
            Input::StoreFailed { batch, .. } => told.push(Told::Stored { batch: *batch, is_kept: false }),
            Input::Row { row: Row::Mail(mail) } => {
                told.push(Told::Mail { to: mail.to, from: mail.from, text: mail.text.to_string() });
            }
            Input::Row { row: Row::Block { user, other } } => {
                told.push(Told::Block { user: *user, other: *other });
            }
            _ => {}
        }
        server.handle_input(input, now, &mut TapOs { os, told, users });
    }

    fn handle_timeout(&mut self, now: Now, os: &mut dyn Os) {
        let Tapped { server, told, users } = self;
        server.handle_timeout(now, &mut TapOs { os, told, users });
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.server.poll_timeout()
    }

    fn check_invariants(&self) {
        self.server.check_invariants();
    }
}
