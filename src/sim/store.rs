//! What machines of a node keep beyond their lives: rows in memory, and the errors that a test asks for.
//! Changes are made a while after they were asked for, as the seed has it; a process that is killed
//! takes those with it that are not made, and a power loss may take the last of the others too.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::net::IpAddr;

use crate::proto::ids::Name;
use crate::proto::limits::LOGINS_KEPT_MAX;
use crate::proto::machine::{Change, KeptFile, Load, Login, Mail, Row};
use crate::proto::time::Wall;
use crate::sim::kernel::{Answer, Event, Kernel};
use crate::sim::node::MachineId;
use crate::sim::rng::Rng;

/// The database of a node, as a test sees it. One that nothing was ever in is none at all.
#[derive(Debug, Default)]
pub struct Store {
    rows: Rows,
    /// What a power loss spares.
    synced: Rows,
    /// Batches of changes behind that, in order: of these it spares the first ones, as many as it likes.
    unsynced: VecDeque<Vec<Change<'static>>>,
    /// Counts changes by others than the machine, from 1.
    version: u64,
    failure: Option<ErrorKind>,
}

/// What is in it.
#[derive(Clone, Debug, Default)]
struct Rows {
    accounts: BTreeMap<Name, Account>,
    blocks: BTreeSet<(Name, Name)>,
    mail: BTreeMap<(Name, u64), Mail<'static>>,
    /// By group and name: the file, and who holds something of it.
    files: BTreeMap<(Name, String), (KeptFile<'static>, BTreeSet<Name>)>,
}

#[derive(Clone, Debug, Default)]
struct Account {
    verifier: String,
    mail_last: u64,
    login: Option<(Wall, IpAddr)>,
    logins: Vec<Login>,
}

/// Something that a machine wants of its store.
#[derive(Debug)]
pub(super) enum Order {
    Store { batch: u64, changes: Vec<Change<'static>> },
    Load(Load),
}

/// How long an order takes at most.
const ORDER_NS: u64 = 2_000_000;
/// Batches that a power loss may take.
const UNSYNCED_MAX: usize = 32;

impl Store {
    /// Makes a change at once, as another program does; it is on disk when that has ended, with all before it.
    pub fn change(&mut self, change: &Change<'_>) {
        self.rows.make(change.clone().into_owned());
        self.version += 1;
        self.synced = self.rows.clone();
        self.unsynced.clear();
    }

    /// From now on every change and every look fails so, or succeeds again.
    pub fn fail(&mut self, error: Option<ErrorKind>) {
        self.failure = error;
    }

    /// Everything that waits for somebody, in the order of its numbers.
    pub fn mail_of(&self, to: Name) -> impl Iterator<Item = &Mail<'static>> {
        self.rows.mail_of(to)
    }

    /// Whether a user wants nothing of another.
    pub fn blocks(&self, user: Name, other: Name) -> bool {
        self.rows.blocks.contains(&(user, other))
    }

    /// Who holds something of a file.
    pub fn holders(&self, group: Name, file: &str) -> impl Iterator<Item = &Name> {
        self.rows.files.get(&(group, file.to_owned())).into_iter().flat_map(|(_, users)| users)
    }

    /// The logins of an account, and those that were refused, the last one first.
    pub fn logins(&self, name: Name) -> impl Iterator<Item = &Login> {
        self.rows.logins(name)
    }

    /// Nothing was ever in it: the node has none.
    fn is_none(&self) -> bool {
        self.version == 0 && self.rows.is_empty()
    }

    fn make_all(&mut self, changes: Vec<Change<'static>>) {
        changes.iter().cloned().for_each(|change| self.rows.make(change));
        self.unsynced.push_back(changes);
        if self.unsynced.len() > UNSYNCED_MAX {
            let oldest = self.unsynced.pop_front().into_iter().flatten();
            oldest.for_each(|change| self.synced.make(change));
        }
    }

    pub(super) fn lose_power(&mut self, rng: &mut Rng) {
        let spared = rng.index(self.unsynced.len() + 1);
        let spared = self.unsynced.drain(..).take(spared).flatten();
        spared.for_each(|change| self.synced.make(change));
        self.rows = self.synced.clone();
    }

    fn read(&self, load: Load) -> (Vec<Row<'static>>, u64) {
        let version = self.version + 1;
        match load {
            // A version is never 0.
            Load::Accounts { known, .. } if known == version => (Vec::new(), known),
            Load::Book | Load::Accounts { .. } => (self.rows.read(load), version),
            Load::Ties { .. } | Load::Logins { .. } | Load::Mail { .. } => (self.rows.read(load), 0),
        }
    }
}

impl Rows {
    fn is_empty(&self) -> bool {
        let Rows { accounts, blocks, mail, files } = self;
        accounts.is_empty() && blocks.is_empty() && mail.is_empty() && files.is_empty()
    }

    fn mail_of(&self, to: Name) -> impl Iterator<Item = &Mail<'static>> {
        self.mail.range((to, 0)..=(to, u64::MAX)).map(|(_, mail)| mail)
    }

    fn logins(&self, name: Name) -> impl Iterator<Item = &Login> {
        self.accounts.get(&name).into_iter().flat_map(|account| account.logins.iter().rev())
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
                self.files.retain(|_, (_, users)| !users.remove(&name) || !users.is_empty());
            }
            Change::PutLogin { name, login } => {
                if let Some(account) = self.accounts.get_mut(&name) {
                    account.put_login(login);
                }
            }
            // Another program may have removed the account meanwhile.
            Change::PutHolding { user, .. } if !self.accounts.contains_key(&user) => {}
            Change::PutHolding { file, user } => {
                let place = (file.group, file.name.to_string());
                let (kept, users) = self.files.entry(place).or_insert((file.clone(), BTreeSet::new()));
                *kept = file;
                users.insert(user);
            }
            Change::RemoveHolding { group, file, user } => {
                let place = (group, file.into_owned());
                if let Some((_, users)) = self.files.get_mut(&place) {
                    users.remove(&user);
                    if users.is_empty() {
                        self.files.remove(&place);
                    }
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

    fn read(&self, load: Load) -> Vec<Row<'static>> {
        match load {
            Load::Book => {
                let accounts = self.accounts.iter().map(|(name, account)| self.account_row(*name, account));
                accounts.chain(self.ties(|_| true)).collect()
            }
            Load::Ties { name } => self.ties(|of| *of == name).collect(),
            Load::Accounts { after, rows_max, .. } => {
                let accounts = self.accounts.iter().filter(|(name, _)| is_behind(name, after));
                let rows = accounts.map(|(name, account)| self.account_row(*name, account));
                rows.take(rows_max as usize).collect()
            }
            Load::Logins { name } => self.logins(name).map(|login| Row::Login(*login)).collect(),
            Load::Mail { to, after, rows_max } => {
                let newer = self.mail_of(to).filter(|mail| mail.number > after);
                newer.take(rows_max as usize).cloned().map(Row::Mail).collect()
            }
        }
    }

    /// Blocks in which one of the two is such a user, then what such users hold of files.
    fn ties(&self, is_meant: impl Fn(&Name) -> bool + Copy) -> impl Iterator<Item = Row<'static>> {
        let blocks = self.blocks.iter().filter(move |(user, other)| is_meant(user) || is_meant(other));
        let blocks = blocks.map(|(user, other)| Row::Block { user: *user, other: *other });
        let holdings = self.files.values().flat_map(move |(file, users)| {
            let users = users.iter().filter(move |user| is_meant(user));
            users.map(|user| Row::Holding { file: file.clone(), user: *user })
        });
        blocks.chain(holdings)
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

impl Account {
    fn put_login(&mut self, login: Login) {
        if !login.is_refused {
            self.login = Some((login.at, login.from));
        }
        self.logins.push(login);
        let is_same = |other: &Login| other.is_refused == login.is_refused;
        if self.logins.iter().filter(|other| is_same(other)).count() > LOGINS_KEPT_MAX as usize {
            let oldest = self.logins.iter().position(is_same).expect("there are many");
            self.logins.remove(oldest);
        }
    }
}

fn is_behind(name: &Name, after: Option<Name>) -> bool {
    let has_letter = name.as_bytes().iter().any(|byte| !byte.is_ascii_digit());
    has_letter && after.is_none_or(|after| *name > after)
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
                store.make_all(changes);
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
