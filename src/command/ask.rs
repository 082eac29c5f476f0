//! Asks a person at a terminal.

use std::io::IsTerminal;

use anyhow::Context;
use console::Term;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// The only answer that changes anything.
const YES: &str = "yes";

/// Whether somebody can be asked: they must see the question and be able to answer.
pub(super) fn possible() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Shows a text and asks. `None`: told to stop meanwhile.
pub(super) async fn agreed(
    shown: &str,
    question: &str,
    stop: &CancellationToken,
) -> anyhow::Result<Option<bool>> {
    let term = Term::stderr();
    term.write_str(&format!("{shown}\n{question} Only `{YES}` goes on: "))
        .context("failed to ask")?;
    let (sender, answer) = oneshot::channel();
    // A thread of its own: it may wait for ever, and the program's end must not.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line);
        sender.send(read.map(|_| line))
    });
    tokio::select! {
        () = stop.cancelled() => Ok(None),
        line = answer => {
            let line = line.context("failed to read the answer")?;
            let line = line.context("failed to read the answer")?;
            Ok(Some(line.trim_end_matches(['\r', '\n']) == YES))
        }
    }
}
