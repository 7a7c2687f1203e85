//! The thread that makes long views: one after the other, so that memory holds one of them at a time.

use std::sync::mpsc::{Sender, channel};
use std::thread;

use tokio::sync::oneshot;

use super::answer::Refusal;

type Task = Box<dyn FnOnce() + Send>;

/// Where views are made.
pub(super) struct Views(std::sync::Mutex<Sender<Task>>);

impl Views {
    /// Starts the thread. It ends with this value.
    pub(super) fn start() -> std::io::Result<Self> {
        let (sender, tasks) = channel::<Task>();
        thread::Builder::new().name("views".into()).spawn(move || tasks.iter().for_each(|task| task()))?;
        Ok(Self(std::sync::Mutex::new(sender)))
    }

    /// Makes a view.
    pub(super) async fn make<T: Send + 'static>(
        &self,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (reply, made) = oneshot::channel();
        let task = Box::new(move || {
            // Nobody may wait for it any more.
            if !reply.is_closed() {
                let _ = reply.send(make());
            }
        });
        let _ = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).send(task);
        made.await.map_err(|_| Refusal::internal("the view could not be made"))
    }
}
