//! What one evaluation may use: work and bytes, both counted before they are spent.
//!
//! A decision must be the same on every machine and at every replay, so no clock is read. A unit of work takes about
//! one nanosecond on the hardware of 2026; the amounts are estimates from above, and what they rest on stands beside
//! each charge.

use std::cell::Cell;

/// Work of one evaluation: about ten milliseconds.
pub const WORK: u64 = 10_000_000;
/// Bytes that one evaluation may build, intermediate results included.
pub const BYTES: u64 = 8 << 20;

/// Work for one step of an expression: a literal, a field, a call.
pub const STEP: u64 = 40;
/// Work for looking at one element of a list.
pub const ELEMENT: u64 = 10;
/// Bytes and work for one value that is built, beside its text.
pub const VALUE: u64 = 40;

/// The budget of one evaluation. Expressions that answer one question together, such as the parts of a template, share
/// one.
#[derive(Debug)]
pub struct Budget {
    work: Cell<u64>,
    bytes: Cell<u64>,
    spent: Cell<bool>,
}

/// The budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent(pub(super) &'static str);

impl From<Spent> for super::EvalError {
    fn from(Spent(message): Spent) -> Self {
        Self { message: message.into(), column: 0 }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(WORK, BYTES)
    }
}

impl Budget {
    /// A budget of this much.
    pub fn new(work: u64, bytes: u64) -> Self {
        Self { work: Cell::new(work), bytes: Cell::new(bytes), spent: Cell::new(false) }
    }

    /// Whether something was refused for want of budget.
    pub fn is_spent(&self) -> bool {
        self.spent.get()
    }

    /// Work that is left.
    pub fn work_left(&self) -> u64 {
        self.work.get()
    }

    /// Takes work.
    #[inline]
    pub(super) fn work(&self, units: u64) -> Result<(), Spent> {
        match self.work.get().checked_sub(units) {
            Some(left) => {
                self.work.set(left);
                Ok(())
            }
            None => {
                self.spent.set(true);
                Err(Spent("it takes more work than a condition may; compare shorter lists or texts"))
            }
        }
    }

    /// Takes bytes, and the work of filling them.
    #[inline]
    pub(super) fn bytes(&self, bytes: u64) -> Result<(), Spent> {
        match self.bytes.get().checked_sub(bytes) {
            Some(left) => {
                self.bytes.set(left);
                self.work(bytes)
            }
            None => {
                self.spent.set(true);
                Err(Spent("it builds longer texts or lists than a condition may, 8 MiB in all"))
            }
        }
    }
}
