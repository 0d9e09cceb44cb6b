//! `convene serve`: builds the parts, runs them, stops them in order.
//!
//! ```text
//!  logs -> media workers -> chat (store, then its port) -> signaling -> ports -> ready ... SIGTERM or Ctrl-C
//!  not ready -> rooms close, chat sessions end: all told to reconnect -> HTTP ends -> media workers end
//!  -> what the rooms told is noted for webhooks -> store ends -> exit 0
//! ```

mod body;
mod buffers;
mod descriptors;
mod door;
mod http;
mod https;
mod path;
mod placed;
mod signals;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use axum::Router;
use convene_api::Api;
use convene_sfu::Spread;
use convene_signaling::{Config, State, Turn, rooms};
use convene_telemetry::{Metrics, Ready};
use convene_tls::{Certificate, Resolver};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use crate::accounts;
use crate::addresses;
use crate::admin;
use crate::config::{DEV_KEY, LogFormat, Rooms, Settings};
use crate::im::{self, Chat, Closing};
use crate::webhooks;
use door::Door;
use http::Scheme;
use https::Https;
use signals::Signals;

/// Longest time for rooms to close. A client that does not read must not keep the server.
const MAX_DRAIN: Duration = Duration::from_secs(2);
/// Longest time for chat sessions to take their leave: beside all of the others up to here.
const MAX_CHAT_END: Duration = Duration::from_secs(4);
/// How long connections get to write out what their rooms told them: at once, where the socket has room.
const FAREWELL: Duration = Duration::from_millis(300);
/// Longest time for HTTP exchanges that are under way.
const MAX_HTTP_END: Duration = Duration::from_secs(1);
/// Longest time for the media workers, which look at their queue many times a second.
const MAX_MEDIA_END: Duration = Duration::from_secs(1);
/// Longest time to note for webhooks what the rooms told at their end, which began when they closed.
const MAX_NOTING_END: Duration = Duration::from_millis(300);
/// Longest time for the store to write what has queued. Without it the next start finds a longer log to read, and no less.
const MAX_STORE_END: Duration = Duration::from_millis(350);

/// Serves until a signal says to stop.
pub(crate) fn serve(settings: &Settings) -> Result<()> {
    let format = match settings.log.format {
        LogFormat::Text => convene_telemetry::LogFormat::Text,
        LogFormat::Json => convene_telemetry::LogFormat::Json,
    };
    convene_telemetry::init(&settings.log.filter, format).context("starting the log")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    let result = runtime.block_on(run(settings));
    runtime.shutdown_background(); // what has to end in order has ended
    result
}

async fn run(settings: &Settings) -> Result<()> {
    let mut signals = Signals::new().context("listening for signals")?; // first, so that none is missed
    let (metrics, ready) = (Arc::new(Metrics::new()), Ready::new());
    let places = descriptors::for_http(descriptors::raise());
    let http = Door::new(bind(settings.http, "http").await?, places, Arc::clone(&metrics));
    let certificate = certificate(settings)?;
    let ops = bind(settings.ops, "ops").await?;
    let media_tcp = match settings.media_tcp_port {
        Some(port) => Some(bind(SocketAddr::new(settings.media_bind, port), "media").await?),
        None => None,
    };
    let (media, workers) = start_media(settings, &metrics)?;
    let media_tcp = media_tcp.map(|listener| tokio::spawn(convene_sfu::accept(listener, media.clone())));
    let balancing = tokio::spawn(convene_sfu::balance(media.clone()));
    let held = im::open(settings).await?;
    let api = accounts::start(settings, held.store(), &metrics).await?;
    let courier = webhooks::courier(settings, held.store(), api.keyring(), &metrics).await?;
    let api = api.with_courier(courier.clone()).with_blobs(held.blobs().clone());
    let admin = admin::socket::listen(&settings.data_dir, api.clone()).context("opening the admin socket")?;
    let chat = im::start(settings, held, &api, &metrics).await?;
    let state = State::new(signaling(settings, &api), media.clone(), Arc::clone(&metrics))
        .with_chat(chat.handle.clone())
        .with_keyring(api.keyring().clone())
        .with_people(&api)
        .await
        .context("starting what ties rooms and chat to people")?;

    let told = state.registry().happenings();
    let (no_more, ending) = oneshot::channel();
    let mut noting = tokio::spawn(webhooks::note(told, chat.store.clone(), Arc::clone(&metrics), ending));
    let carrying = tokio::spawn(courier.run());
    tell_stress(media.clone(), &metrics, ready.clone());
    let renewing = certificate.clone().map(|certificate| tokio::spawn(certificate.keep_fresh("http")));
    let (end, ended) = oneshot::channel();
    let router = convene_signaling::router(&state);
    let mut http = serve_http(http, certificate, router, Arc::clone(&metrics), ended)?;
    let ops = tokio::spawn(convene_telemetry::serve(ops, metrics, ready.clone()));
    ready.set(true);
    announce(settings);

    tokio::select! {
        () = signals.next() => info!("stopping: participants are told to reconnect"),
        failed = &mut http => failed.context("the HTTP task")?.context("serving HTTP")?,
    }
    ready.set(false);
    admin.abort();
    let all = async {
        let chat = tokio::join!(stop(&state, &media, workers, end, http), end_sessions(chat)).1;
        let _ = no_more.send(()); // an error says that it has ended already
        within(MAX_NOTING_END, "noting the end of rooms for webhooks", async {
            let _ = (&mut noting).await; // a panic was logged where it happened
        })
        .await;
        within(MAX_STORE_END, "closing the store", chat.close()).await;
    };
    tokio::select! {
        () = all => info!("stopped"),
        () = signals.next() => warn!("stopped at once by a second signal"),
    }
    renewing.inspect(JoinHandle::abort);
    carrying.abort();
    balancing.abort();
    ops.abort();
    media_tcp.inspect(JoinHandle::abort);
    Ok(())
}

/// Says how busy the media workers are to whoever asks.
fn tell_stress(media: convene_sfu::Handle, metrics: &Metrics, ready: Ready) {
    metrics.when_asked(move |metrics| {
        let (stress, overloaded) = (media.stress(), media.is_overloaded());
        metrics.stress.set(f64::from(stress));
        metrics.overloaded.set(i64::from(overloaded));
        ready.set_stress(stress, overloaded);
    });
}

async fn bind(address: SocketAddr, port: &str) -> Result<TcpListener> {
    let hint = "is another server running there? --port-base moves all ports";
    TcpListener::bind(address).await.with_context(|| format!("binding the {port} port tcp {address} ({hint})"))
}

/// The one place where the media plane is started.
fn start_media(settings: &Settings, metrics: &Arc<Metrics>) -> Result<(convene_sfu::Handle, convene_sfu::Workers)> {
    let advertised = addresses::advertised(&settings.node_ip, settings.media_bind, settings.dev);
    let options = convene_sfu::Options {
        bind: settings.media_bind,
        ports: settings.media_ports.clone(),
        advertised: advertised.context("listing the network interfaces")?,
        tcp_port: settings.media_tcp_port,
        spread: if settings.media_spread { Spread::Always } else { Spread::ByLoad },
        max_load: f32::from(settings.media_max_load) / 100.0,
        loudest: settings.loudest,
        metrics: Arc::clone(metrics),
    };
    info!(addresses = ?options.advertised, ports = ?options.ports, "media");
    convene_sfu::start(&options).context("starting the media workers")
}

fn signaling(settings: &Settings, api: &Api) -> Config {
    Config {
        api_keys: settings.keys.0.clone(),
        people_secret: api.room_secret().to_owned(),
        dev_key: settings.dev.then(|| DEV_KEY.0.to_owned()),
        trusted_proxies: settings.trusted_proxies.clone(),
        rooms: room_options(&settings.rooms),
        turn: Turn {
            urls: settings.turn.urls.clone(),
            secret: settings.turn.secret.clone(),
            ttl: Duration::from_secs(settings.turn.ttl_s.into()),
        },
    }
}

fn room_options(rooms: &Rooms) -> rooms::Options {
    let limit = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
    rooms::Options {
        auto_create: rooms.auto_create,
        empty_timeout: Duration::from_secs(rooms.empty_timeout_s.into()),
        departure_timeout: Duration::from_secs(rooms.departure_timeout_s.into()),
        participants_cap: rooms.max_participants,
        max_rooms: limit(rooms.max_rooms),
        max_tracks: limit(rooms.max_tracks),
        ..rooms::Options::default()
    }
}

/// `None`: the HTTP port speaks no TLS.
fn certificate(settings: &Settings) -> Result<Option<Arc<Resolver>>> {
    let Some((chain, key)) = settings.http_certificate.clone() else { return Ok(None) };
    let resolver = Resolver::new(Certificate::Files { chain, key }, SystemTime::now());
    resolver.map(Some).context("preparing the certificate of the http port")
}

/// Begins to take connections in; with a certificate, over TLS only.
fn serve_http(
    door: Door,
    certificate: Option<Arc<Resolver>>,
    router: Router,
    metrics: Arc<Metrics>,
    ended: oneshot::Receiver<()>,
) -> Result<JoinHandle<io::Result<()>>> {
    Ok(match certificate {
        Some(certificate) => {
            let https = Https::new(door, certificate, Arc::clone(&metrics))?;
            tokio::spawn(http::serve(https, router, Scheme::Https, metrics, ended))
        }
        None => tokio::spawn(http::serve(door, router, Scheme::Http, metrics, ended)),
    })
}

fn announce(settings: &Settings) {
    for warning in &settings.warnings {
        warn!("{warning}");
    }
    info!(http = %settings.http, chat = %settings.chat, ops = %settings.ops, workers = settings.media_ports.len(), "convene is up");
    if settings.dev {
        let (key, secret) = DEV_KEY;
        let scheme = if settings.http_certificate.is_some() { "https" } else { "http" };
        info!("open {scheme}://localhost:{} (development: api key {key}, secret {secret})", settings.http.port());
    } else {
        buffers::look();
    }
}

/// Each step has a longest time, so that the whole ends within five seconds whatever clients do.
async fn stop(
    state: &State,
    media: &convene_sfu::Handle,
    workers: convene_sfu::Workers,
    end: oneshot::Sender<()>,
    mut http: JoinHandle<io::Result<()>>,
) {
    within(MAX_DRAIN, "closing rooms", state.registry().drain()).await;
    sleep(FAREWELL).await;
    let _ = end.send(()); // an error says that HTTP has ended already
    within(MAX_HTTP_END, "ending HTTP", async {
        let _ = (&mut http).await; // its errors matter to no one any more
    })
    .await;
    http.abort();
    within(MAX_MEDIA_END, "ending the media workers", async {
        media.stop().await;
        let _ = tokio::task::spawn_blocking(|| workers.join()).await; // a panic of a worker was logged where it happened
    })
    .await;
}

async fn end_sessions(chat: Chat) -> Closing {
    let (server, closing) = chat.part();
    within(MAX_CHAT_END, "ending chat", server.stop()).await;
    closing
}

async fn within(longest: Duration, step: &str, work: impl Future<Output = ()>) {
    if timeout(longest, work).await.is_err() {
        warn!(step, ?longest, "took too long; going on without");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_defaults_are_those_of_the_registry() {
        let ours = format!("{:?}", room_options(&Rooms::default()));
        assert_eq!(ours, format!("{:?}", rooms::Options::default()));
    }

    #[test]
    fn stopping_takes_five_seconds_at_most() {
        let rooms = MAX_DRAIN + FAREWELL + MAX_HTTP_END + MAX_MEDIA_END;
        assert!(rooms.max(MAX_CHAT_END) + MAX_NOTING_END + MAX_STORE_END < Duration::from_secs(5));
    }
}
