//! When an effect has begun: after the first poll of its future, or, where another thread is to begin it, once that thread
//! has. Until then a pass is held, so that whoever closes a door can wait until nobody is in it.

use std::any::Any;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

/// What is given back when the effect has begun.
pub type Pass = Arc<dyn Any + Send + Sync>;

tokio::task_local! {
    static PASS: RefCell<Option<Pass>>;
}

/// Carries `effect` out, and lets go of `pass` once it has begun.
pub async fn with<F: Future>(pass: Pass, effect: F) -> F::Output {
    let effect = async {
        let mut effect = pin!(effect);
        poll_fn(|context| {
            let polled = effect.as_mut().poll(context);
            PASS.with(|pass| drop(pass.take()));
            polled
        })
        .await
    };
    PASS.scope(RefCell::new(Some(pass)), effect).await
}

/// For who hands the beginning of an effect to another thread: hold it until that thread has begun. None where nobody waits.
pub fn hold() -> Option<Pass> {
    PASS.try_with(|pass| pass.borrow().clone()).ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct Told(Arc<AtomicBool>);

    impl Drop for Told {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn the_pass_is_given_back_when_the_effect_has_begun_wherever_it_begins() {
        for elsewhere in [false, true] {
            let begun = Arc::new(AtomicBool::new(false));
            let (go, gone) = tokio::sync::oneshot::channel::<()>();
            let effect = async {
                let held = elsewhere.then(hold);
                tokio::task::yield_now().await;
                let while_handed_on = begun.load(Ordering::SeqCst);
                drop(held);
                gone.await.ok();
                while_handed_on
            };
            let watcher = async {
                while !begun.load(Ordering::SeqCst) {
                    tokio::task::yield_now().await;
                }
                go.send(()).ok();
            };
            let (early, ()) = tokio::join!(with(Arc::new(Told(begun.clone())), effect), watcher);
            assert_eq!(
                early, !elsewhere,
                "one that is begun by another thread has not begun with its first poll"
            );
        }
    }
}
