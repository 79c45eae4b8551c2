//! What a kernel is made of: processes of the engine's own, or something outside that a provider speaks for.
//!
//! [`Body`] is all that [`super::unit`] knows of it. Turns, keys, budgets and dependencies are the unit's business.

use std::time::Duration;

use futures_util::future::BoxFuture;

use super::view::View;
use crate::model::Failure;

/// How something that is asked of a body comes out.
pub(super) type Done<'a, T = ()> = BoxFuture<'a, Result<T, Failure>>;

/// What carries a kernel. Operations come one at a time; the rest may be asked meanwhile.
///
/// `key` is the idempotency key of the step, empty if there is none: a body that outlives the engine acts once for it.
pub(super) trait Body: Send + Sync {
    /// What is known now, without looking.
    fn view(&self) -> View;

    /// The engine begins: a body of the engine's own is started, one outside is adopted as it is. `anew`: it is booted
    /// in any case, so that the boot can be measured. Comes back when it is known how it came out.
    fn boot(&self, anew: bool) -> Done<'_>;

    /// Starts what does not run, and waits until it has booted.
    fn start<'a>(&'a self, key: &'a str) -> Done<'a>;

    /// Shortens the grace of a stop that is under way; asked while another operation is carried out.
    fn hurry(&self, _grace: Duration) {}

    /// Wishes for `n` replicas before it is booted.
    fn wish(&self, _n: u32) {}

    /// Stops all of it.
    fn stop<'a>(&'a self, grace: Duration, key: &'a str) -> Done<'a>;

    /// Stops and starts it, and waits until it has booted.
    fn restart<'a>(&'a self, grace: Duration, key: &'a str) -> Done<'a>;

    /// Brings it to `n` replicas, which is within its range, and waits until new ones have booted.
    fn scale<'a>(&'a self, n: u32, key: &'a str) -> Done<'a>;

    /// Looks now; what is wrong, in words.
    fn health(&self) -> BoxFuture<'_, Vec<String>>;

    /// The last `n` lines that it printed, oldest first.
    fn logs(&self, n: usize) -> Done<'_, Vec<String>>;

    /// Notes a sign of life, of one start of one replica if that is named.
    fn beat(&self, instance: Option<&str>);

    /// The engine ends, `closing` has been cancelled: its own processes end, what lives outside goes on.
    fn close(&self) -> Done<'_>;
}
