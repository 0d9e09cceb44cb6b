//! Bringing the media plane up: one socket and one pinned thread a worker.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;

use convene_peer::transport::Identity;
use convene_telemetry::Metrics;
use tokio::sync::mpsc;

use crate::room_handle::{Handle, WorkerEntry};
use crate::socket::Socket;
use crate::waker::{MAX_PENDING_COMMANDS, WorkerSender};
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
    for (index, port) in options.ports.iter().enumerate() {
        let address = SocketAddr::new(options.bind, *port);
        let socket = Socket::bind(address).map_err(|source| StartError::Bind { address, source })?;
        let local = socket.local_addr()?;
        let poll = mio::Poll::new()?;
        socket.register(poll.registry(), SOCKET)?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKE)?);
        let (queue, commands) = mpsc::channel(MAX_PENDING_COMMANDS);
        let rooms = Arc::new(AtomicUsize::new(0));
        let parts = Parts {
            index,
            poll,
            socket,
            commands,
            identity: identity.clone(),
            candidates: options.advertised.iter().map(|ip| SocketAddr::new(*ip, local.port())).collect(),
            open_rooms: rooms.clone(),
            metrics: options.metrics.clone(),
        };
        let core = cores.get(index % cores.len().max(1)).copied();
        threads.push(spawn(parts, core)?);
        entries.push(WorkerEntry { sender: WorkerSender::new(queue, waker), rooms });
        addresses.push(local);
    }
    Ok((Handle::new(entries), Workers { threads, addresses }))
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
