//! Several hosts, one lease object, and everything between them that may go wrong: clocks that run
//! at other rates, delays, lost answers, processes that stand still or die. Whatever happens, a
//! change arrives only while the lease object is still that of the mount which sent it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use proptest::prelude::*;

use super::super::Term;
use super::super::holder::{Holder, Leave};
use super::super::watch::{Verdict, Watch};
use crate::base::jitter::Jitter;

const TERM: Term = Term {
    term: Duration::from_mins(3),
    timeout: Duration::from_mins(1),
};
/// The length of a run.
const END: Duration = Duration::from_hours(2);
/// Rates of clocks in thousandths: less than two between the slowest and the fastest.
const RATES: std::ops::RangeInclusive<u32> = 720..=1400;

type Version = u64;

/// The lease object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Object {
    mount: u64,
    counter: u64,
    version: Version,
}

#[derive(Clone, Copy, Debug)]
enum Request {
    Look,
    /// With the version that is replaced; without, there must be none.
    Write {
        counter: u64,
        replaces: Option<Version>,
    },
    Change,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Found(Option<Object>),
    Written(Object),
    Refused,
    Lost,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Act(usize),
    Arrive(usize, u64, Request),
    Answered(usize, u64, Answer),
}

#[derive(Debug)]
struct Host {
    rate: u32,
    /// Another after each crash and each loss, as another mount has another.
    mount: u64,
    stands_still_until: Duration,
    holder: Option<Holder>,
    version: Option<Version>,
    watch: Watch<Version>,
    /// A request about the lease is under way: when it was sent, by the host's clock, and with
    /// which counter.
    asking: Option<(Duration, u64)>,
    /// Sent to take the lease, fate unknown: counter and when.
    claims: Vec<(u64, Duration)>,
    counter: u64,
}

#[derive(Debug, Default)]
struct Outcome {
    changes: u32,
    taken: u32,
    violations: u32,
}

struct World {
    chance: Jitter,
    patience: Duration,
    now: Duration,
    order: u64,
    events: BinaryHeap<Reverse<(Duration, u64, usize)>>,
    bodies: Vec<Event>,
    hosts: Vec<Host>,
    object: Option<Object>,
    versions: u64,
    mounts: u64,
    outcome: Outcome,
}

fn run(seed: u64, rates: &[u32], patience: Duration) -> Outcome {
    let mut world = World {
        chance: Jitter::seeded(seed),
        patience,
        now: Duration::ZERO,
        order: 0,
        events: BinaryHeap::new(),
        bodies: Vec::new(),
        hosts: Vec::new(),
        object: None,
        versions: 0,
        mounts: 0,
        outcome: Outcome::default(),
    };
    for (index, rate) in rates.iter().enumerate() {
        world.mounts += 1;
        let mount = world.mounts;
        world.hosts.push(Host::new(*rate, mount));
        world.at(Duration::ZERO, Event::Act(index));
    }
    while let Some(Reverse((when, _, body))) = world.events.pop() {
        if when > END {
            break;
        }
        world.now = when;
        world.step(world.bodies[body]);
    }
    world.outcome
}

impl Host {
    const fn new(rate: u32, mount: u64) -> Self {
        Self {
            rate,
            mount,
            stands_still_until: Duration::ZERO,
            holder: None,
            version: None,
            watch: Watch::new(),
            asking: None,
            claims: Vec::new(),
            counter: 0,
        }
    }

    /// What its clock shows.
    fn clock(&self, now: Duration) -> Duration {
        now * self.rate / 1000
    }
}

impl World {
    fn at(&mut self, after: Duration, event: Event) {
        self.order += 1;
        self.bodies.push(event);
        let body = self.bodies.len() - 1;
        self.events
            .push(Reverse((self.now + after, self.order, body)));
    }

    fn one_in(&self, n: u64) -> bool {
        self.chance.next_u64().is_multiple_of(n)
    }

    /// Mostly short, sometimes as long as it may be.
    fn delay(&self) -> Duration {
        if self.one_in(4) {
            self.chance.up_to(TERM.timeout)
        } else {
            self.chance.up_to(Duration::from_secs(1))
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Act(host) | Event::Answered(host, ..)
                if self.hosts[host].stands_still_until > self.now =>
            {
                let after = self.hosts[host].stands_still_until.saturating_sub(self.now);
                self.at(after, event);
            }
            Event::Act(host) => self.act(host),
            Event::Arrive(host, mount, request) => self.arrive(host, mount, request),
            Event::Answered(host, mount, answer) => {
                if self.hosts[host].mount == mount {
                    self.answered(host, answer);
                }
            }
        }
    }

    /// Sends a request; what it does and its answer take time, and the answer may be lost.
    fn send(&mut self, host: usize, request: Request) {
        let (delay, mount) = (self.delay(), self.hosts[host].mount);
        self.at(delay, Event::Arrive(host, mount, request));
    }

    fn ask(&mut self, host: usize, request: Request) {
        let clock = self.hosts[host].clock(self.now);
        let counter = match request {
            Request::Write { counter, .. } => counter,
            _ => 0,
        };
        self.hosts[host].asking = Some((clock, counter));
        self.send(host, request);
    }

    fn act(&mut self, host: usize) {
        if self.one_in(60) {
            let long = self.chance.up_to(TERM.term * 5);
            self.hosts[host].stands_still_until = self.now + long;
            return self.at(long, Event::Act(host));
        }
        if self.one_in(80) {
            self.mounts += 1;
            self.hosts[host] = Host::new(self.hosts[host].rate, self.mounts);
        }
        let clock = self.hosts[host].clock(self.now);
        let is_asking = self.hosts[host].asking.is_some();
        if let Some(holder) = &mut self.hosts[host].holder {
            let may_change = matches!(holder.leave(clock), Leave::Until(_));
            let is_due = clock >= holder.due() && !is_asking;
            let counter = is_due.then(|| holder.send(clock));
            if may_change {
                self.send(host, Request::Change);
            }
            if let Some(counter) = counter {
                let replaces = self.hosts[host].version;
                self.ask(host, Request::Write { counter, replaces });
            }
        } else if !is_asking {
            self.ask(host, Request::Look);
        }
        let pause = self.chance.up_to(TERM.term / 8) + Duration::from_millis(1);
        self.at(pause, Event::Act(host));
    }

    fn arrive(&mut self, host: usize, mount: u64, request: Request) {
        let answer = match request {
            Request::Change => {
                self.outcome.changes += 1;
                if self.object.is_none_or(|object| object.mount != mount) {
                    self.outcome.violations += 1;
                }
                return;
            }
            Request::Look => Answer::Found(self.object),
            Request::Write { counter, replaces } => {
                if self.object.map(|object| object.version) == replaces {
                    self.versions += 1;
                    if self.object.is_none_or(|object| object.mount != mount) {
                        self.outcome.taken += 1;
                    }
                    let object = Object {
                        mount,
                        counter,
                        version: self.versions,
                    };
                    self.object = Some(object);
                    Answer::Written(object)
                } else {
                    Answer::Refused
                }
            }
        };
        let delay = self.delay();
        let answered = if self.one_in(10) {
            (TERM.timeout, Answer::Lost)
        } else {
            (delay, answer)
        };
        self.at(answered.0, Event::Answered(host, mount, answered.1));
    }

    fn answered(&mut self, index: usize, answer: Answer) {
        let now = self.hosts[index].clock(self.now);
        let patience = self.patience;
        let host = &mut self.hosts[index];
        let Some((asked, counter)) = host.asking.take() else {
            return;
        };
        match answer {
            Answer::Written(object) => {
                host.version = Some(object.version);
                match &mut host.holder {
                    Some(holder) => holder.found(counter),
                    None => host.holder = Some(Holder::new(TERM, counter, asked)),
                }
            }
            Answer::Refused | Answer::Lost => self.ask(index, Request::Look),
            Answer::Found(Some(object)) if object.mount == host.mount => {
                host.version = Some(object.version);
                if let Some(holder) = &mut host.holder {
                    holder.found(object.counter);
                } else {
                    let claim = host.claims.iter().find(|(sent, _)| *sent == object.counter);
                    let begun = claim.expect("only what was sent is there").1;
                    host.holder = Some(Holder::new(TERM, object.counter, begun));
                }
            }
            Answer::Found(_) if host.holder.is_some() => {
                // The mount ends, and another begins.
                self.mounts += 1;
                *host = Host::new(host.rate, self.mounts);
            }
            Answer::Found(found) => {
                let takes = match found {
                    None => true,
                    Some(object) => {
                        let verdict = host.watch.look(object.version, asked, now, patience);
                        verdict == Verdict::Dead
                    }
                };
                if takes {
                    host.counter += 1;
                    let counter = host.counter;
                    host.claims.push((counter, now));
                    let replaces = found.map(|object| object.version);
                    self.ask(index, Request::Write { counter, replaces });
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_change_arrives_under_the_lease_of_another(
        seed: u64, rates in proptest::collection::vec(RATES, 2..5)
    ) {
        let outcome = run(seed, &rates, Term::patience(TERM.term));
        prop_assert_eq!(outcome.violations, 0, "{:?}", outcome);
    }
}

#[test]
fn the_model_changes_hands_often_and_shows_a_claimant_that_is_too_hasty() {
    let (mut changes, mut taken, mut hasty) = (0, 0, 0);
    for seed in 0..100 {
        let outcome = run(seed, &[750, 1000, 1350], Term::patience(TERM.term));
        changes += outcome.changes;
        taken += outcome.taken;
        assert_eq!(outcome.violations, 0, "seed {seed}");
        hasty += run(seed, &[750, 1000, 1350], TERM.term / 2).violations;
    }
    assert!(changes > 10_000, "{changes}");
    assert!(taken > 300, "{taken}");
    assert!(hasty > 0, "half a term is enough, says the model");
}
