//! What machines of a node keep beyond their lives: rows in memory, and the errors that a test asks for.
//! Changes are made a while after they were asked for, as the seed has it; a process that is killed
//! takes those with it that are not made, and a power loss may take the last of the others too.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::net::IpAddr;

use crate::proto::ids::Name;
use crate::proto::machine::{Change, Load, Mail, Row};
use crate::proto::time::Wall;
use crate::sim::kernel::{Answer, Event, Kernel};
use crate::sim::node::MachineId;

/// The database of a node, as a test sees it. One that nothing was ever in is none at all.
#[derive(Clone, Debug, Default)]
pub struct Store {
    accounts: BTreeMap<Name, Account>,
    blocks: BTreeSet<(Name, Name)>,
    mail: BTreeMap<(Name, u64), Mail<'static>>,
    /// Counts changes by others than the machine, from 1.
    version: u64,
    failure: Option<ErrorKind>,
}

#[derive(Clone, Debug, Default)]
struct Account {
    verifier: String,
    mail_last: u64,
    login: Option<(Wall, IpAddr)>,
}

/// Something that a machine wants of its store.
#[derive(Debug)]
pub(super) enum Order {
    Store { batch: u64, changes: Vec<Change<'static>> },
    Load(Load),
}

/// How long an order takes at most.
const ORDER_NS: u64 = 2_000_000;

impl Store {
    /// Makes a change at once, as another program does.
    pub fn change(&mut self, change: &Change<'_>) {
        self.make(change.clone().into_owned());
        self.version += 1;
    }

    /// From now on every change and every look fails so, or succeeds again.
    pub fn fail(&mut self, error: Option<ErrorKind>) {
        self.failure = error;
    }

    /// Everything that waits for somebody, in the order of its numbers.
    pub fn mail_of(&self, to: Name) -> impl Iterator<Item = &Mail<'static>> {
        self.mail.range((to, 0)..=(to, u64::MAX)).map(|(_, mail)| mail)
    }

    /// Whether a user wants nothing of another.
    pub fn blocks(&self, user: Name, other: Name) -> bool {
        self.blocks.contains(&(user, other))
    }

    /// Nothing was ever in it: the node has none.
    fn is_none(&self) -> bool {
        self.version == 0 && self.accounts.is_empty() && self.blocks.is_empty() && self.mail.is_empty()
    }

    fn make(&mut self, change: Change<'static>) {
        match change {
            Change::PutAccount { name, verifier } => {
                self.accounts.entry(name).or_default().verifier = verifier.into_owned();
            }
            Change::RemoveAccount { name } => {
                self.accounts.remove(&name);
                self.blocks.retain(|(user, other)| *user != name && *other != name);
                self.mail.retain(|(to, _), _| *to != name);
            }
            Change::PutLogin { name, at, from } => {
                if let Some(account) = self.accounts.get_mut(&name) {
                    account.login = Some((at, from));
                }
            }
            Change::PutBlock { user, other } => drop(self.blocks.insert((user, other))),
            Change::RemoveBlock { user, other } => drop(self.blocks.remove(&(user, other))),
            Change::PutMail(mail) => {
                if let Some(account) = self.accounts.get_mut(&mail.to) {
                    account.mail_last = account.mail_last.max(mail.number);
                }
                self.mail.insert((mail.to, mail.number), mail);
            }
            Change::ReserveMail { to, upto } => {
                if let Some(account) = self.accounts.get_mut(&to) {
                    account.mail_last = account.mail_last.max(upto);
                }
            }
            Change::RemoveMail { to, first, last } => {
                self.mail.retain(|(user, number), _| *user != to || !(first..=last).contains(number));
            }
        }
    }

    fn read(&self, load: Load) -> (Vec<Row<'static>>, u64) {
        match load {
            // A version is never 0.
            Load::Book { known } if known == self.version + 1 => (Vec::new(), known),
            Load::Book { .. } => {
                let accounts = self.accounts.iter().map(|(name, account)| self.account_row(*name, account));
                let blocks =
                    self.blocks.iter().map(|(user, other)| Row::Block { user: *user, other: *other });
                (accounts.chain(blocks).collect(), self.version + 1)
            }
            Load::Mail { to, after, rows_max } => {
                let newer = self.mail_of(to).filter(|mail| mail.number > after);
                (newer.take(rows_max as usize).cloned().map(Row::Mail).collect(), 0)
            }
        }
    }

    fn account_row(&self, name: Name, account: &Account) -> Row<'static> {
        Row::Account {
            name,
            verifier: Cow::Owned(account.verifier.clone()),
            mail_last: account.mail_last,
            mail_count: self.mail_of(name).count() as u64,
            mail_bytes: self.mail_of(name).map(|mail| mail.text.len() as u64).sum(),
            login: account.login,
        }
    }
}

impl Kernel {
    pub(super) fn order(&mut self, machine: MachineId, order: Order) {
        let at_ns = self.now_ns + self.store_rng.below(ORDER_NS);
        let orders = &mut self.processes[machine.at()].orders;
        // One at a time, so that they are carried out in their order.
        orders.push_back(order);
        if orders.len() == 1 {
            self.queue.push(at_ns, Event::Store(machine));
        }
    }

    /// The next order of a machine is carried out, if it still runs.
    pub(super) fn on_store(&mut self, machine: MachineId) {
        let Some(order) = self.processes[machine.at()].orders.pop_front() else { return };
        let node = self.node_of(machine);
        let store = &mut self.nodes[node.at()].store;
        match (order, store.failure) {
            (Order::Store { batch, .. }, Some(error)) => {
                self.answer(machine, Answer::StoreFailed { batch, error })
            }
            (Order::Load(load), Some(error)) => self.answer(machine, Answer::LoadFailed { load, error }),
            (Order::Load(load), None) if store.is_none() => {
                self.answer(machine, Answer::LoadFailed { load, error: ErrorKind::NotFound });
            }
            (Order::Store { batch, changes }, None) => {
                changes.into_iter().for_each(|change| store.make(change));
                self.answer(machine, Answer::Stored { batch });
            }
            (Order::Load(load), None) => {
                let (rows, version) = store.read(load);
                rows.into_iter().for_each(|row| self.answer(machine, Answer::Row { row }));
                self.answer(machine, Answer::Loaded { load, version });
            }
        }
        if !self.processes[machine.at()].orders.is_empty() {
            let at_ns = self.now_ns + self.store_rng.below(ORDER_NS);
            self.queue.push(at_ns, Event::Store(machine));
        }
    }

    /// A machine exits: its process stays until all is stored.
    pub(super) fn end_orders(&mut self, machine: MachineId) {
        while !self.processes[machine.at()].orders.is_empty() {
            self.on_store(machine);
        }
    }

    /// A machine is killed: what is not carried out never is.
    pub(super) fn drop_orders(&mut self, machine: MachineId) {
        self.processes[machine.at()].orders = VecDeque::new();
    }
}
