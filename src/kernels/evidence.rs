//! Whether an answer on a port of this machine came from the kernel that was asked, and who has a port that a kernel is to
//! listen on.
//!
//! Only the processes of one start of the kernel count ([`Family`]): whoever listens there otherwise may be as healthy as
//! it likes. On a system without `/proc/net/tcp`, any answer counts while the kernel's process lives. What is outside of
//! this machine, and kernels of other providers, cannot be told apart in this way and is not.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::family::Family;
use super::proc::{self, Stat};

/// Looks at who listens where, on behalf of one start of a replica.
#[derive(Debug)]
pub(super) struct Owner(Mutex<Known>);

#[derive(Debug)]
struct Known {
    family: Family,
    /// The last answer about one address. A look costs a reading of tables that grow with what the machine does.
    last: Option<(SocketAddr, Instant, Result<Proof, String>)>,
}

/// The sockets that an address leads to, each with a descriptor of a process that holds it.
#[derive(Clone, Debug, Default)]
struct Proof(BTreeMap<u64, PathBuf>);

/// A socket that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listener {
    address: SocketAddr,
    user: u32,
    inode: u64,
}

/// How long a good answer is believed, as long as the same process holds the same socket.
const GOOD: Duration = Duration::from_secs(30);

/// How long a bad answer is repeated; a kernel that boots is asked every few milliseconds.
const BAD: Duration = Duration::from_millis(200);

impl Owner {
    pub(super) fn new(family: Family) -> Self {
        Self(Mutex::new(Known { family, last: None }))
    }

    /// Whether whoever takes connections at `address`, which is of this machine, is one of the kernel's processes. `Err`
    /// says who it is. Reads files: not on a thread that must not block.
    pub(super) fn check(&self, address: SocketAddr) -> Result<(), String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((last, at, found)) = &known.last
            && *last == address
        {
            match found {
                Ok(proof) if at.elapsed() < GOOD && proof.holds() => return Ok(()),
                Err(problem) if at.elapsed() < BAD => return Err(problem.clone()),
                _ => {}
            }
        }
        let found = look(&mut known.family, address);
        known.last = Some((address, Instant::now(), found.clone()));
        found.map(drop)
    }
}

/// Who keeps a kernel from listening on `port`, in words; none if the port is free. `at` is the address that the kernel
/// will be asked at, where that is known; a listener on another address of the machine is not in its way.
pub(super) fn taken(port: u16, at: Option<IpAddr>) -> Option<String> {
    let listeners = listeners(port)?;
    let wanted = at.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let in_the_way =
        |it: &&Listener| it.address.ip().is_unspecified() || plain(it.address.ip()) == plain(wanted);
    listeners.iter().find(in_the_way).map(|it| format!("port {port} is taken by {}", holder(it)))
}

fn look(family: &mut Family, address: SocketAddr) -> Result<Proof, String> {
    let Some(all) = listeners(address.port()) else { return Ok(Proof::default()) };
    let listeners = leading_to(&all, address.ip());
    if listeners.is_empty() {
        let message = format!(
            "port {} answers, but no process of this machine listens on it that the engine can see. {MEANT}",
            address.port()
        );
        return Err(message);
    }
    let mut wanted: BTreeSet<u64> = listeners.iter().map(|it| it.inode).collect();
    let mut proof = Proof::default();
    let mut unreadable = BTreeSet::new();
    let mut ask = |pid: u32, wanted: &mut BTreeSet<u64>| match proc::sockets(pid, wanted) {
        Some(held) if held.is_empty() => {}
        Some(held) => {
            wanted.retain(|inode| !held.contains_key(inode));
            proof.0.extend(held);
        }
        None => unreadable.extend(proc::user(pid)),
    };
    // Mostly it is the first process itself: then there is no need to look at all the others.
    ask(family.leader(), &mut wanted);
    if !wanted.is_empty() {
        for stat in family.members().iter().filter(|stat| stat.pid != family.leader()) {
            ask(stat.pid, &mut wanted);
        }
    }
    // A process of another user may not be looked into; that the socket is this user's has to do.
    let foreign = listeners.iter().find(|it| wanted.contains(&it.inode) && !unreadable.contains(&it.user));
    match foreign {
        None => Ok(proof),
        Some(it) => Err(format!(
            "port {} answers, but it is {} that listens on it, not this kernel. {MEANT}",
            address.port(),
            holder(it)
        )),
    }
}

const MEANT: &str = "Stop that or give the kernel another port; if another process is meant to listen for it, say `listener: any` under \
     `health`";

impl Proof {
    /// Whether the same descriptors still lead to the same sockets.
    fn holds(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|(inode, path)| proc::socket(path) == Some(*inode))
    }
}

/// Those among `all` that a connection to `ip` reaches: the most specific ones.
fn leading_to(all: &[Listener], ip: IpAddr) -> Vec<Listener> {
    let rank = |it: &Listener| match (plain(it.address.ip()), plain(ip)) {
        (own, wanted) if own == wanted => 3,
        (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(_)) => 2,
        (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V6(_)) => 2,
        // Takes connections of both kinds, unless it was told not to; then one of the above is there.
        (IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(_)) => 1,
        _ => 0,
    };
    let best = all.iter().map(rank).max().unwrap_or(0);
    all.iter().filter(|it| best > 0 && rank(it) == best).cloned().collect()
}

fn plain(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Who holds it, as an operator knows it.
fn holder(it: &Listener) -> String {
    let inodes = BTreeSet::from([it.inode]);
    let holds = |stat: &&Stat| proc::sockets(stat.pid, &inodes).is_some_and(|held| !held.is_empty());
    match Stat::all().iter().find(holds) {
        Some(stat) => {
            let kernel = proc::variable(stat.pid, "PARAMEDIC_KERNEL");
            let kernel = kernel.map(|name| format!(" of kernel `{name}`")).unwrap_or_default();
            format!("{}{kernel}", proc::describe(stat.pid))
        }
        None => format!("a process of user {} that the engine may not look into", it.user),
    }
}

/// Everyone who listens on `port`; none if the system does not tell.
fn listeners(port: u16) -> Option<Vec<Listener>> {
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"].map(std::fs::read_to_string);
    if tables.iter().all(Result::is_err) {
        return None;
    }
    let lines = tables.iter().flatten().flat_map(|table| table.lines());
    Some(lines.filter_map(|line| listener(line, port)).collect())
}

/// A line of `/proc/net/tcp`: number, local and remote address, state, queues, timer, retransmits, user, time-out, inode.
fn listener(line: &str, port: u16) -> Option<Listener> {
    const LISTEN: &str = "0A";
    let mut fields = line.split_ascii_whitespace();
    let (ip, own) = fields.nth(1)?.split_once(':')?;
    if u16::from_str_radix(own, 16).ok()? != port || fields.nth(1)? != LISTEN {
        return None;
    }
    let user = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    // Each word of four bytes stands there as the machine's own number.
    let words: Option<Vec<[u8; 4]>> = (0..ip.len() / 8)
        .map(|i| u32::from_str_radix(ip.get(i * 8..i * 8 + 8)?, 16).ok().map(u32::to_ne_bytes))
        .collect();
    let bytes = words?.concat();
    let ip = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
        _ => return None,
    };
    Some(Listener { address: SocketAddr::new(ip, port), user, inode })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn only_listening_sockets_of_the_port_are_read_from_the_table() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000    33        0 4711 1 0 100 0 0 10 0";
        let found = listener(line, 8080).unwrap();
        assert_eq!(found, Listener { address: "127.0.0.1:8080".parse().unwrap(), user: 33, inode: 4711 });
        assert_eq!(listener(line, 8081), None);
        assert_eq!(listener(&line.replace(" 0A ", " 01 "), 8080), None, "a connection is no listener");
        let v6 = line.replace("0100007F:", "00000000000000000000000001000000:");
        assert_eq!(listener(&v6, 8080).unwrap().address, "[::1]:8080".parse().unwrap());
        assert_eq!(listener("  sl  local_address rem_address   st", 8080), None);
    }

    #[test]
    fn a_connection_reaches_the_most_specific_listener() {
        let of = |list: &[&str]| -> Vec<Listener> {
            let listener = |(i, text): (usize, &&str)| Listener {
                address: text.parse().unwrap(),
                user: 0,
                inode: i as u64,
            };
            list.iter().enumerate().map(listener).collect()
        };
        for (all, ip, expected) in [
            (&["0.0.0.0:1", "127.0.0.1:1"][..], "127.0.0.1", &[1_u64][..]),
            (&["0.0.0.0:1", "10.0.0.1:1"], "127.0.0.1", &[0]),
            (&["[::]:1", "0.0.0.0:1"], "127.0.0.1", &[1]),
            (&["[::]:1"], "127.0.0.1", &[0]),
            (&["[::ffff:127.0.0.1]:1", "[::]:1"], "127.0.0.1", &[0]),
            (&["0.0.0.0:1"], "::1", &[]),
            (&["127.0.0.1:1", "127.0.0.1:1"], "127.0.0.1", &[0, 1]),
        ] {
            let found = leading_to(&of(all), ip.parse().unwrap());
            assert_eq!(found.iter().map(|it| it.inode).collect::<Vec<_>>(), expected, "{all:?} {ip}");
        }
    }
}
