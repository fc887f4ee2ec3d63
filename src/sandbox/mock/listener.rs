//! A listener whose connections have finished their TLS handshake; each shakes hands in a task of its own, so that one that hangs
//! holds nobody up.

use std::{io, net::SocketAddr};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Connections that wait to be served.
const WAITING: usize = 64;

/// See the module.
pub(in crate::sandbox) struct Tls {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl Tls {
    /// Accepts with what `acceptor` gives for each connection; tells `failed` why a handshake failed.
    pub(in crate::sandbox) fn new(
        listener: TcpListener,
        acceptor: impl Fn() -> TlsAcceptor + Send + 'static,
        failed: impl Fn(&io::Error) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = sender.closed() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((stream, address)) = accepted else { continue };
                let (acceptor, sender, failed) = (acceptor(), sender.clone(), failed.clone());
                tokio::spawn(async move {
                    match acceptor.accept(stream).await {
                        Ok(stream) => drop(sender.send((stream, address)).await),
                        Err(fault) => failed(&fault),
                    }
                });
            }
        });
        Ok(Self { ready, address })
    }
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
