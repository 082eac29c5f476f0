//! How the program is told to stop: the first SIGTERM or SIGINT asks for an orderly end through a
//! `CancellationToken`, a second one ends the process at once.
//!
//! Owns the signals only. What an orderly end means (finish the batch, hand the lease back) is
//! decided by those who hold the token. Ending at once is safe for the rows: a batch that has not
//! committed has not happened (P2).

use std::io;

use futures::{Stream, StreamExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A signal that asks the program to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Terminate,
    Interrupt,
}

impl Ask {
    /// The name a person knows it by.
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }

    /// The exit code a shell would show: 128 and the signal's number.
    fn exit_code(self) -> i32 {
        match self {
            Self::Terminate => 128 + 15,
            Self::Interrupt => 128 + 2,
        }
    }
}

/// Catches SIGTERM and SIGINT from now on and returns the token that the first one cancels.
///
/// Must be called inside a tokio runtime, and once.
pub fn on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let asks = futures::stream::poll_fn(move |context| {
        if terminate.poll_recv(context).is_ready() {
            return std::task::Poll::Ready(Some(Ask::Terminate));
        }
        interrupt.poll_recv(context).map(|_| Some(Ask::Interrupt))
    });
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        if let Some(code) = escalate(asks, &cancelled).await {
            std::process::exit(code);
        }
    });
    Ok(token)
}

/// Cancels the token at the first signal, and answers the exit code at the second.
async fn escalate(asks: impl Stream<Item = Ask>, token: &CancellationToken) -> Option<i32> {
    let mut asks = std::pin::pin!(asks);
    let first = asks.next().await?;
    tracing::info!(
        signal = first.name(),
        "stopping: the batch under way is finished first"
    );
    token.cancel();
    let second = asks.next().await?;
    tracing::warn!(
        signal = second.name(),
        "stopping at once: asked a second time"
    );
    Some(second.exit_code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_signal_cancels_and_does_not_exit() {
        let token = CancellationToken::new();
        let code = escalate(futures::stream::iter([Ask::Terminate]), &token).await;
        assert!(token.is_cancelled());
        assert_eq!(code, None);
    }

    #[tokio::test]
    async fn the_second_signal_exits_with_its_own_code() {
        let token = CancellationToken::new();
        let asks = futures::stream::iter([Ask::Terminate, Ask::Interrupt]);
        assert_eq!(escalate(asks, &token).await, Some(130));
    }

    #[tokio::test]
    async fn without_a_signal_nothing_is_cancelled() {
        let token = CancellationToken::new();
        assert_eq!(escalate(futures::stream::empty(), &token).await, None);
        assert!(!token.is_cancelled());
    }
}
