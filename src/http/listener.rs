//! The TLS acceptor: handshakes within a time, connections within a number, failures counted with their cause, an end that
//! lets running requests finish.

use super::{Peer, Port, router};
use crate::{
    exchange::evidence,
    trust::{
        anchors::PeerCertificate,
        handshake::{self, HandshakeFault},
        tls,
    },
};
use hyper::{Request, body::Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc, watch},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// Largest header section, in bytes.
const HEADERS_MAX: u32 = 32 << 10;
/// Streams at the same moment on one connection.
const STREAMS_MAX: u32 = 256;
/// How long running requests may take when we end.
const END_WITHIN: Duration = Duration::from_secs(10);

/// Serves until `stop` changes, then lets running requests finish.
pub async fn serve(port: Arc<Port>, listener: TcpListener, tls: rustls::ServerConfig, mut stop: watch::Receiver<bool>) {
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let slots = Arc::new(Semaphore::new(port.limits.connections));
    let graceful = GracefulShutdown::new();
    let failures = audit(port.clone());
    let routes = router(port.clone());
    loop {
        let stream = tokio::select! {
            _ = stop.changed() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, address)) = stream else {
            // Out of file descriptors, or the peer was gone before we looked: neither is a reason to end.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            let _ = failures.try_send(("too-many-connections", address));
            continue;
        };
        let (acceptor, routes, failures, port) = (acceptor.clone(), routes.clone(), failures.clone(), port.clone());
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            match handshake(&port, &acceptor, stream).await {
                Err(cause) => drop(failures.try_send((cause, address))),
                Ok((stream, peer)) => {
                    let peer = Peer(Arc::new(peer));
                    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
                        request.extensions_mut().insert(peer.clone());
                        routes.clone().oneshot(request.map(axum::body::Body::new))
                    });
                    let builder = builder();
                    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
                    // A connection that breaks off is the peer's affair: its requests were answered or will be repeated.
                    let _ = watcher.watch(connection).await;
                }
            }
            drop(slot);
        });
    }
    let _ = tokio::time::timeout(END_WITHIN, graceful.shutdown()).await;
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(30))
        .max_buf_size(HEADERS_MAX as usize)
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEADERS_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(Duration::from_secs(30));
    builder
}

async fn handshake(
    port: &Port,
    acceptor: &TlsAcceptor,
    stream: TcpStream,
) -> Result<(tokio_rustls::server::TlsStream<TcpStream>, PeerCertificate), &'static str> {
    let _ = stream.set_nodelay(true);
    let accepted = tokio::time::timeout(port.limits.handshake, acceptor.accept(stream)).await;
    let stream =
        accepted.map_err(|_| "timeout")?.map_err(|fault: io::Error| handshake::cause_of_io(&fault).reason())?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let peer = PeerCertificate::from_chain(&port.gateway.trust, chain, port.gateway.now());
    let peer = peer.map_err(|fault| fault.reason())?;
    let group = stream.get_ref().1.negotiated_key_exchange_group();
    let profile = port.gateway.parties.party(&peer.party).map(|party| &party.profile);
    if profile.is_some_and(|profile| profile.trust.hybrid_key_exchange_only) && !tls::is_hybrid(group) {
        return Err(HandshakeFault::NotHybrid.reason());
    }
    tracing::debug!(party = %peer.party, ?group, "connected");
    Ok((stream, peer))
}

/// Counts failed handshakes and writes the counts: a flood costs one row an hour, cause and peer, not one a handshake.
fn audit(port: Arc<Port>) -> mpsc::Sender<(&'static str, SocketAddr)> {
    let (sender, mut receiver) = mpsc::channel::<(&'static str, SocketAddr)>(1_024);
    tokio::spawn(async move {
        let mut waiting = Vec::new();
        while receiver.recv_many(&mut waiting, 1_024).await > 0 {
            let mut counts: HashMap<(&'static str, String), i64> = HashMap::new();
            for (cause, address) in waiting.drain(..) {
                *counts.entry((cause, address.ip().to_string())).or_default() += 1;
            }
            for ((cause, peer), count) in counts {
                evidence::rejected(&port.gateway, cause, &peer, count).await;
            }
        }
    });
    sender
}
