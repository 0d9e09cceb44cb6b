//! Bringing the media plane up: one socket and one pinned thread a worker.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::thread::JoinHandle;

use convene_peer::transport::Identity;
use convene_telemetry::Metrics;
use tokio::sync::mpsc;

use crate::network::Network;
use crate::pipe::{MAX_PIPED, PipeSender, Pipes};
use crate::places::Spread;
use crate::room_handle::{Handle, WorkerEntry};
use crate::socket::Socket;
use crate::waker::{MAX_PENDING_COMMANDS, Waker, WorkerSender};
use crate::worker::{Parts, SOCKET, WAKE, Worker};

/// What the media plane is made of.
#[derive(Clone)]
pub struct Options {
    /// Address that the media sockets bind.
    pub bind: IpAddr,
    /// One UDP port a worker; the number of ports is the number of workers. 0 lets the system choose.
    pub ports: Vec<u16>,
    /// Addresses told to clients as host candidates, best first.
    pub advertised: Vec<IpAddr>,
    /// TCP port told to clients, where [`accept`](crate::accept) is to be run; `None`: no TCP.
    pub tcp_port: Option<u16>,
    /// When a room goes on to further workers.
    pub spread: Spread,
    /// Share of a worker's time from which it gets no new room; above 1: never refused.
    pub max_load: f32,
    /// Audio tracks of a room that go out at most, the loudest; 0: all.
    pub loudest: u16,
    /// Where workers count.
    pub metrics: Arc<Metrics>,
}

/// Why the media plane did not come up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A media port is taken or not permitted.
    #[error("cannot bind media port udp {address}: {source}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificate could not be made, or the warm-up handshake with it failed.
    #[error("cannot make the DTLS identity: {0}")]
    Identity(String),
    /// The system refused a thread or a poll handle.
    #[error("cannot start a media worker: {0}")]
    Worker(#[from] io::Error),
}

/// The running threads. They end after [`Handle::stop`].
pub struct Workers {
    threads: Vec<JoinHandle<()>>,
    /// Where each worker receives, in order.
    pub addresses: Vec<SocketAddr>,
}

impl Workers {
    /// Waits until every worker has ended.
    pub fn join(self) {
        for thread in self.threads {
            let _ = thread.join(); // a worker catches its own panics; one that died anyway was logged by the hook
        }
    }
}

/// Binds the sockets, makes the certificate, warms up DTLS and starts the threads.
pub fn start(options: &Options) -> Result<(Handle, Workers), StartError> {
    let identity = Arc::new(Identity::generate().map_err(|error| StartError::Identity(error.to_string()))?);
    identity.warm_up(std::time::Instant::now()).map_err(|error| StartError::Identity(error.to_string()))?;
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let (mut entries, mut threads, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
    let mut ends = Vec::new();
    for _ in &options.ports {
        let poll = mio::Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (queue, inbox) = mpsc::channel(MAX_PIPED);
        ends.push((poll, PipeSender { queue, waker }, inbox));
    }
    let senders: Vec<PipeSender> = ends.iter().map(|(_, sender, _)| sender.clone()).collect();
    let sockets: Arc<[Socket]> =
        options.ports.iter().map(|port| bind(options.bind, *port)).collect::<Result<_, _>>()?;
    for ((index, socket), (poll, own, inbox)) in sockets.iter().enumerate().zip(ends) {
        let local = socket.local_addr()?;
        socket.register(poll.registry(), SOCKET)?;
        let waker = own.waker;
        let (queue, commands) = mpsc::channel(MAX_PENDING_COMMANDS);
        let (rooms, load) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU32::new(0)));
        let parts = Parts {
            index,
            poll,
            waker: Arc::clone(&waker),
            network: Network::new(index, Arc::clone(&sockets)),
            commands,
            identity: identity.clone(),
            candidates: options.advertised.iter().map(|ip| SocketAddr::new(*ip, local.port())).collect(),
            tcp_candidates: options
                .tcp_port
                .map_or_else(Vec::new, |port| options.advertised.iter().map(|ip| SocketAddr::new(*ip, port)).collect()),
            open_rooms: rooms.clone(),
            load: load.clone(),
            pipes: Pipes::new(index, senders.clone(), inbox),
            metrics: options.metrics.clone(),
            loudest: options.loudest,
        };
        let core = cores.get(index % cores.len().max(1)).copied();
        threads.push(spawn(parts, core)?);
        entries.push(WorkerEntry { sender: WorkerSender::new(queue, waker), rooms, load });
        addresses.push(local);
    }
    let max_load = (options.max_load.max(0.0) * 1e3) as u32;
    Ok((Handle::new(entries, options.spread, max_load), Workers { threads, addresses }))
}

fn bind(ip: IpAddr, port: u16) -> Result<Socket, StartError> {
    let address = SocketAddr::new(ip, port);
    Socket::bind(address).map_err(|source| StartError::Bind { address, source })
}

fn spawn(parts: Parts, core: Option<core_affinity::CoreId>) -> io::Result<JoinHandle<()>> {
    let name = format!("media-{}", parts.index);
    std::thread::Builder::new().name(name).spawn(move || {
        if let Some(core) = core {
            core_affinity::set_for_current(core); // not permitted in some containers; then the scheduler places it
        }
        Worker::new(parts).run();
    })
}
