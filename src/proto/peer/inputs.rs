//! What a driver tells the peers, handed on to the member whom it concerns. Decides nothing.

use crate::proto::ids::{FileId, LinkId};
use crate::proto::machine::{CloseReason, DownReason, Effect, FileOp, Input, Machine, Os, Tell, Why};
use crate::proto::peer::common::{Common, DialFor, FileFor, Listener, Timer, Whose};
use crate::proto::peer::member::Member;
use crate::proto::peer::{Peers, pack, serve};
use crate::proto::time::{Mono, Now};

impl Machine for Peers {
    fn handle_input(&mut self, input: Input<'_>, now: Now, os: &mut dyn Os) {
        let (common, members) = (&mut self.common, &mut self.members);
        match input {
            Input::Start => {
                common.started = now.mono;
                for member in members {
                    member.begin_offers(common, os);
                    member.dial_server(common, now, os);
                }
            }
            Input::Listening { addr } => self.on_listening(addr.port(), now, os),
            Input::ListenFailed { addr, error } => {
                common.listener = Listener::None;
                let why = format!("cannot listen for the other peers at {}: {}", addr.ip(), Why(error));
                members.iter_mut().for_each(|member| member.fail(&why, common, now, os));
            }
            Input::LinkUp { link, origin, local, remote } => {
                self.on_link_up(link, origin, (local, remote), now, os)
            }
            Input::DialFailed { dial, error } => match common.dials.remove(&dial) {
                Some(DialFor::Server(member)) => {
                    members[member as usize].on_server_down(&Why(error).to_string(), common, now, os);
                }
                Some(DialFor::Pair(member, other)) => {
                    members[member as usize].on_pair_dial_failed(
                        other,
                        dial,
                        &Why(error).to_string(),
                        common,
                        now,
                        os,
                    );
                }
                None => {}
            },
            Input::Received { link, bytes, at } => self.on_received(link, bytes, at, now, os),
            Input::Blocked { link } => self.set_blocked(link, true, now, os),
            Input::Drained { link } => self.set_blocked(link, false, now, os),
            Input::LinkDown { link, reason } => {
                let whose = common.sessions.get(link).map(|session| session.whose);
                if let (DownReason::FileFailed, Some(Whose::Pair(member, other))) = (reason, whose) {
                    members[member as usize].doubt(other, os);
                }
                self.on_link_down(link, &reason.to_string(), now, os);
            }
            Input::FileReady { file, moved, bytes } => {
                self.on_file(file, |member, whose, common| {
                    member.on_file_ready(whose, moved, bytes, common, now, os)
                });
            }
            Input::Hashed { file, offset, hash } => {
                self.on_file(file, |member, whose, common| {
                    if let FileFor::Item { item, .. } = whose {
                        member.on_item_hashed(item, (offset, hash), common, now, os);
                    }
                });
            }
            Input::Appended { file } => {
                self.on_file(file, |member, whose, common| member.on_file_appended(whose, common, now, os));
            }
            Input::Finished { file, moved } => {
                self.on_file(file, |member, whose, common| {
                    member.on_file_finished(whose, moved, common, now, os)
                });
            }
            Input::Read { file, offset, bytes } => {
                pack::on_read(members, common, (file, offset), bytes, now, os)
            }
            Input::FileFailed { file, op: FileOp::Read, offset, .. } => {
                pack::on_read(members, common, (file, offset), &[], now, os);
            }
            Input::FileFailed { file, op, error, .. } => {
                self.on_file(file, |member, whose, common| {
                    member.on_file_failed(whose, op, error, common, now, os)
                });
            }
            Input::Ended { .. }
            | Input::Stored { .. }
            | Input::StoreFailed { .. }
            | Input::Row { .. }
            | Input::Loaded { .. }
            | Input::LoadFailed { .. }
            | Input::SurveyFailed { .. }
            | Input::Measured { .. }
            | Input::Reload
            | Input::Report => {}
            Input::Surveyed { files, .. } => self.on_surveyed(files, now),
            Input::Presented { path, stamp } => self.on_presented(path, stamp, now),
            Input::Derived { job, key } => {
                members.iter_mut().for_each(|member| member.on_derived(job, key, common, os));
            }
            Input::Typed { bytes } => members.iter_mut().for_each(|member| member.on_typed(bytes)),
            Input::TypedEnd => members.iter_mut().for_each(Member::on_typed_end),
            Input::Shutdown => members.iter_mut().for_each(|member| member.interrupt(common, now, os)),
        }
        self.after_all(now, os);
    }

    fn handle_timeout(&mut self, now: Now, os: &mut dyn Os) {
        while let Some((_, timer)) = self.common.wheel.pop_due(now.mono) {
            self.on_timer(timer, now, os);
        }
        self.after_all(now, os);
    }

    fn poll_timeout(&self) -> Option<Mono> {
        self.common.wheel.next_deadline()
    }

    fn tell_figures(&self, tell: Tell<'_>) {
        self.common.door.tell_figures(tell);
    }

    fn check_invariants(&self) {
        self.members.iter().for_each(|member| member.check_invariants(&self.common));
        self.common.check_packing();
        let sessions = self.common.sessions.iter();
        self.common.door.check_invariants(sessions.filter_map(|(_, session)| session.from));
    }
}

impl Peers {
    fn on_listening(&mut self, port: u16, now: Now, os: &mut dyn Os) {
        self.common.listener = Listener::Ready(port);
        for member in &mut self.members {
            member.on_listener_ready(&mut self.common, now, os);
        }
    }

    /// Hands what became of a file to whom it concerns.
    fn on_file(&mut self, file: FileId, act: impl FnOnce(&mut Member, FileFor, &mut Common)) {
        if let Some(whose) = self.common.files.get(&file).copied() {
            act(&mut self.members[whose.member() as usize], whose, &mut self.common);
        }
    }

    fn on_timer(&mut self, timer: Timer, now: Now, os: &mut dyn Os) {
        let (common, members) = (&mut self.common, &mut self.members);
        match timer {
            Timer::Tick(member) => members[member as usize].on_tick(common, now, os),
            Timer::Flush(member) => members[member as usize].on_flush(common, now, os),
            Timer::Settle(member) => members[member as usize].on_settle(common, now, os),
            Timer::Redial(member) => members[member as usize].dial_server(common, now, os),
            Timer::Reply(member) => members[member as usize].on_reply_timeout(common, now, os),
            Timer::Share(member) => members[member as usize].look_around(common, now, os),
            Timer::Present(member) => members[member as usize].take_presented(common, now, os),
            Timer::Withdraw(member) => members[member as usize].withdraw_more(common, now, os),
            Timer::Shown(_) => {} // see `tend_talk`
            Timer::Serve => {
                common.packing.begin_turn();
                serve::serve(members, common, now, os);
            }
            Timer::Stranger(link) => self.close(link, CloseReason::Silent, "it said nothing", now, os),
        }
    }

    /// What comes of everything that happens.
    fn after_all(&mut self, now: Now, os: &mut dyn Os) {
        // Who talks is alone.
        if let [member] = &mut self.members[..] {
            member.tend_talk(&mut self.common, now, os);
        }
        self.exit_when_ended(os);
    }

    fn exit_when_ended(&mut self, os: &mut dyn Os) {
        if !self.exited && self.members.iter().all(Member::is_ended) {
            self.exited = true;
            os.perform(Effect::Exit);
        }
    }

    fn set_blocked(&mut self, link: LinkId, blocked: bool, now: Now, os: &mut dyn Os) {
        let Some(session) = self.common.sessions.get_mut(link) else { return };
        session.blocked = blocked;
        if let Whose::Server(member) = session.whose {
            self.members[member as usize].set_blocked(blocked);
        } else if !blocked && self.common.serving.is_held(link) {
            self.common.let_go(link);
            serve::serve(&mut self.members, &mut self.common, now, os);
        }
    }
}
