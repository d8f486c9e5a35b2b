//! HTTP/1.1 on a socket, bounded: so many connections, and none that takes its time.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at once: probes, scrapes and people.
const CONNECTIONS: usize = 64;
/// How long the head of a request may take, from the end of the one before.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection may last.
const LIFETIME: Duration = Duration::from_secs(600);
/// The longest head of a request, in bytes.
const HEAD_BYTES: usize = 16 * 1024;
/// How long the door rests when it cannot accept.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Serves until `stop`.
///
/// Where there are too many connections the oldest gives way: whoever holds them all does not keep a
/// probe out.
pub(super) async fn serve(listener: TcpListener, routes: Router, stop: CancellationToken) {
    let mut open = VecDeque::new();
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((socket, _)) = accepted else {
            tokio::time::sleep(EXHAUSTED).await;
            continue;
        };
        // Those that have ended have said so.
        open.retain(|one: &CancellationToken| !one.is_cancelled());
        let give_way = CancellationToken::new();
        open.push_back(give_way.clone());
        if open.len() > CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.cancel();
        }
        let conversation = converse(socket, routes.clone(), stop.clone());
        connections.spawn(async move {
            tokio::select! {
                () = give_way.cancelled() => {}
                () = conversation => give_way.cancel(),
            }
        });
    }
    connections.close();
    connections.wait().await;
}

async fn converse(socket: TcpStream, routes: Router, stop: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(routes));
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = tokio::time::sleep(LIFETIME) => return,
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an admin connection ended");
    }
}
