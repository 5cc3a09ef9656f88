//! Tasks of a store that run beside its calls.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::{runtime::Handle, task::JoinHandle};

/// A task that is started when it is needed first, and again if the runtime in which it ran has ended.
#[derive(Default)]
pub(super) struct BackgroundTask(Mutex<TaskState>);

#[derive(Default)]
struct TaskState {
    task: Option<JoinHandle<()>>,
    is_stopped: bool,
}

impl BackgroundTask {
    /// Starts the task, unless it runs. Without a runtime nothing can be started, and nothing can wait.
    pub(super) fn ensure<T>(&self, start: impl FnOnce() -> T)
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let mut state = self.state();
        if !state.is_stopped
            && state.task.as_ref().is_none_or(JoinHandle::is_finished)
            && let Ok(runtime) = Handle::try_current()
        {
            state.task = Some(runtime.spawn(start()));
        }
    }

    /// Ends the task for good.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.is_stopped = true;
        if let Some(task) = &state.task {
            task.abort();
        }
    }

    fn state(&self) -> MutexGuard<'_, TaskState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
