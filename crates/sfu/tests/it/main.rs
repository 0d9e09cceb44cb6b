//! The crate through what it offers others: a node of one worker on a port of the system's choice.

#![cfg(test)]

mod binding;
mod panic;
mod tcp;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use convene_sfu::{Handle, Options, Spread, Workers, start};
use convene_telemetry::Metrics;

/// A node, what ends it, and what it counts. `tcp_port`: where it says that it takes media over TCP.
fn node(tcp_port: Option<u16>) -> (Handle, Workers, Arc<Metrics>) {
    let (metrics, local) = (Arc::new(Metrics::new()), IpAddr::V4(Ipv4Addr::LOCALHOST));
    let options = Options {
        bind: local,
        ports: vec![0],
        advertised: vec![local],
        tcp_port,
        spread: Spread::ByLoad,
        max_load: 2.0,
        loudest: 0,
        metrics: metrics.clone(),
    };
    let (handle, workers) = start(&options).expect("a free port");
    (handle, workers, metrics)
}
