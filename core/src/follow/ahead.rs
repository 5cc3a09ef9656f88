//! Reading the next page while the current one is processed.

use std::{future::poll_fn, task::Poll};

use futures_util::future::join;

/// Starts a read, and does work while it is in flight. Returns the results of both.
///
/// The work yields once before it begins. So a task of the runtime, which the read usually starts,
/// can send its request before the work occupies the thread.
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
