//! Reading on while what has been read is worked on.

use std::{future::poll_fn, task::Poll};

use futures_util::future::join;

/// Begins a read, and does work while it is under way; gives what both gave.
///
/// The work is held back once, so that whatever the read has started (a task of the runtime, as a
/// rule) can send its request before the work occupies the thread.
pub async fn read_ahead<R, W>(
    read: impl Future<Output = R>,
    work: impl Future<Output = W>,
) -> (R, W) {
    join(read, async {
        yield_once().await;
        work.await
    })
    .await
}

async fn yield_once() {
    let mut has_yielded = false;
    poll_fn(|context| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
