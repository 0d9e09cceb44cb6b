//! The loop that owns a client: hands what arrives to the engine, and does what it answers. It runs on a thread of its
//! own, because each change waits for a disk.
//!
//! Not here: what is decided (`sync`), how a connection works (`net`).

mod phase;
#[cfg(test)]
mod tests;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use convene_proto::im::Frame;
use rand::rngs::StdRng;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::backoff::Backoff;
use crate::config::TokenSource;
use crate::error::Error;
use crate::net::dial::Dialer;
use crate::net::link::{Link, Sender, Transport};
use crate::sync::{Command, End, Engine, Now, Output, Retry};
use crate::update::Update;
use phase::{LinkEvent, Open, Phase};
use work::Works;
pub(crate) use work::{Done, Work};

/// Commands of callers that were not looked at; a caller beyond waits.
pub(crate) const MAX_COMMANDS: usize = 64;
/// Frames that are written together, beside the first.
const MAX_TOGETHER: usize = 63;
/// How often silence and the network are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How long a network is remembered as one without UDP.
const WITHOUT_UDP_MS: i64 = 60 * 60 * 1000;

/// What a session offers to those who use it beside the engine.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) sender: Sender,
}

/// How the owner of the client speaks to its loop.
#[derive(Debug)]
pub(crate) enum Order {
    /// For the engine.
    Do(Command),
    /// Goes on from another UDP socket.
    Rebind(oneshot::Sender<Result<(), Error>>),
    /// Tries again at once, e.g. because the network is back.
    Reconnect,
    /// Ends; answers once the database is closed.
    Shutdown(oneshot::Sender<()>),
}

/// The loop's state.
pub(crate) struct Shell {
    engine: Engine,
    dialer: Arc<Dialer>,
    tokens: TokenSource,
    token: Option<String>,
    /// The one that the server took no more.
    stale: Option<String>,
    /// When one was asked for.
    asked_at: Instant,
    /// Those that no connection waits for.
    renewals: JoinSet<()>,
    orders: mpsc::Receiver<Order>,
    updates: broadcast::Sender<Update>,
    session: watch::Sender<Option<Session>>,
    works: Works,
    phase: Phase,
    backoff: Backoff,
    rng: StdRng,
    network: Option<String>,
}

/// What a [`Shell`] is made of.
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) dialer: Dialer,
    pub(crate) tokens: TokenSource,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) updates: broadcast::Sender<Update>,
    pub(crate) session: watch::Sender<Option<Session>>,
}

impl Shell {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { engine, dialer, tokens, orders, updates, session } = parts;
        Self {
            engine,
            dialer: Arc::new(dialer),
            tokens,
            token: None,
            stale: None,
            asked_at: Instant::now(),
            renewals: JoinSet::new(),
            orders,
            updates,
            session,
            works: Works::default(),
            phase: Phase::Waiting(Some(Instant::now())),
            backoff: Backoff::default(),
            rng: rand::make_rng(),
            network: None,
        }
    }

    /// Runs until it is told to end, nobody is left to tell it, or the database fails.
    pub(crate) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let ended = loop {
            let deadline = self.engine.deadline();
            let did = tokio::select! {
                order = self.orders.recv() => match order {
                    Some(Order::Shutdown(done)) => break Some(done),
                    Some(order) => self.order(order),
                    None => break None,
                },
                event = self.phase.next() => self.link_event(event),
                done = self.works.next() => self.engine.done(done, now()),
                () = sleep_until(deadline) => self.engine.wake(now()),
                _ = tick.tick() => self.look_around(),
            };
            if let Err(error) = did.and_then(|()| self.perform()) {
                tracing::error!(%error, "the client ends");
                self.tell(Update::Disconnected { reason: error.to_string(), retry_in: None });
                break None;
            }
        };
        self.close().await;
        if let Some(done) = ended {
            let _ = done.send(()); // whoever asked may have gone
        }
    }

    async fn close(self) {
        let Self { engine, phase, works, dialer, session, tokens, mut renewals, .. } = self;
        let _ = session.send(None);
        drop(works);
        drop(engine); // closes the database
        // Whoever asks for a token goes first: a renewal that began after the wait would end with the runtime.
        phase.end().await;
        renewals.shutdown().await;
        tokens.idle().await;
        dialer.wait_idle().await;
    }

    fn order(&mut self, order: Order) -> Result<(), Error> {
        match order {
            Order::Do(command) => self.engine.command(command, now()),
            Order::Rebind(answer) => {
                let _ = answer.send(self.dialer.rebind()); // whoever asked may have gone
                Ok(())
            }
            Order::Reconnect => {
                if let Phase::Waiting(until) = &mut self.phase {
                    self.backoff.reset();
                    *until = Some(Instant::now());
                }
                Ok(())
            }
            Order::Shutdown(_) => Ok(()), // taken by `run`
        }
    }

    fn link_event(&mut self, event: LinkEvent) -> Result<(), Error> {
        match event {
            LinkEvent::Due => self.begin(),
            LinkEvent::Token(Ok(token)) => {
                (self.token, self.stale) = (Some(token), None);
                self.begin()
            }
            LinkEvent::Token(Err(error @ Error::SignedOut(_))) => {
                self.tell(Update::SignedOut { reason: error.to_string() });
                self.ended(&End { reason: error.to_string(), retry: Retry::Never })
            }
            LinkEvent::Token(Err(error)) => self.ended(&End::later(error.to_string())),
            LinkEvent::Connected(Ok(link), flight) => self.connected(*link, &flight),
            LinkEvent::Connected(Err(error), _) => self.ended(&End::later(error.to_string())),
            LinkEvent::Frame(frame) => self.frames(frame),
            LinkEvent::Lost(reason) => self.ended(&End::later(reason)),
        }
    }

    /// What has arrived together is written together: a commit waits for the disk.
    fn frames(&mut self, first: Frame) -> Result<(), Error> {
        self.engine.frame(first, now())?;
        let Phase::Open(open) = &mut self.phase else { return Ok(()) };
        for _ in 0..MAX_TOGETHER {
            let Ok(frame) = open.link.incoming.try_recv() else { break };
            self.engine.frame(frame, now())?;
        }
        Ok(())
    }

    /// Begins to connect, or first to get a token.
    fn begin(&mut self) -> Result<(), Error> {
        let Some(token) = self.token.clone() else {
            self.asked_at = Instant::now();
            self.phase = Phase::token(self.tokens.clone(), self.stale.clone());
            return Ok(());
        };
        let flight = self.engine.flight(token, now())?;
        let network = self.dialer.network();
        let without_udp = match &network {
            Some(network) => self.engine.is_without_udp(network, now())?,
            None => false,
        };
        self.phase = Phase::connect(self.dialer.clone(), flight, without_udp);
        Ok(())
    }

    fn connected(&mut self, link: Link, flight: &[Frame]) -> Result<(), Error> {
        if !link.early {
            // It is shorter than the queue, which is empty.
            flight.iter().for_each(|frame| {
                let _ = link.sender.control(frame);
            });
        }
        self.network = self.dialer.network();
        let transport = link.sender.transport();
        if let Some(network) = &self.network {
            let now = now();
            let until = match (transport, self.dialer.has_quic()) {
                (Transport::WebSocket, true) => now.unix_ms.saturating_add(WITHOUT_UDP_MS),
                (Transport::WebSocket | Transport::Quic, _) => 0,
            };
            self.engine.set_without_udp(network, until, now)?;
        }
        if let Some(info) = self.dialer.info() {
            self.engine.keep_info(&info)?;
        }
        self.engine.linked(transport, link.early);
        self.phase = Phase::Open(Open::new(link));
        Ok(())
    }

    /// Silence, networks that come and go, and a sign-in that would end if nobody renewed it.
    fn look_around(&mut self) -> Result<(), Error> {
        if self.tokens.renewal().is_some_and(|renewal| self.asked_at.elapsed() > renewal) {
            self.asked_at = Instant::now();
            self.renew(None);
        }
        let Phase::Open(open) = &mut self.phase else { return Ok(()) };
        if let Some(reason) = open.silence(self.engine.waiting_since(), Instant::now()) {
            return self.ended(&End::later(reason.to_owned()));
        }
        let network = self.dialer.network();
        if network.is_some() && network != self.network {
            tracing::info!("the network changed");
            self.network = network;
            if let Err(error) = self.dialer.rebind() {
                tracing::warn!(%error, "no socket on the other network");
            }
        }
        Ok(())
    }

    fn perform(&mut self) -> Result<(), Error> {
        self.engine.catch_up()?;
        while let Some(output) = self.engine.poll(now()) {
            match output {
                Output::Control(frame) => {
                    if let Phase::Open(open) = &self.phase
                        && !open.link.sender.control(&frame)
                    {
                        self.ended(&End::later("the network takes nothing".to_owned()))?;
                    }
                }
                Output::Hint(hint) => {
                    if let Phase::Open(open) = &self.phase {
                        open.link.sender.hint(hint);
                    }
                }
                Output::Work(work) => {
                    if let Phase::Open(open) = &self.phase {
                        self.works.start(work, open.link.sender.clone(), self.updates.clone());
                    }
                }
                Output::Update(update) => {
                    self.note(&update);
                    self.tell(update);
                }
                Output::End(end) => self.ended(&end)?,
            }
        }
        Ok(())
    }

    fn note(&mut self, update: &Update) {
        if let (Update::Connected { .. }, Phase::Open(open)) = (update, &self.phase) {
            self.backoff.reset();
            self.session.send_replace(Some(Session { sender: open.link.sender.clone() }));
        }
    }

    /// No connection, or none any more.
    fn ended(&mut self, end: &End) -> Result<(), Error> {
        self.session.send_replace(None);
        self.works = Works::default();
        let wait = match end.retry {
            Retry::After(at_least) => Some(self.backoff.next(&mut self.rng, at_least)),
            Retry::WithToken => {
                self.stale = self.token.take().or(self.stale.take());
                Some(self.backoff.next(&mut self.rng, Duration::ZERO))
            }
            Retry::Never => {
                // The server ends sessions for good for several reasons. That the sign-in is over is heard from the other side.
                if let Some(token) = self.token.clone() {
                    self.renew(Some(token));
                }
                None
            }
        };
        if self.tokens.renewal().is_some() {
            self.token = None; // it may have expired by then: whoever keeps the sign-in knows
        }
        self.phase = Phase::Waiting(wait.map(|wait| Instant::now() + wait));
        self.tell(Update::Disconnected { reason: end.reason.clone(), retry_in: wait });
        self.engine.lost(&end.reason)
    }

    /// Has a sign-in renewed, beside whatever is under way, and tells if it is over. `stale`: the token that was refused.
    fn renew(&mut self, stale: Option<String>) {
        if self.tokens.renewal().is_none() {
            return;
        }
        while self.renewals.try_join_next().is_some() {}
        let (tokens, updates) = (self.tokens.clone(), self.updates.clone());
        self.renewals.spawn(async move {
            if let Err(error @ Error::SignedOut(_)) = tokens.ask(stale).await {
                let _ = updates.send(Update::SignedOut { reason: error.to_string() }); // nobody may be listening
            }
        });
    }

    fn tell(&self, update: Update) {
        let _ = self.updates.send(update); // nobody may be listening
    }
}

fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { instant: Instant::now(), unix_ms: i64::try_from(unix.as_millis()).unwrap_or(i64::MAX) }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
