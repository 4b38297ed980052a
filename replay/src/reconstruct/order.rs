//! Events of a channel -> moments in the order in which a terminal could show them.

use std::collections::VecDeque;
use std::io;

use jiff::Timestamp;
use warden_protocol::channel::{self, Event};
use warden_protocol::wire::Side;

use super::{Moment, Sink, What};
use crate::capture::Damage;

/// Events that wait while a message waits for its predecessor, in all; then they are handed out.
const MAX_WAITING: usize = 200_000;

/// Puts the events of one session in order.
#[derive(Debug)]
pub(super) struct Order {
    session: usize,
    /// Bytes of output handed out.
    offset: u64,
    /// Time of the latest moment.
    now: Timestamp,
    n: u64,
    client: VecDeque<Event>,
    agent: VecDeque<Event>,
    service: VecDeque<Event>,
}

impl Order {
    pub(super) fn new(session: usize) -> Self {
        let (client, agent, service) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Self { session, offset: 0, now: Timestamp::MIN, n: 0, client, agent, service }
    }

    /// Takes the next event of the channel.
    pub(super) fn push(&mut self, event: Event) {
        self.queue(event.side).push_back(event);
    }

    /// Hands out what is due: everything, unless a message of the channel still waits for its predecessor.
    pub(super) fn settle(&mut self, held: usize, sink: &mut Sink<'_>) -> io::Result<()> {
        let waiting = self.client.len() + self.agent.len() + self.service.len();
        if held > 0 && waiting < MAX_WAITING {
            return Ok(());
        }
        self.flush(sink)
    }

    /// Hands out everything, by time; of one side in the order in which it came, which is that of its sequence numbers.
    pub(super) fn flush(&mut self, sink: &mut Sink<'_>) -> io::Result<()> {
        for queue in [&mut self.client, &mut self.agent, &mut self.service] {
            date(queue);
        }
        while let Some(event) = self.next() {
            self.hand_out(event, sink)?;
        }
        Ok(())
    }

    /// Hands out damage of the capture.
    pub(super) fn damage(&mut self, offset: u64, damage: Damage, sink: &mut Sink<'_>) -> io::Result<()> {
        let (session, n, at) = (self.session, self.n, self.now.max(Timestamp::UNIX_EPOCH));
        let what = What::Damage { offset, damage };
        let (sequence, created, side) = (None, None, Side::Service);
        sink(Moment { session, n, at, sequence, created, offset: self.offset, side, what })
    }

    fn queue(&mut self, side: Side) -> &mut VecDeque<Event> {
        match side {
            Side::Client => &mut self.client,
            Side::Agent => &mut self.agent,
            Side::Service => &mut self.service,
        }
    }

    fn next(&mut self) -> Option<Event> {
        let front = |side: Side, queue: &VecDeque<Event>| queue.front().map(|event| (event.at, event.n, side));
        let fronts =
            [front(Side::Client, &self.client), front(Side::Agent, &self.agent), front(Side::Service, &self.service)];
        let (_, _, side) = fronts.into_iter().flatten().min_by_key(|(at, n, _)| (*at, *n))?;
        self.queue(side).pop_front()
    }

    fn hand_out(&mut self, event: Event, sink: &mut Sink<'_>) -> io::Result<()> {
        self.now = self.now.max(event.at);
        self.n = event.n;
        let (session, offset, at) = (self.session, self.offset, self.now);
        if let channel::What::Output(bytes) = &event.what {
            self.offset += bytes.len() as u64;
        }
        let Event { n, created, side, sequence, what, .. } = event;
        sink(Moment { session, n, at, sequence, created, offset, side, what: What::Channel(what) })
    }
}

/// Gives each event of a side the time at which it could be shown: not before its predecessor's. A gap is where its
/// successor is, not where it was given up.
fn date(queue: &mut VecDeque<Event>) {
    let mut after: Option<(u64, Timestamp)> = None;
    for event in queue.iter_mut().rev() {
        if matches!(event.what, channel::What::Missing(_)) {
            if let Some((n, at)) = after {
                (event.n, event.at) = (n, at);
            }
        } else {
            after = Some((event.n, event.at));
        }
    }
    let mut latest = Timestamp::MIN;
    for event in queue {
        latest = latest.max(event.at);
        event.at = latest;
    }
}
