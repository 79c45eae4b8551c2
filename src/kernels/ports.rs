//! Free ports for kernels that say `port: auto`.
//!
//! Below the range that systems hand out by themselves: a probe that connects to a port of that range can meet itself
//! (TCP allows it), which would look alive and keep the kernel from binding.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

/// Which ports this registry has handed out.
#[derive(Debug, Default)]
pub(super) struct Ports {
    taken: Mutex<BTreeSet<u16>>,
}

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

impl Ports {
    /// A port that nobody listens on now, and that no other kernel was given.
    pub(super) fn take(&self) -> Option<u16> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let start = rand::random::<u16>() % COUNT;
        let port = (0..COUNT)
            .map(|i| FIRST + (start + i) % COUNT)
            .find(|port| !taken.contains(port) && is_free(*port))?;
        taken.insert(port);
        Some(port)
    }

    /// Gives `port` back.
    pub(super) fn give_back(&self, port: u16) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&port);
    }
}

/// Whether nobody listens on `port` of the loopback interface.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_kernels_never_get_the_same_port_and_never_a_busy_one() {
        let ports = Ports::default();
        let a = ports.take().unwrap();
        let b = ports.take().unwrap();
        assert_ne!(a, b);
        let _busy = TcpListener::bind((Ipv4Addr::LOCALHOST, a)).unwrap();
        assert!(!is_free(a) && is_free(b));
    }
}
